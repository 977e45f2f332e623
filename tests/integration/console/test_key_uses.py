"""Lists of keys tell the last use and what was spent from the rollups, to the second; older rollups tell the hour."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx

from tests.integration.console.bookings import M1, MIDNIGHT_US, rolled_up
from tests.integration.console.people import Person
from tests.integration.console.stack import Stack, usage_entry
from tests.integration.console.test_admin_api import until_balance
from tests.integration.console.test_money import clickhouse


def test_operators_see_when_a_key_was_last_used_and_what_it_spent(
    stack: Stack, client: httpx.Client, new_account: Callable[[], str]
) -> None:
    account = new_account()
    key = client.post("/admin/v1/keys", json={"account": account, "group": "default"}).raise_for_status().json()["id"]
    operator = Person(stack, "operator")
    assert "never" in row_of(operator, key)
    at_us = [MIDNIGHT_US + minutes * 60_000_000 for minutes in (-70, 12, 5)]
    stack.use(account, [usage_entry(account, f"{key}-{at}", key_id=key, started_at_us=at) for at in at_us], f"e-{key}")
    until_balance(client, account, -3 * M1)
    rolled_up(client)
    assert "2021-03-01 00:12" in row_of(operator, key)
    assert "0.00006 USD" in row_of(operator, key)
    # a rollup from before the column was there
    clickhouse(stack, f"ALTER TABLE usage_hourly UPDATE last_started_at_us = 0 WHERE account = '{account}'"
                      " SETTINGS mutations_sync = 1")  # fmt: skip
    assert "2021-03-01 00:00" in row_of(operator, key)
    operator.client.close()


def row_of(operator: Person, key: str) -> str:
    page = operator.get(f"/operator/keys?q={key}").text
    [row] = re.findall(r"<tr><th scope=\"row\">.*?</tr>", page, re.DOTALL)
    return str(row)
