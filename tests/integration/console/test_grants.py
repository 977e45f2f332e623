"""A grant from its credit to its expiry, through the command and over a real control plane."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from lumen.cli.exit_codes import ExitCode
from tests.integration.console.stack import Stack, usage_entry
from tests.integration.console.test_admin_api import until_balance

pytestmark = pytest.mark.slow

NewAccount = Callable[[], str]
USD = 1_000_000_000
COST = 20_000  # nano-USD of one `usage_entry`


def test_a_grant_burns_first_and_its_rest_expires(stack: Stack, client: httpx.Client, new_account: NewAccount) -> None:
    account = new_account()

    def lumen(*arguments: str) -> Any:
        finished = stack.lumen(*arguments, "--json", "--state-dir", str(stack.state_dir))
        assert finished.returncode == ExitCode.OK, finished.stderr
        return json.loads(finished.stdout)

    def credit(amount_usd: str, *options: str) -> Any:
        return lumen("account", "credit", account, amount_usd, *options)

    def balance() -> Any:
        return client.get(f"/admin/v1/accounts/{account}/balance").json()

    credit("3")
    assert balance()["grants_nanousd"] == 0
    credit("2", "--kind", "grant", "--expires", "30d")
    # long enough for the usage to be posted before it
    soon = credit("1", "--kind", "grant", "--expires", "15s")
    stack.use(account, [usage_entry(account, f"{account}-{number}") for number in range(2)], f"edge-{account}")
    until_balance(client, account, 6 * USD - 2 * COST)
    before = balance()
    assert (before["grants_nanousd"], before["grants_usd"]) == (3 * USD - 2 * COST, "2.99996")
    assert before["next_expiry"] == {"at": soon["expires_at"], "nanousd": USD - 2 * COST, "usd": "0.99996"}
    shown = stack.lumen("balance", account, "--state-dir", str(stack.state_dir)).stdout
    assert "2.99996 USD" in shown
    assert f"0.99996 USD at {soon['expires_at']}" in shown

    until_balance(client, account, 5 * USD, timeout_s=60)
    after = lumen("balance", account)
    assert (after["grants_nanousd"], after["next_expiry"]["nanousd"]) == (2 * USD, 2 * USD)
    statement = lumen("statement", account)
    assert (statement["closing"]["nanousd"], statement["difference"]["nanousd"]) == (5 * USD, 0)
    assert statement["adjustments"]["nanousd"] == 2 * COST - USD
    expiry = statement["entries"][-1]
    assert (expiry["kind"], expiry["source"], expiry["amount"]["nanousd"]) == ("expiry", "grant", 2 * COST - USD)
    assert lumen("ledger", "rebuild", "--account", account)["partitions"] == 1
    until_balance(client, account, 5 * USD)
    assert lumen("balance", account) == after
    assert lumen("reconcile", "--account", account)["is_ok"]


def test_an_expiry_cannot_be_ordered(stack: Stack, new_account: NewAccount) -> None:
    ordered = stack.lumen(
        "account", "credit", new_account(), "-1", "--kind", "expiry", "--state-dir", str(stack.state_dir)
    )
    assert ordered.returncode == ExitCode.INVALID_INPUT
