"""An account's month: opening + credits - usage + adjustments = closing, to the last nano-dollar.

By the time of each entry (when a request began, when a credit was made), UTC. A past month can still change while an
edge that was cut off drains its spool; then opening and closing of the months around it move together.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from lumen.money.amounts import format_usd
from lumen.platform.clickhouse import ClickHouse
from services.console.errors import InvalidRequest
from services.console.rows import Rows
from services.console.times import format_time, format_time_us

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
_CREDIT_KINDS = ("topup", "grant")  # all others are adjustments
CREDITS_LISTED_MAX = 1000


class AmountView(BaseModel):
    nanousd: int
    usd: str


class StatementCreditView(BaseModel):
    created_at: str
    kind: str
    source: str
    reference: str
    note: str
    amount: AmountView


class StatementModelView(BaseModel):
    model: str
    requests: int
    cost: AmountView


class StatementView(BaseModel):
    """`difference` is zero: closing is summed up apart from the four figures. `credits` and `adjustments` list at most
    1000 entries (but no expiry of nothing); the sums are of all."""

    account: str
    month: str
    since: str | None
    until: str | None
    is_over: bool  # the month is past
    opening: AmountView
    credits: AmountView
    usage: AmountView
    adjustments: AmountView
    closing: AmountView
    difference: AmountView
    usage_by_model: list[StatementModelView]
    entries: list[StatementCreditView]


def month_bounds_s(month: str) -> tuple[int, int]:
    """`2026-11` -> Unix seconds of its first instant and the next month's. Raises InvalidRequest."""
    match = _MONTH.fullmatch(month)
    if match is None:
        raise InvalidRequest("month", "write a month such as 2026-11")
    year, number = int(match[1]), int(match[2])
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    return int(datetime(year, number, 1, tzinfo=UTC).timestamp()), int(datetime(*following, 1, tzinfo=UTC).timestamp())


class Statements:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._rows = Rows(clickhouse)

    async def month(self, account: str, month: str, now_s: int) -> StatementView:
        since_s, until_s = month_bounds_s(month)
        bounds = {"account": account, "since_us": since_s * 1_000_000, "until_us": until_s * 1_000_000}
        kinds = ", ".join(f"'{kind}'" for kind in _CREDIT_KINDS)  # constants
        ((credited_before, credits_, adjustments, credited_by_end),) = await self._rows(
            "SELECT sumIf(amount_nanousd, created_at_us < {since_us:Int64}),"
            f" sumIf(amount_nanousd, created_at_us >= {{since_us:Int64}} AND kind IN ({kinds})),"
            f" sumIf(amount_nanousd, created_at_us >= {{since_us:Int64}} AND kind NOT IN ({kinds})),"
            " sum(amount_nanousd)"
            " FROM credits FINAL WHERE account = {account:String} AND created_at_us < {until_us:Int64}",
            bounds,
        )
        ((used_before, used, used_by_end),) = await self._rows(
            "SELECT sumIf(cost_nanousd, started_at_us < {since_us:Int64}),"
            " sumIf(cost_nanousd, started_at_us >= {since_us:Int64}), sum(cost_nanousd)"
            " FROM usage FINAL WHERE account = {account:String} AND started_at_us < {until_us:Int64}",
            bounds,
        )
        opening, closing = credited_before - used_before, credited_by_end - used_by_end
        return StatementView(
            account=account,
            month=month,
            since=format_time(since_s),
            until=format_time(until_s),
            is_over=now_s >= until_s,
            opening=_amount(opening),
            credits=_amount(credits_),
            usage=_amount(used),
            adjustments=_amount(adjustments),
            closing=_amount(closing),
            difference=_amount(opening + credits_ - used + adjustments - closing),
            usage_by_model=await self._by_model(bounds),
            entries=await self._entries(bounds),
        )

    async def _by_model(self, bounds: dict[str, Any]) -> list[StatementModelView]:
        rows = await self._rows(
            "SELECT model, countIf(is_billable), sum(cost_nanousd) AS cost FROM usage FINAL"
            " WHERE account = {account:String} AND started_at_us >= {since_us:Int64}"
            " AND started_at_us < {until_us:Int64} GROUP BY model ORDER BY cost DESC, model",
            bounds,
        )
        return [StatementModelView(model=row[0], requests=row[1], cost=_amount(row[2])) for row in rows]

    async def _entries(self, bounds: dict[str, Any]) -> list[StatementCreditView]:
        rows = await self._rows(
            "SELECT created_at_us, kind, source, reference, note, amount_nanousd FROM credits FINAL"
            " WHERE account = {account:String} AND created_at_us >= {since_us:Int64}"
            " AND created_at_us < {until_us:Int64}"
            " AND amount_nanousd != 0 ORDER BY created_at_us, sequence"
            f" LIMIT {CREDITS_LISTED_MAX}",
            bounds,
        )
        return [
            StatementCreditView(
                created_at=format_time_us(at),
                kind=kind,
                source=source,
                reference=reference,
                note=note,
                amount=_amount(amount),
            )
            for at, kind, source, reference, note, amount in rows
        ]


def _amount(nanousd: int) -> AmountView:
    return AmountView(nanousd=nanousd, usd=format_usd(nanousd))
