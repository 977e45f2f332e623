"""Revenue, cost and margin from the hourly rollups; which sums moved most; whether the rollups are complete."""

from __future__ import annotations

from typing import NamedTuple

from lumen.platform.clickhouse import ClickHouse
from services.console.finance.scope import (
    FINAL_SETTINGS,
    PERIOD_SQL,
    REVENUE_SQL,
    UPSTREAM_SQL,
    VALUE_SQL,
    Days,
    Dimension,
    Measure,
    Period,
    Scope,
)
from services.console.finance.views import MarginCounts, counts
from services.console.rows import Rows

_COUNTS = {
    "all_requests": "sum(requests)",
    "charged_requests": "sum(billable_requests)",
    "revenue": REVENUE_SQL,
    "upstream": UPSTREAM_SQL,
}
_MARGIN_KEY = "period, is_rest, value"
_COUNTS_SQL = ", ".join(f"{sql} AS {name}" for name, sql in _COUNTS.items())
_MEASURE_SQL: dict[Measure, str] = {
    "revenue": "toInt128(cost_nanousd)",
    "upstream_cost": "toInt128(upstream_cost_nanousd)",
    "margin": "toInt128(cost_nanousd) - toInt128(upstream_cost_nanousd)",
}
# A channel's provider is the host it last called; a channel that is gone keeps its last one.
_PROVIDERS_SQL = (
    "SELECT name, argMax(host, revision) FROM (SELECT revision, JSONExtractString(channel, 'name') AS name,"
    " domain(arrayElement(mapValues(JSONExtract(channel, 'dialects', 'Map(String, String)')), 1)) AS host"
    " FROM catalog_revisions ARRAY JOIN JSONExtractArrayRaw(catalog, 'channels') AS channel)"
    " WHERE name != '' GROUP BY name ORDER BY name"
)
# Rows sink and rollups each have a mark per partition; equal marks: every posted row is in the rollups.
_BEHIND_SQL = (
    "SELECT count() FROM (SELECT `partition`,"
    " maxIf((epoch, sequence), sink = 'usage') AS rows, maxIf((epoch, sequence), sink = 'rollup') AS rollups"
    " FROM marks FINAL GROUP BY `partition`) WHERE rows > rollups"
)


class MarginSums(NamedTuple):
    period: str
    is_rest: bool
    value: str
    counts: MarginCounts

    @property
    def key(self) -> tuple[str, str, str]:
        """Where it stands in the order, as text."""
        return self.period, str(int(self.is_rest)), self.value


class FinanceQueries:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self.rows = Rows(clickhouse)

    async def margins(
        self, scope: Scope, period: Period, by: Dimension | None, after: list[str] | None, limit: int, top: int = 0
    ) -> tuple[MarginCounts, list[MarginSums]]:
        """The sums of everything, and rows in the order of their keys behind the key `after`: one more than `limit`
        when there are more. One query, so both are of one moment. `top`: only the values with the largest revenue in
        all of the scope are told apart, the others are summed up as the rest; 0: all are."""
        value = VALUE_SQL[by] if by else "''"
        is_rest = "false"
        if by and top:
            is_rest = (
                f"{value} NOT IN (SELECT {value} AS kept FROM usage_hourly FINAL WHERE {scope.where}"
                f" GROUP BY kept ORDER BY {REVENUE_SQL} DESC, kept LIMIT {{top:UInt32}})"
            )
            value = f"if(is_rest, '', {value})"
        grouped = (
            f"SELECT {PERIOD_SQL[period]} AS period, {is_rest} AS is_rest, {value} AS value, {_COUNTS_SQL}"
            f" FROM usage_hourly FINAL WHERE {scope.where} GROUP BY period, is_rest, value"
        )
        totals = ", ".join(f"sum({name}) OVER () AS total_{name}" for name in _COUNTS)
        behind = f" WHERE ({_MARGIN_KEY}) > ({{at0:String}}, {{at1:Bool}}, {{at2:String}})" if after else ""
        rows = await self.rows(
            f"SELECT * FROM (SELECT *, {totals} FROM ({grouped})){behind}"
            f" ORDER BY {_MARGIN_KEY} LIMIT {{rows:UInt32}}{FINAL_SETTINGS}",
            {**scope.parameters, "rows": limit + 1, "top": top}
            | {f"at{number}": part for number, part in enumerate(after or ())},
        )
        if not rows and after:  # behind the last row: the totals have no row to ride on
            return (await self.margins(scope, period, by, None, 1))[0], []
        total = counts(*rows[0][-len(_COUNTS) :]) if rows else counts(0, 0, 0, 0)
        return total, [MarginSums(row[0], bool(row[1]), row[2], counts(*row[3 : 3 + len(_COUNTS)])) for row in rows]

    async def movers(self, scope: Scope, by: Dimension, measure: Measure, limit: int) -> list[tuple[str, int, int]]:
        """(value, before, after) nano-USD, largest change first: the scope's days against as many days before."""
        days = scope.days
        whole = Scope(Days(days.before.since, days.until), scope.only, scope.providers)
        amount = _MEASURE_SQL[measure]
        rows = await self.rows(
            f"SELECT {VALUE_SQL[by]} AS value, sumIf({amount}, hour < toDateTime({{middle_s:Int64}}, 'UTC')) AS before,"
            f" sumIf({amount}, hour >= toDateTime({{middle_s:Int64}}, 'UTC')) AS after FROM usage_hourly FINAL"
            f" WHERE {whole.where} GROUP BY value HAVING before != after"
            f" ORDER BY abs(after - before) DESC, value LIMIT {{rows:UInt32}}{FINAL_SETTINGS}",
            {**whole.parameters, "middle_s": days.bounds_s[0], "rows": limit},
        )
        return [(row[0], row[1], row[2]) for row in rows]

    async def providers(self) -> dict[str, str]:
        """Channel -> host of the provider it calls (or last called)."""
        return dict(await self.rows(_PROVIDERS_SQL))

    async def is_current(self) -> bool:
        """Whether the rollups hold every row that billing has posted."""
        rows = await self.rows(_BEHIND_SQL)
        return not rows[0][0]

    async def sums(self) -> tuple[int, int, int]:
        """(credits, revenue by rows, revenue by rollups), nano-USD, of everything ever posted."""
        rows = await self.rows(
            "SELECT (SELECT sum(toInt128(amount_nanousd)) FROM credits FINAL),"
            f" (SELECT {REVENUE_SQL} FROM usage FINAL), (SELECT {REVENUE_SQL} FROM usage_hourly FINAL)"
            f"{FINAL_SETTINGS}"
        )
        return tuple(int(figure or 0) for figure in rows[0])  # type: ignore[return-value]
