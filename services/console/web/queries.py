"""What pages show of usage: series for charts from the hourly rollups, requests and keys from the rows themselves.

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
By = Literal["model", "key", "group", "channel", "account"]
Measure = Literal["cost", "tokens", "requests"]

LOG_PAGE = 50
_SERIES_ROWS_MAX = 50_000
_KEYS_MAX = 10_000
_STEPS = {"hour": "toUnixTimestamp(hour)", "day": "toUnixTimestamp(toStartOfDay(hour, 'UTC'))"}
_BY = {"model": "model", "key": "key_id", "group": "`group`", "channel": "channel", "account": "account"}
_MEASURES = {
    "cost": "sum(cost_nanousd)",
    "requests": "sum(billable_requests)",
    "tokens": "sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens"
    " + audio_input_tokens + audio_output_tokens + image_input_tokens)",
}
_HOURS = "hour >= toDateTime({since_s:Int64}, 'UTC') AND hour < toDateTime({until_s:Int64}, 'UTC')"
_LOG_COLUMNS = (
    *("request_id", "started_at_us", "duration_us", "ttft_us", "key_id", "group", "model", "status", "is_stream"),
    *("is_estimated", "is_billable", "finish_reason", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens"),
    *("cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "cost_nanousd", "epoch", "sequence", "index"),
)


@dataclass(frozen=True, slots=True)
class Point:
    at_s: int
    name: str
    figure: int


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Empty fields do not filter. `status`: ok (2xx) or failed. `before`: a row's cursor, for the next page."""

    since_s: int
    until_s: int
    request_id: str = ""
    model: str = ""
    key_id: str = ""
    status: Literal["", "ok", "failed"] = ""
    before: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """One entry of the ledger; a count is None where the provider did not report it."""

    request_id: str
    started_at_us: int
    duration_us: int
    ttft_us: int
    key_id: str
    group: str
    model: str
    status: int
    is_stream: bool
    is_estimated: bool
    is_billable: bool
    finish_reason: str
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_nanousd: int
    epoch: int
    sequence: int
    index: int

    @property
    def cursor(self) -> str:
        return f"{self.started_at_us}-{self.epoch}-{self.sequence}-{self.index}"


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


def parse_cursor(text: str) -> tuple[int, int, int, int] | None:
    """None for anything that is no cursor of ours."""
    parts = text.split("-")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        return None
    at_us, epoch, sequence, index = map(int, parts)
    return at_us, epoch, sequence, index


class PageQueries:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._rows = Rows(clickhouse)

    async def series(
        self, account: str, since_s: int, until_s: int, step: Step, by: By, measure: Measure, key_id: str = ""
    ) -> list[Point]:
        """In order of time. `account` empty: all accounts."""
        where = f"{_HOURS}{' AND account = {account:String}' if account else ''}"
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

    async def requests(self, account: str, wanted: LogFilter) -> tuple[list[LogRow], bool]:
        """(newest first, whether there are more)."""
        where = [
            "account = {account:String}",
            "hour >= toDateTime({since_s:Int64} - {since_s:Int64} % 3600, 'UTC')",
            "started_at_us >= {since_s:Int64} * 1000000 AND started_at_us < {until_s:Int64} * 1000000",
        ]
        if wanted.request_id:
            where.append("request_id = {request_id:String}")
        if wanted.model:
            where.append("model = {model:String}")
        if wanted.key_id:
            where.append("key_id = {key_id:String}")
        if wanted.status:
            where.append(f"{'NOT ' if wanted.status == 'failed' else ''}(status >= 200 AND status < 300)")
        before = wanted.before or (0, 0, 0, 0)
        if wanted.before is not None:
            where.append(
                "(started_at_us, epoch, sequence, `index`)"
                " < ({at:Int64}, {epoch:UInt32}, {sequence:UInt64}, {index:UInt32})"
            )
        columns = ", ".join(f"`{column}`" for column in _LOG_COLUMNS)
        rows = await self._rows(
            f"SELECT {columns} FROM usage FINAL WHERE {' AND '.join(where)}"
            f" ORDER BY started_at_us DESC, epoch DESC, sequence DESC, `index` DESC LIMIT {LOG_PAGE + 1}",
            {
                "account": account,
                "since_s": wanted.since_s,
                "until_s": wanted.until_s,
                "request_id": wanted.request_id,
                "model": wanted.model,
                "key_id": wanted.key_id,
                **dict(zip(("at", "epoch", "sequence", "index"), before, strict=True)),
            },
        )
        return [LogRow(*row) for row in rows[:LOG_PAGE]], len(rows) > LOG_PAGE

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

    async def margins(self, since_s: int, until_s: int, by: By) -> list[tuple[str, int, int, int]]:
        """(name, charged requests, revenue, upstream cost), largest revenue first."""
        rows = await self._rows(
            f"SELECT {_BY[by]} AS name, sum(billable_requests), sum(cost_nanousd) AS revenue,"
            f" sum(upstream_cost_nanousd) FROM usage_hourly FINAL WHERE {_HOURS}"
            " GROUP BY name ORDER BY revenue DESC, name LIMIT 1000",
            {"since_s": since_s, "until_s": until_s},
        )
        return [(str(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in rows]

    async def credits(self, account: str, limit: int = 100) -> list[dict[str, Any]]:
        """The newest entries that moved the balance by decision."""
        names = ("created_at_us", "kind", "source", "reference", "note", "amount_nanousd", "expires_at_s")
        rows = await self._rows(
            f"SELECT {', '.join(names)} FROM credits FINAL WHERE account = {{account:String}}"
            " ORDER BY created_at_us DESC, sequence DESC LIMIT {limit:UInt32}",
            {"account": account, "limit": limit},
        )
        return [dict(zip(names, row, strict=True)) for row in rows]
