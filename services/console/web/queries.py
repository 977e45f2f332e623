"""What pages show of usage beside what the API answers: series for charts, keys and channels.

Every value is bound by the server; the text is put together from the constants here only. A member's queries always
carry the account. Times are Unix seconds, `until_s` excluded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from lumen.platform.clickhouse import ClickHouse
from services.console.rows import Rows

Step = Literal["hour", "day"]
By = Literal["model", "key"]
Measure = Literal["cost", "tokens", "requests"]

_SERIES_ROWS_MAX = 50_000
_KEYS_MAX = 10_000
_STEPS = {"hour": "toUnixTimestamp(hour)", "day": "toUnixTimestamp(toStartOfDay(hour, 'UTC'))"}
_BY = {"model": "model", "key": "key_id"}
_MEASURES = {
    "cost": "sum(cost_nanousd)",
    "requests": "sum(billable_requests)",
    "tokens": "sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens"
    " + audio_input_tokens + audio_output_tokens + image_input_tokens)",
}
_HOURS = "hour >= toDateTime({since_s:Int64}, 'UTC') AND hour < toDateTime({until_s:Int64}, 'UTC')"


@dataclass(frozen=True, slots=True)
class Point:
    at_s: int
    name: str
    figure: int


@dataclass(frozen=True, slots=True)
class KeyUse:
    last_used_us: int
    spent_nanousd: int


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """Of attempts (a request may try several channels) and of requests that the channel answered."""

    attempts: int = 0
    failed: int = 0
    ttft_p50_us: int = 0
    ttft_p95_us: int = 0
    revenue_nanousd: int = 0
    cost_nanousd: int = 0


class PageQueries:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._rows = Rows(clickhouse)

    async def series(
        self, account: str, since_s: int, until_s: int, step: Step, by: By, measure: Measure, key_id: str = ""
    ) -> list[Point]:
        """In order of time."""
        where = f"{_HOURS} AND account = {{account:String}}"
        where += " AND key_id = {key_id:String}" if key_id else ""
        rows = await self._rows(
            f"SELECT {_STEPS[step]} AS at, {_BY[by]} AS name, {_MEASURES[measure]} AS figure FROM usage_hourly FINAL"
            f" WHERE {where} GROUP BY at, name HAVING figure > 0 ORDER BY at, name LIMIT {_SERIES_ROWS_MAX}",
            {"account": account, "since_s": since_s, "until_s": until_s, "key_id": key_id},
        )
        return [Point(int(at), str(name), int(figure)) for at, name, figure in rows]

    async def spent(self, account: str, since_s: int, until_s: int) -> tuple[int, int]:
        """(nano-USD, charged requests) by the rows."""
        rows = await self._rows(
            "SELECT sum(cost_nanousd), countIf(is_billable) FROM usage FINAL WHERE account = {account:String}"
            " AND hour >= toDateTime({since_s:Int64} - {since_s:Int64} % 3600, 'UTC')"
            " AND started_at_us >= {since_s:Int64} * 1000000 AND started_at_us < {until_s:Int64} * 1000000",
            {"account": account, "since_s": since_s, "until_s": until_s},
        )
        return int(rows[0][0]), int(rows[0][1])

    async def key_uses(self, accounts: Collection[str]) -> dict[str, KeyUse]:
        """Of each key of these accounts that was ever used, by the rollups: some seconds behind."""
        rows = await self._rows(
            "SELECT key_id, max(greatest(last_started_at_us, toInt64(toUnixTimestamp(hour)) * 1000000)),"
            " sum(cost_nanousd) FROM usage_hourly FINAL WHERE account IN {accounts:Array(String)}"
            f" GROUP BY key_id LIMIT {_KEYS_MAX}",
            {"accounts": sorted(set(accounts))},
        )
        return {str(key): KeyUse(int(last), int(spent)) for key, last, spent in rows}

    async def channels(self, since_s: int) -> dict[str, ChannelFigures]:
        """Of all channels with traffic since then."""
        window = (
            "hour >= toDateTime({since_s:Int64} - {since_s:Int64} % 3600, 'UTC')"
            " AND started_at_us >= {since_s:Int64} * 1000000"
        )
        attempts = await self._rows(
            "SELECT JSONExtractString(attempt, 1) AS tried, count(), countIf(JSONExtractInt(attempt, 2) = 0"
            " OR JSONExtractInt(attempt, 2) >= 400) FROM (SELECT arrayJoin(JSONExtractArrayRaw(attempts)) AS attempt"
            f" FROM usage FINAL WHERE {window}) GROUP BY tried",
            {"since_s": since_s},
        )
        answers = await self._rows(
            "SELECT channel, toInt64(ifNotFinite(quantileIf(0.5)(ttft_us, ttft_us > 0), 0)),"
            " toInt64(ifNotFinite(quantileIf(0.95)(ttft_us, ttft_us > 0), 0)),"
            f" sum(cost_nanousd), sum(upstream_cost_nanousd) FROM usage FINAL WHERE {window} GROUP BY channel",
            {"since_s": since_s},
        )
        tried = {str(name): (int(number), int(failed)) for name, number, failed in attempts}
        answered = {str(name): tuple(map(int, figures)) for name, *figures in answers}
        return {
            name: ChannelFigures(*tried.get(name, (0, 0)), *answered.get(name, (0, 0, 0, 0)))
            for name in tried.keys() | answered.keys()
        }

    async def credits(self, account: str, limit: int = 100) -> list[dict[str, Any]]:
        """The newest entries that moved the balance by decision."""
        names = ("created_at_us", "kind", "source", "reference", "note", "amount_nanousd", "expires_at_s")
        rows = await self._rows(
            f"SELECT {', '.join(names)} FROM credits FINAL WHERE account = {{account:String}}"
            " ORDER BY created_at_us DESC, sequence DESC LIMIT {limit:UInt32}",
            {"account": account, "limit": limit},
        )
        return [dict(zip(names, row, strict=True)) for row in rows]
