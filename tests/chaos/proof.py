"""The proof after a scenario, request by request, and the table that all scenarios fill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from tests.fixtures.stack import Customer, Stack, until

_CLEAN_S_MAX = 120.0
_EXPLAINED = 3  # of each scenario's requests, worked out again by Lumen itself


@dataclass(frozen=True, slots=True)
class Tally:
    """One scenario's figures. `lost`: seen complete, not charged. `doubled`: charged more than once. `drift_nanousd`:
    credits - rows - balance, plus what complete requests were charged more or less than their price by hand."""

    scenario: str
    complete: int
    entries: int
    charges: int
    lost: int
    doubled: int
    drift_nanousd: int

    @property
    def is_exact(self) -> bool:
        return self.lost == self.doubled == self.drift_nanousd == 0


@dataclass(frozen=True, slots=True)
class Charges:
    """Of one request id: rows, billable rows, their cost."""

    rows: int
    billable: int
    cost_nanousd: int


def clickhouse_rows(stack: Stack, sql: str, **parameters: str) -> list[list[Any]]:
    """`parameters`: bound by the server as `{name:Type}`. Integers of 64 bits come as integers."""
    url, _, database = stack.env["LUMEN_CLICKHOUSE_URL"].rpartition("/")
    answer = httpx.post(
        url,
        content=f"{sql} FORMAT JSONCompactEachRow",
        params={
            "database": database,
            "output_format_json_quote_64bit_integers": "0",
            **{f"param_{name}": value for name, value in parameters.items()},
        },
        timeout=30,
    )
    answer.raise_for_status()
    return [json.loads(line) for line in answer.text.splitlines()]


def charges_of(stack: Stack, account: str) -> dict[str, Charges]:
    """By request id."""
    rows = clickhouse_rows(
        stack,
        "SELECT request_id, count(), countIf(is_billable), sum(cost_nanousd) FROM usage FINAL"
        " WHERE account = {account:String} GROUP BY request_id",
        account=account,
    )
    return {row[0]: Charges(row[1], row[2], row[3]) for row in rows}


def until_clean(stack: Stack) -> Any:
    """The clean report of reconcile over everything. Raises AssertionError with what is wrong."""
    last: dict[str, Any] = {}

    def look() -> Any:
        try:
            last["report"] = stack.admin("GET", "/reconcile")
        except httpx.HTTPError as error:
            last["report"] = repr(error)
            return None
        return last["report"] if last["report"]["is_ok"] else None

    try:
        return until(look, "reconcile is clean", _CLEAN_S_MAX)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from error


def prove(
    scenario: str, stack: Stack, customer: Customer, complete: Mapping[str, int], most_nanousd: int | None = None
) -> Tally:
    """Reconcile is clean, and each request seen complete has exactly one billable row, of its price to the nano-dollar;
    `lumen explain` comes to the same for a few of them.

    `complete`: request id -> price worked out by hand. `most_nanousd`: all that may have been charged.
    """
    until_clean(stack)
    charges = charges_of(stack, customer.account)
    charged = sum(found.cost_nanousd for found in charges.values())
    drift = abs(customer.credits_nanousd - charged - stack.balance_nanousd(customer.account))
    for request_id, price in complete.items():
        if request_id in charges and charges[request_id].billable == 1:
            drift += abs(charges[request_id].cost_nanousd - price)
    tally = Tally(
        scenario,
        complete=len(complete),
        entries=sum(found.rows for found in charges.values()),
        charges=sum(found.billable for found in charges.values()),
        lost=sum(request_id not in charges or not charges[request_id].billable for request_id in complete),
        doubled=sum(found.billable > 1 for found in charges.values()),
        drift_nanousd=drift,
    )
    assert tally.is_exact, tally
    for request_id in list(complete)[:: max(1, len(complete) // _EXPLAINED)]:
        explained = stack.admin("GET", f"/usage/requests/{request_id}/explain")
        assert explained["agrees"], explained
        assert explained["posted_nanousd"] == complete[request_id]
    assert most_nanousd is None or charged <= most_nanousd, f"charged {charged}, at most {most_nanousd} was answered"
    return tally


def as_json(tally: Tally) -> str:
    return json.dumps(asdict(tally))
