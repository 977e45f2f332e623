"""Revenue, cost and margin from the hourly rollups; which sums moved most; whether the rollups are complete."""

from __future__ import annotations

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


class FinanceQueries:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self.rows = Rows(clickhouse)

    async def margins(
        self, scope: Scope, period: Period, by: Dimension | None, after: list[str] | None, limit: int
    ) -> tuple[MarginCounts, list[tuple[str, str, MarginCounts]]]:
        """The sums of everything, and (period, value, sums) in that order behind `after`: one more than `limit` when
        there are more. One query: rollups are read once, and both are of one moment."""
        value = VALUE_SQL[by] if by else "''"
        grouped = (
            f"SELECT {PERIOD_SQL[period]} AS period, {value} AS value, {_COUNTS_SQL} FROM usage_hourly FINAL"
            f" WHERE {scope.where} GROUP BY period, value"
        )
        totals = ", ".join(f"sum({name}) OVER () AS total_{name}" for name in _COUNTS)
        behind = " WHERE (period, value) > ({after_period:String}, {after_value:String})" if after else ""
        rows = await self.rows(
            f"SELECT * FROM (SELECT *, {totals} FROM ({grouped})){behind}"
            f" ORDER BY period, value LIMIT {{rows:UInt32}}{FINAL_SETTINGS}",
            {
                **scope.parameters,
                "rows": limit + 1,
                **dict(zip(("after_period", "after_value"), after or (), strict=False)),
            },
        )
        if not rows and after:  # behind the last row: the totals have no row to ride on
            return (await self.margins(scope, period, by, None, 1))[0], []
        total = counts(*rows[0][-len(_COUNTS) :]) if rows else counts(0, 0, 0, 0)
        return total, [(row[0], row[1], counts(*row[2 : 2 + len(_COUNTS)])) for row in rows]

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
