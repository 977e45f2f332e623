"""Explanations and statements over a real control plane: every figure by hand, to the nano-dollar."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from lumen.cli.exit_codes import ExitCode
from lumen.ledger.entries import Attempt
from lumen.money.usage import TokenUsage
from tests.integration.console.stack import CATALOG, Stack, usage_entry
from tests.integration.console.test_admin_api import until_balance

NewAccount = Callable[[], str]
USD = 1_000_000_000

# Prices whose products do not come out even, a tier, a modifier, and a channel with a price table of its own.
ODD_CATALOG = """
models:
  - code: m1
    name: M1
    vendor: v
    max_output_tokens: 100
    price: {input: "1.000003", output: "2.5", cache_read: "0.1"}
    tiers: [{above_prompt_tokens: 1000, price: {input: "2.000003"}}]
    modifiers: {speed: {fast: "1.5"}}
groups:
  - {name: default, multiplier: "0.35"}
channels:
  - name: c1
    dialects: {openai_chat: "http://127.0.0.1:1/v1"}
    secret: env:K
    models: {m1: up-1}
    cost_multiplier: "0.8"
  - name: c2
    dialects: {openai_chat: "http://127.0.0.1:1/v1"}
    secret: env:K
    models: {m1: up-2}
    cost: {m1: {input: "0.5", output: "1"}}
