"""Which rollups a question is about: whole days (UTC) and, where asked, one value of each dimension.

Rollups are by the hour a request began in, so days, weeks and months come out exact whenever a row arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from services.console.errors import InvalidRequest

Period = Literal["day", "week", "month", "all"]
Dimension = Literal["model", "provider", "channel", "group", "account", "key"]
Measure = Literal["revenue", "upstream_cost", "margin"]

DAYS_MAX = 3_660
_EARLIEST, _LATEST = date(2000, 1, 1), date(2100, 1, 1)
_DEFAULT_DAYS = 30

# Constants only: what callers say is bound by the server.
PERIOD_SQL: dict[Period, str] = {
    "day": "toString(toDate(hour))",
    "week": "toString(toMonday(hour))",
    "month": "toString(toStartOfMonth(hour))",
    "all": "''",
}
VALUE_SQL: dict[Dimension, str] = {
    "model": "model",
    "provider": "transform(channel, {channels:Array(String)}, {providers:Array(String)}, '')",
    "channel": "channel",
    "group": "`group`",
    "account": "account",
    "key": "key_id",
}
REVENUE_SQL = "sum(toInt128(cost_nanousd))"
UPSTREAM_SQL = "sum(toInt128(upstream_cost_nanousd))"
# Equal keys share an hour, so they share a month's partition: FINAL need not look across.
FINAL_SETTINGS = " SETTINGS do_not_merge_across_partitions_select_final = 1"


@dataclass(frozen=True, slots=True)
class Days:
    """`since` is in it, `until` is not."""

    since: date
    until: date

    @property
    def before(self) -> Days:
        """As many days, ending where these begin."""
        return Days(self.since - (self.until - self.since), self.since)

    def parts(self, parts_max: int) -> Iterator[Days]:
        """One after the other, each a day or, where that were more than `parts_max`, as few as can be."""
        step = timedelta(days=-(-(self.until - self.since).days // parts_max))
        since = self.since
        while since < self.until:
            yield Days(since, min(since + step, self.until))
            since += step

    @property
    def bounds_s(self) -> tuple[int, int]:
        return unix_s(self.since), unix_s(self.until)


@dataclass(frozen=True, slots=True)
class Scope:
    """`only`: dimension -> its one value. `providers`: channel -> host."""

    days: Days
    only: dict[Dimension, str] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        conditions = ["hour >= toDateTime({since_s:Int64}, 'UTC')", "hour < toDateTime({until_s:Int64}, 'UTC')"]
        conditions += [f"{VALUE_SQL[dimension]} = {{only_{dimension}:String}}" for dimension in self.only]
        return " AND ".join(conditions)

    @property
    def parameters(self) -> dict[str, Any]:
        since_s, until_s = self.days.bounds_s
        return {
            "since_s": since_s,
            "until_s": until_s,
            **{f"only_{dimension}": value for dimension, value in self.only.items()},
            **provider_parameters(self.providers),
        }


def provider_parameters(providers: dict[str, str]) -> dict[str, list[str]]:
    """transform() wants at least one pair; no channel has an empty name."""
    return {"channels": [*providers, ""], "providers": [*providers.values(), ""]}


def days_of(since: date | None, until: date | None, now_s: int) -> Days:
    """`until` is exclusive; defaults: 30 days, today (UTC) included. Raises InvalidRequest."""
    end = until or datetime.fromtimestamp(now_s, UTC).date() + timedelta(days=1)
    start = since or end - timedelta(days=_DEFAULT_DAYS)
    if not _EARLIEST <= start <= _LATEST:
        raise InvalidRequest("since", "must be between 2000 and 2100")
    if not _EARLIEST <= end <= _LATEST:
        raise InvalidRequest("until", "must be between 2000 and 2100")
    if start >= end:
        raise InvalidRequest("since", "must be before `until`, which is not part of the time asked for")
    if (end - start).days > DAYS_MAX:
        raise InvalidRequest("since", f"at most {DAYS_MAX} days")
    return Days(start, end)


def instant_s(at: date) -> int:
    """Unix seconds of the day's first instant. Raises InvalidRequest."""
    if not _EARLIEST <= at <= _LATEST:
        raise InvalidRequest("at", "must be between 2000 and 2100")
    return unix_s(at)


def unix_s(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())
