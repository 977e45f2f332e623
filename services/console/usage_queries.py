"""What accounts used, summed by ClickHouse over deduplicated rows (FINAL): exact, and as new as billing's mark.

Every value is bound by the server; the text is put together from the constants here only. Token sums are over billable
entries, so that they explain the cost; failed and cancelled attempts are counted apart.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from lumen.money.amounts import format_usd
from lumen.platform.clickhouse import ClickHouse
from services.console.errors import InvalidRequest
from services.console.rows import Rows

Grouping = Literal["model", "key", "day"]

ROWS_MAX = 10_000
TOKEN_BUCKETS = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
)
_COUNTERS = (*(f"{bucket}_tokens" for bucket in TOKEN_BUCKETS), "server_tool_requests")
_GROUP_BY = {"model": "model", "key": "key_id", "day": "toString(toDate(hour))"}
# `hour` is in the sorting key, `started_at_us` is the exact bound.
_WINDOW = (
    "account = {account:String}"
    " AND hour >= toDateTime({since_s:Int64} - {since_s:Int64} % 3600, 'UTC')"
    " AND hour <= toDateTime({until_s:Int64}, 'UTC')"
    " AND started_at_us >= {since_s:Int64} * 1000000 AND started_at_us < {until_s:Int64} * 1000000"
)


class UsageCounts(BaseModel):
    """Sums. The token buckets are disjoint; `reasoning_tokens` is part of `output_tokens`."""

    requests: int
    unbilled_requests: int  # failed or cancelled attempts: cost to us, none to the account
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    server_tool_requests: int
    cost_nanousd: int
    cost_usd: str


class UsageRow(UsageCounts):
    value: str  # the model's code, the key's id or the day (UTC)
    label: str = ""  # the key's name


class UsageView(BaseModel):
    account: str
    since: str | None
    until: str | None
    by: Grouping
    rows: list[UsageRow]
    total: UsageCounts


class UsageQueries:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._rows = Rows(clickhouse)

    async def summed(
        self, account: str, since_s: int, until_s: int, by: Grouping
    ) -> tuple[list[UsageRow], UsageCounts]:
        """Rows by cost, largest first (days: by date), and their total."""
        columns = ["countIf(is_billable)", "countIf(NOT is_billable)"]
        columns += [f"sumIf(ifNull({counter}, 0), is_billable)" for counter in _COUNTERS]
        order = "value" if by == "day" else "cost DESC, value"
        rows = await self._rows(
            f"SELECT {_GROUP_BY[by]} AS value, {', '.join(columns)}, sum(cost_nanousd) AS cost"
            f" FROM usage FINAL WHERE {_WINDOW} GROUP BY value ORDER BY {order} LIMIT {ROWS_MAX + 1}",
            {"account": account, "since_s": since_s, "until_s": until_s},
        )
        if len(rows) > ROWS_MAX:
            raise InvalidRequest("by", f"more than {ROWS_MAX} rows; ask for a shorter time with `since` and `until`")
        sums = [sum(column) for column in list(zip(*rows, strict=True))[1:]] or [0] * (len(columns) + 1)
        return [UsageRow(value=row[0], **_counts(row[1:])) for row in rows], UsageCounts(**_counts(sums))


def _counts(figures: Any) -> dict[str, Any]:
    named = dict(zip(("requests", "unbilled_requests", *_COUNTERS, "cost_nanousd"), figures, strict=True))
    return {**named, "cost_usd": format_usd(named["cost_nanousd"])}
