"""Every page in light and dark, on a desk and on a phone: no serious finding of axe (in dark: of its contrast), no
script error, no sideways scrolling; and none needs script. Screenshots go to artifacts/browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, ViewportSize

from tests.browser.conftest import PASSWORD, People
from tests.browser.console import Console
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.slow

PAGES = {
    "": ("/sign-in", "/docs", "/docs/admin", "/nothing-here"),
    "member": (
        *("/overview", "/keys", "/keys/new", "/keys/{key}", "/usage?days=1", "/usage?by=key&measure=tokens"),
        *("/requests", "/requests/{request}", "/models", "/statements", "/alerts", "/playground", "/connect"),
        "/settings",
    ),
    "operator": (
        *("/operator/accounts", "/operator/accounts/{account}", "/operator/keys", "/operator/users"),
        *("/operator/channels", "/operator/catalog", "/operator/catalog/{revision}", "/operator/catalog/edit"),
        *("/operator/groups", "/operator/dead-letters", "/operator/audit"),
    ),
    "finance": (
        *("/finance", "/finance/movers", "/finance/liabilities", "/finance/exports", "/finance/reconciliation"),
        *("/finance/reconciliation?run=yes", "/finance/accounts", "/finance/accounts/{account}/statement"),
    ),
}
DESK: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.mark.parametrize(("role", "template"), [(role, page) for role, pages in PAGES.items() for page in pages])
def test_every_page_is_accessible_and_fits(
    open_console: Callable[..., Console], people: People, role: str, template: str
) -> None:
    """As it is, then in dark, then on a phone."""
    console = open_console(role)
    path = template.format(
        account=people.customer.account,
        key=people.customer.key_id,
        request=people.request_ids[0],
        revision=people.revision,
    )
    assert console.go(path) == (404 if path == "/nothing-here" else 200)
    name = f"{role or 'public'}{re.sub('[{}]', '', template.split('?')[0]).replace('/', '-')}"
    console.shot(f"{name}-light")
    findings = console.serious_findings()
    console.page.emulate_media(color_scheme="dark")
    console.shot(f"{name}-dark")
    findings += [f"dark {finding}" for finding in console.serious_findings(["color-contrast"])]
    for size in (DESK, PHONE):
        console.page.set_viewport_size(size)
        if console.overflows():
            findings.append(f"wider than {size['width']} pixels")
    console.shot(f"{name}-phone")
    assert findings == []


def test_a_phone_shows_the_menu_on_request(open_console: Callable[..., Console]) -> None:
    console = open_console("member", width=PHONE["width"])
    menu = console.page.get_by_role("navigation", name="Main")
    assert not menu.is_visible()
    console.shot("phone-overview")
    console.page.get_by_text("Menu", exact=True).click()
    assert menu.is_visible()
    console.follow("Requests")
    assert console.path == "/requests"
    console.shot("phone-requests")


def test_pages_work_without_script(browser: Browser, stack: Stack, people: People) -> None:
    with browser.new_context(java_script_enabled=False, locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"{stack.env['LUMEN_CONSOLE_URL']}/keys/new")
        page.locator("#f-email").fill(people.emails["member"])
        page.locator("#f-password").fill(PASSWORD)
        page.locator("main button.primary").click()
        assert page.url.endswith("/keys/new")  # where it was going
        page.locator("#f-name").fill("without script")
        page.locator("main button.primary").click()
        assert page.locator("#secret").inner_text().startswith("sk-lumen-")
        page.goto(f"{stack.env['LUMEN_CONSOLE_URL']}/usage?days=1")
        assert page.locator("figure svg[role=img] rect").count() > 0


def test_keyboard_reaches_content_and_menu(open_console: Callable[..., Console]) -> None:
    console = open_console("member")
    console.go("/overview")
    console.page.keyboard.press("Tab")
    assert console.page.evaluate("document.activeElement.textContent") == "Skip to content"
    console.page.keyboard.press("Enter")
    assert console.page.evaluate("document.activeElement.id") == "main"


def test_language_and_theme_are_kept(open_console: Callable[..., Console]) -> None:
    console = open_console("member")
    console.page.get_by_role("button", name="中文").click()
    assert console.heading() == "概览"
    assert console.page.locator("html").get_attribute("lang") == "zh-CN"
    console.shot("chinese-overview")
    console.page.get_by_role("button", name="深色").click()
    console.go("/keys")
    assert console.heading() == "API 密钥"
    assert console.page.locator("html").get_attribute("data-theme") == "dark"
    console.shot("chinese-keys-dark")
