"""The main journeys of each role, as a person makes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, People, ask
from tests.browser.console import Console
from tests.fixtures.stack import Stack, until

pytestmark = pytest.mark.slow

OpenConsole = Callable[..., Console]


def status_with(stack: Stack, key: str, model: str = "claude-opus-4-8") -> int:
    answer = httpx.post(
        f"{stack.base_url}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}", "accept": "application/json"},
        json={"model": model, "messages": [{"role": "user", "content": "Hello"}]},
        timeout=30,
    )
    return answer.status_code


def test_a_wrong_password_is_refused_and_the_right_one_leads_on(open_console: OpenConsole, people: People) -> None:
    console = open_console()
    assert console.go("/statements") == 200
    assert console.path == "/sign-in?next=%2Fstatements"
    console.fill("E-mail", people.emails["member"])
    console.fill("Password", "not this one")
    console.press("Sign in")
    expect(console.page.get_by_role("alert")).to_contain_text("do not match")
    console.shot("journey-sign-in-refused")
    console.fill("Password", PASSWORD)
    console.press("Sign in")
    assert console.path == "/statements"
    console.page.get_by_role("button", name="Sign out").click()
    assert console.go("/statements") == 200
    assert console.path.startswith("/sign-in")


def test_member_creates_uses_rotates_and_revokes_a_key(open_console: OpenConsole, stack: Stack, people: People) -> None:
    console = open_console("member")
    console.follow("API keys")
    console.follow("Create a key")
    console.fill("Name", "laptop")
    console.page.get_by_text("Limits (optional)").click()
    console.fill("May spend in all, USD", "a lot")
    console.press("Create key")
    expect(console.page.get_by_role("alert")).to_contain_text("spend_limit_usd")
    assert console.page.get_by_label("Name", exact=True).input_value() == "laptop"
    console.fill("May spend in all, USD", "5")
    console.press("Create key")
    secret = console.page.locator("#secret").inner_text()
    console.page.locator("[data-copy=secret]").click()
    expect(console.page.locator("[data-copy=secret]")).to_have_text("Copied")
    assert console.page.evaluate("navigator.clipboard.readText()") == secret
    assert f"ANTHROPIC_AUTH_TOKEN={secret}" in console.text()
    console.shot("journey-key-created")

    request_id = ask(stack, secret, "gpt-5.5")
    console.follow("I have copied it")
    assert secret not in console.page.content()
    until(
        lambda: console.go("/keys") and "never" not in console.row("laptop").locator("td").nth(2).inner_text(), "used"
    )
    console.follow("laptop")
    console.page.get_by_label("is revoked at once").check()
    console.press("Rotate key")
    successor = console.page.locator("#secret").inner_text()
    assert successor != secret
    until(lambda: status_with(stack, secret) == 401, "the old key is refused")
    assert status_with(stack, successor) == 200

    console.confirm_questions()
    console.go("/keys")
    console.follow("laptop")
    console.press("Revoke key")
    expect(console.page.get_by_role("status").first).to_contain_text("revoked")
    until(lambda: status_with(stack, successor) == 401, "the key is refused")

    console.go("/requests")
    console.fill("Request id", request_id)
    console.press("Search")
    expect(console.row(request_id)).to_have_count(1)
    console.row(request_id).get_by_role("link").click()
    assert "it agrees" in console.text()
    console.shot("journey-request-explained")


def test_member_plays_with_a_model_over_the_public_endpoint(open_console: OpenConsole) -> None:
    console = open_console("member")
    console.follow("Playground")
    console.press("Make a key for an hour ($1 at most)")
    console.page.get_by_label("Model", exact=True).select_option("gpt-5.5")
    console.press("Send")
    expect(console.page.locator("#p-state")).to_have_text("Done")
    assert len(console.page.locator("#p-answer").inner_text()) > 5
    assert "tokens" in console.page.locator("#p-usage").inner_text()
    console.shot("journey-playground")
    console.page.get_by_label("Key", exact=True).fill("sk-lumen-wrong")
    console.press("Send")
    expect(console.page.locator("#p-state")).to_contain_text("401")


def test_member_fills_in_the_set_up_with_a_key(open_console: OpenConsole) -> None:
    console = open_console("member")
    console.follow("Connect")
    console.fill("Your key (stays in this page)", "sk-lumen-mine")
    for snippet in ("claude-code", "codex-auth", "openai-python", "anthropic-python", "curl"):
        assert "sk-lumen-mine" in console.page.locator(f"#s-{snippet}").inner_text(), snippet


def test_member_changes_the_password_and_other_sessions_end(
    open_console: OpenConsole, stack: Stack, people: People
) -> None:
    email = f"change-{uuid4().hex[:8]}@example.com"
    body = {"email": email, "role": "member", "account": people.customer.account, "password": PASSWORD}
    stack.admin("POST", "/users", body)
    first, other = open_console(email=email), open_console(email=email)
    first.go("/settings")
    first.fill("Current password", PASSWORD)
    first.fill("New password", "another password")
    first.fill("New password, once more", "another password")
    first.press("Change password")
    expect(first.page.get_by_role("status").first).to_contain_text("changed")
    other.go("/overview")
    assert other.path.startswith("/sign-in")
    first.go("/overview")
    assert first.path == "/overview"


def test_operator_makes_an_account_credits_it_and_invites_its_member(open_console: OpenConsole, stack: Stack) -> None:
    console = open_console("operator")
    name, email = f"acme-{uuid4().hex[:8]}", f"ada-{uuid4().hex[:8]}@example.com"
    console.fill("New account", name)
    console.press("Create account")
    assert name in console.heading()
    account = console.path.rsplit("/", 1)[1]
    console.page.get_by_label("Kind").select_option("grant")
    console.fill("Amount, USD", "12.345678901")
    console.fill("Reason", "welcome gift")
    console.press("Post")
    expect(console.page.get_by_role("status").first).to_contain_text("Posted")
    stack.until_balance(account, 12_345_678_901)
    until(
        lambda: console.go(f"/operator/accounts/{account}") and "welcome gift" in console.text(), "the credit is listed"
    )
    assert console.page.locator("dd.big-figure data").first.get_attribute("title") == "12.345678901 USD"
    console.shot("journey-operator-account")

    console.go("/operator/users")
    console.fill("E-mail", email)
    console.fill("Account (members)", name)
    console.press("Create invitation")
    link = console.page.locator("#invitation-link").inner_text()
    console.shot("journey-operator-invitation")

    ada = open_console()
    ada.go(link.removeprefix(ada.url))
    ada.fill("Password", PASSWORD)
    ada.fill("Password, once more", PASSWORD)
    ada.press("Set password and sign in")
    assert ada.path == "/overview"
    assert "$12.35" in ada.text()
    assert open_console().go(link.removeprefix(ada.url)) == 404  # once

    console.go("/operator/audit")
    credit, invitation = console.row("credit.post").first, console.row("user.create").first
    assert "welcome gift" in credit.inner_text()
    assert email in invitation.inner_text()
    assert "operator-" in invitation.locator("th").inner_text()
    console.shot("journey-operator-audit")


def test_operator_switches_a_channel_off_and_rolls_back(
    open_console: OpenConsole, stack: Stack, people: People
) -> None:
    console = open_console("operator")
    console.confirm_questions()
    key, model = people.customer.key, "deepseek-v4-pro"
    console.go("/operator/channels")
    before = stack.admin("GET", "/catalog")["revision"]
    row = console.row("simulator-relatives")
    row.get_by_label("Reason").fill("maintenance")
    row.get_by_role("button", name="Disable simulator-relatives").click()
    try:
        expect(console.row("simulator-relatives")).to_contain_text("switched off")
        console.shot("journey-operator-channel-off")
        until(lambda: status_with(stack, key, model) == 404, "no channel serves the model")
        console.go(f"/operator/catalog/{before + 1}")
        expect(console.row("simulator-relatives").first).to_contain_text("disabled")
        console.shot("journey-operator-diff")
    finally:
        console.go("/operator/catalog")
        console.press(f"Roll back to {before}")
    until(lambda: status_with(stack, key, model) == 200, "the model is served again")
    console.go("/operator/audit")
    assert console.row("catalog.rollback").count() >= 1


def test_finance_sees_margin_and_any_accounts_statement(open_console: OpenConsole, people: People) -> None:
    console = open_console("finance")
    until(lambda: console.go("/finance?by=model") and console.row("gpt-5.5").count() == 1, "rollups are there")
    console.shot("journey-finance")
    console.go(f"/finance/accounts/{people.customer.account}/statement")
    assert "Closing balance" in console.text()


def test_finance_narrows_down_compares_and_sees_what_is_owed(
    open_console: OpenConsole, stack: Stack, people: People
) -> None:
    console = open_console("finance")
    name = stack.admin("GET", f"/accounts/{people.customer.account}")["name"]
    assert stack.admin("GET", "/reconcile")["is_ok"]  # which brings the rollups up to date: figures stand still
    console.go("/finance")
    console.page.get_by_label("By", exact=True).select_option("provider")
    expect(console.row("127.0.0.1").first).to_be_visible()
    console.page.get_by_label("By", exact=True).select_option("account")
    expect(console.row(name).first).to_be_visible()
    console.page.get_by_label("Per", exact=True).select_option("month")
    expect(console.page.get_by_role("img")).to_have_attribute("aria-label", re.compile("Revenue per month"))
    console.page.locator(f"tbody a[href*='{people.customer.account}']").first.click()
    expect(console.page.locator("main p a.tag")).to_contain_text("account")
    revenue = console.page.locator(".big-figure data").first.get_attribute("value")
    console.shot("journey-finance-narrowed")
    console.follow("Top movers")
    console.row(name).wait_for()
    assert revenue in [each.get_attribute("value") for each in console.row(name).locator("data").all()]
    console.follow("Liabilities")
    owed = console.row(people.customer.account).locator("data").first.get_attribute("title")
    assert owed is not None
    assert owed.endswith(" USD")
    console.follow("Reconciliation")
    console.press("Prove it now")
    expect(console.page.get_by_role("status").first).to_contain_text("The books agree.")
    expect(console.page.locator("tbody .tag.bad")).to_have_count(0)


def test_finance_exports_with_progress_and_can_stop(open_console: OpenConsole, people: People) -> None:
    console = open_console("finance")
    until(lambda: console.go("/finance") and console.row("gpt-5.5").count() == 1, "rollups are there")
    console.follow("Exports")
    console.follow("this month")
    console.fill("Account (name or id; empty: all)", people.customer.account)
    with console.page.expect_download() as started:
        console.press("Export")
    expect(console.page.locator("#x-state")).to_contain_text("is whole and saved")
    saved = started.value.path().read_text().splitlines()
    assert {line.split(",")[1].strip('"') for line in saved[1:]} >= set(people.request_ids)
    expect(console.page.locator("#x-figures")).to_contain_text(f"{len(saved) - 1} rows")
    console.shot("journey-finance-exported")

    console.page.get_by_label("Format").select_option("parquet")
    console.page.get_by_text("FOCUS 1.2").click()
    with console.page.expect_download() as started:
        console.press("Export")
    assert started.value.path().read_bytes()[:4] == b"PAR1"
    assert started.value.suggested_filename.startswith("lumen-focus-")

    console.fill("Account (name or id; empty: all)", "nobody at all")
    console.press("Export")
    expect(console.page.locator("#x-state")).to_contain_text("There is no such account.")

    # an export that does not end by itself: its answer is held back
    console.page.route("**/finance/exports/download*", lambda route: None)
    console.press("Export")
    expect(console.page.locator("#x-state")).to_contain_text("under way")
    console.press("Stop")
    expect(console.page.locator("#x-state")).to_contain_text("Stopped")
    expect(console.page.get_by_role("button", name="Export", exact=True)).to_be_enabled()
    console.page.unroute_all(behavior="ignoreErrors")
    with console.page.expect_download():
        console.fill("Account (name or id; empty: all)", people.customer.account)
        console.press("Leave it to the browser's downloads")