"""


@pytest.fixture
def odd_revision(client: httpx.Client) -> int:
    """The revision of ODD_CATALOG; current again is CATALOG."""
    revision = client.post("/admin/v1/catalog", json={"content": ODD_CATALOG}).json()["revision"]
    client.post("/admin/v1/catalog", json={"content": CATALOG})
    return int(revision)


def explained(client: httpx.Client, request_id: str) -> Any:
    deadline = time.monotonic() + 20
    while (answer := client.get(f"/admin/v1/usage/requests/{request_id}/explain")).status_code != 200:
        assert answer.status_code in (404, 503), answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    return answer.json()


def test_a_charge_is_worked_out_again_line_by_line(
    stack: Stack, client: httpx.Client, new_account: NewAccount, odd_revision: int
) -> None:
    account = new_account()
    entry = usage_entry(
        account,
        f"{account}-x",
        catalog_revision=odd_revision,
        usage=TokenUsage(input=900, cache_read=200, output=7),
        modifiers={"speed": "fast"},
        channel="c2",
        hold_nanousd=5_000_000,
        lease_boot=3,
        attempts=[Attempt("c1", 503, "status", 900), Attempt("c2", 200, "ok", 1_000, 100)],
    )
    stack.use(account, [entry], f"edge-{account}")
    answer = explained(client, f"{account}-x")
    assert answer["agrees"] is True
    [found] = answer["entries"]
    charge = found["charge"]
    # 1,100 prompt tokens: the tier above 1,000; x 0.35 x 1.5
    assert (charge["prompt_tokens"], charge["above_prompt_tokens"], charge["multiplier"]) == (1100, 1000, "0.35")
    assert charge["modifiers"] == [{"name": "speed", "value": "fast", "factor": "1.5"}]
    assert [(line["bucket"], line["count"], line["price_usd_per_million"]) for line in charge["lines"]] == [
        ("input", 900, "2.000003"),
        ("cache_read", 200, "0.1"),
        ("output", 7, "2.5"),
    ]
    # 900 x 2000.003 + 200 x 100 + 7 x 2500 = 1837502.7 nano-USD, x 0.525 = 964688.9175
    assert (charge["exact_nanousd"], charge["rounded_nanousd"]) == ("964688.9175", 964_689)
    assert charge["posted_nanousd"] == 964_689
    # the channel's own table has neither tier nor cache price: (1100 x 500 + 7 x 1000) x 1.5
    assert found["upstream_cost"]["rounded_nanousd"] == 835_500
    assert [line["priced_as"] for line in found["upstream_cost"]["lines"]] == ["input", "input", "output"]
    assert found["margin_nanousd"] == 964_689 - 835_500
    assert found["hold"] == {
        "held_nanousd": 5_000_000,
        "settled_nanousd": 964_689,
        "returned_nanousd": 5_000_000 - 964_689,
        "lease": f"edge-{account}.3",
        "key_has_spend_limit": False,
    }
    assert [(attempt["channel"], attempt["status"]) for attempt in found["attempts"]] == [("c1", 503), ("c2", 200)]


def test_what_is_not_billable_is_explained_as_cost_without_revenue(
    stack: Stack, client: httpx.Client, new_account: NewAccount
) -> None:
    account = new_account()
    stack.use(account, [usage_entry(account, f"{account}-n", is_billable=False)], f"edge-{account}")
    [found] = explained(client, f"{account}-n")["entries"]
    assert (found["charge"]["posted_nanousd"], found["charge"]["agrees"]) == (0, True)
    assert found["margin_nanousd"] == -found["upstream_cost"]["posted_nanousd"] < 0


def test_a_charge_that_was_tampered_with_is_found(stack: Stack, client: httpx.Client, new_account: NewAccount) -> None:
    account = new_account()
    stack.use(account, [usage_entry(account, f"{account}-t")], f"edge-{account}")
    explained(client, f"{account}-t")
    clickhouse(
        stack,
        f"ALTER TABLE usage UPDATE cost_nanousd = cost_nanousd + 1 WHERE request_id = '{account}-t'"
        " SETTINGS mutations_sync = 1",
    )
    assert explained(client, f"{account}-t")["agrees"] is False
    option = ("--state-dir", str(stack.state_dir))
    command = stack.lumen("explain", f"{account}-t", *option)
    assert command.returncode == ExitCode.FAILURE
    assert "NOT as posted" in command.stdout
    clickhouse(
        stack,
        f"ALTER TABLE usage UPDATE cost_nanousd = cost_nanousd - 1 WHERE request_id = '{account}-t'"
        " SETTINGS mutations_sync = 1",
    )
    command = stack.lumen("explain", f"{account}-t", *option)
    assert command.returncode == ExitCode.OK, command.stderr
    assert "agrees with the ledger" in command.stdout
    assert json.loads(stack.lumen("explain", f"{account}-t", "--json", *option).stdout)["posted_nanousd"] == 20_000
    assert stack.lumen("explain", "nobody", *option).returncode == ExitCode.NOT_FOUND


def clickhouse(stack: Stack, sql: str) -> str:
    url, _, database = stack.env["LUMEN_CLICKHOUSE_URL"].rpartition("/")
    answer = httpx.post(url, content=sql, params={"database": database}, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_price_book_and_margins_are_there_for_finance(
    stack: Stack, client: httpx.Client, new_account: NewAccount, odd_revision: int
) -> None:
    account = new_account()
    entry = usage_entry(account, f"{account}-m", catalog_revision=odd_revision, usage=TokenUsage(input=1001, output=3))
    stack.use(account, [entry], f"edge-{account}")
    explained(client, f"{account}-m")
    priced = clickhouse(
        stack,
        "SELECT above_prompt_tokens, price_nanousd_per_million, multiplier_millionths FROM price_book FINAL"
        f" WHERE revision = {odd_revision} AND side = 'client' AND payer = 'default' AND bucket = 'input'"
        " ORDER BY above_prompt_tokens FORMAT TSV",
    )
    assert priced == "-1\t1000003000\t350000\n1000\t2000003000\t350000\n"
    # by hand: (1001 x 2000.003 + 3 x 2500) x 0.35, and x 0.8 for the channel
    revenue, cost = 703_326, 1_607_602  # of 703326.05105 and 1607602.4024
    margin = clickhouse(
        stack,
        "SELECT revenue_nanousd, upstream_cost_nanousd, margin_nanousd FROM margins"
        f" WHERE account = '{account}' FORMAT TSV",
    )
    assert margin == f"{revenue}\t{cost}\t{revenue - cost}\n"


def test_statements_close_month_by_month(stack: Stack, client: httpx.Client, new_account: NewAccount) -> None:
    account = new_account()
    midnight = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    midnight_us = int(midnight.timestamp()) * 1_000_000
    post = f"/admin/v1/accounts/{account}/credits"
    client.post(post, json={"amount_usd": "3.000000001"})
    client.post(post, json={"amount_usd": "-0.5", "kind": "adjustment"})
    # one batch across midnight at the month's end: 20,000 nano-USD on each side
    entries = [usage_entry(account, f"{account}-{us}", started_at_us=midnight_us + us) for us in (-1, 0, 1)]
    stack.use(account, entries, f"edge-{account}")
    balance = 2_500_000_001 - 3 * 20_000
    until_balance(client, account, balance)
    get = f"/admin/v1/accounts/{account}/statement"
    last_month = f"{datetime.fromtimestamp(midnight.timestamp() - 1, UTC):%Y-%m}"
    past, current = client.get(get, params={"month": last_month}).json(), client.get(get).json()
    figures = ("opening", "credits", "usage", "adjustments", "closing", "difference")
    assert [past[name]["nanousd"] for name in figures] == [0, 0, 20_000, 0, -20_000, 0]
    assert [current[name]["nanousd"] for name in figures] == [
        -20_000, 3_000_000_001, 40_000, -500_000_000, balance, 0,
    ]  # fmt: skip
    assert (past["is_over"], current["is_over"]) == (True, False)
    assert [entry["kind"] for entry in current["entries"]] == ["topup", "adjustment"]
    assert client.get(get, params={"month": "2026-13"}).status_code == 422
    command = stack.lumen("statement", account, "--state-dir", str(stack.state_dir))
    assert command.returncode == ExitCode.OK, command.stderr
    assert "3.000000001" in command.stdout
    empty = client.get(get, params={"month": "2025-01"}).json()
    assert [empty[name]["nanousd"] for name in figures] == [0] * 6


def dead_letters_of(account: str, listed: str) -> list[dict[str, Any]]:
    """Other tests' letters may be there long before."""
    return [letter for letter in json.loads(listed)["dead_letters"] if letter["account"] == account]


def test_an_operator_lists_and_replays_dead_letters(
    stack: Stack, client: httpx.Client, new_account: NewAccount
) -> None:
    account = new_account()
    stack.use(account, [usage_entry(account, f"{account}-d", model="m9")], f"edge-{account}")
    option = ("--state-dir", str(stack.state_dir), "--json")
    deadline = time.monotonic() + 15
    while not (mine := dead_letters_of(account, stack.lumen("ledger", "dead-letter", "list", *option).stdout)):
        assert time.monotonic() < deadline, "no dead letter of this account's entry"
    [letter] = mine
    assert (letter["reason"], letter["is_replayed"]) == ("not_ratable", False)
    refused = stack.lumen("explain", f"{account}-d", *option)
    assert (refused.returncode, letter["id"] in refused.stderr) == (ExitCode.NOT_FOUND, True)
    revision = client.post("/admin/v1/catalog", json={"content": CATALOG.replace("m2", "m9")}).json()
    named = ("--revision", str(revision["revision"]))
    replayed = stack.lumen("ledger", "dead-letter", "replay", letter["id"], *named, *option)
    assert replayed.returncode == ExitCode.OK, replayed.stderr
    client.post("/admin/v1/catalog", json={"content": CATALOG})
    again = json.loads(stack.lumen("ledger", "dead-letter", "replay", letter["id"], *option).stdout)
    assert again["already_existed"] is True
    assert explained(client, f"{account}-d")["agrees"] is True
    assert stack.lumen("ledger", "dead-letter", "replay", "1-2-3", *option).returncode == ExitCode.INVALID_INPUT
    assert json.loads(stack.lumen("ledger", "rebuild", *option).stdout)["partitions"] == 64
    assert json.loads(stack.lumen("ledger", "adopt", *option).stdout)["partitions"] == []
    assert stack.lumen("reconcile", "--account", account, *option).returncode == ExitCode.OK
