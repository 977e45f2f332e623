"""What ClickHouse's rows must say about themselves: contiguous batches, single requests, rollups equal to rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from lumen.money.usage import COUNT_COLUMNS
from lumen.platform.clickhouse import ClickHouse
from services.billing.clickhouse_sink import ROLLUP_SINK, ClickHouseSink
from services.billing.ledger_queries import as_of
from services.billing.marks import Mark
from services.billing.rollups import MONEY_COLUMNS, Rollups

DRIFTS_NAMED_MAX = 100
_ROLLUP_LOOKS_MAX = 4
_ROLLUP_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Check:
    """One statement and what contradicts it."""

    name: str
    is_ok: bool
    examined: int
    drifts: list[str]


class RowChecks:
    """Raises ClickHouseError. `marks`: ClickHouse's; rows above them do not count."""

    def __init__(self, clickhouse: ClickHouse, sink: ClickHouseSink, rollups: Rollups) -> None:
        self._clickhouse = clickhouse
        self._sink = sink
        self._rollups = rollups

    async def entries(self, marks: Mapping[int, Mark], account: str) -> int:
        condition = _scope(marks, account)
        rows = await self._clickhouse.rows(
            f"SELECT (SELECT count() FROM usage FINAL WHERE {condition})"
            f" + (SELECT count() FROM credits FINAL WHERE {condition})",
            {"account": account},
        )
        return int(rows[0][0])

    async def batch_numbers(self, marks: Mapping[int, Mark]) -> Check:
        """Per (producer, partition): 1, 2, 3 ... without a gap, each number at one place of the stream."""
        batches = " UNION ALL ".join(
            f"SELECT `partition`, producer, epoch, sequence, batch_number FROM {table}"
            f" WHERE {as_of(marks)} AND batch_number > 0"
            for table in ("usage", "credits", "dead_letters")
        )
        grouped = (
            "SELECT `partition`, producer, uniqExact(batch_number) AS numbers, min(batch_number) AS lowest,"
            f" max(batch_number) AS highest, uniqExact(epoch, sequence) AS places FROM ({batches})"
            " GROUP BY `partition`, producer"
        )
        examined = await self._clickhouse.rows(f"SELECT count() FROM ({grouped})")
        rows = await self._clickhouse.rows(
            f"SELECT * FROM ({grouped}) WHERE lowest != 1 OR numbers != highest OR places != numbers"
            f" ORDER BY `partition`, producer LIMIT {DRIFTS_NAMED_MAX}"
        )
        drifts = [
            f"producer {producer} in partition {partition}: {numbers} numbers"
            f" from {lowest} to {highest} at {places} places"
            for partition, producer, numbers, lowest, highest, places in rows
        ]
        return Check("batch_numbers_contiguous", not drifts, int(examined[0][0]), drifts)

    async def request_ids(self, marks: Mapping[int, Mark], account: str) -> Check:
        """No request is charged twice. (A failed attempt's row, cost without revenue, shares its request's id.)"""
        condition = f"{_scope(marks, account)} AND is_billable"
        examined = await self._clickhouse.rows(
            f"SELECT count() FROM usage FINAL WHERE {condition}",
            {"account": account},
        )
        rows = await self._clickhouse.rows(
            "SELECT request_id, any(account), groupArray(5)(concat(toString(sequence), '/', toString(`index`)))"
            f" FROM usage FINAL WHERE {condition} GROUP BY request_id HAVING count() > 1"
            f" ORDER BY request_id LIMIT {DRIFTS_NAMED_MAX}",
            {"account": account},
        )
        drifts = [f"request {request_id} of {owner} at {', '.join(places)}" for request_id, owner, places in rows]
        return Check("request_ids_unique", not drifts, int(examined[0][0]), drifts)

    async def rollups(self, account: str) -> Check:
        """Pending hours are recomputed first; hours still being written to are left to the next look."""
        for look in range(_ROLLUP_LOOKS_MAX):
            if look:
                await asyncio.sleep(_ROLLUP_PAUSE_S)
            await self._rollups.flush()
            check = await self._compare_rollups(account)
            if check.is_ok:
                break
        return check

    async def dead_letters(self, account: str) -> tuple[Check, int]:
        """Listed, and no contradiction: they are recorded, not charged, and wait for a replay."""
        condition = "account = {account:String}" if account else "1"
        parameters = {"account": account}
        total = await self._clickhouse.rows(
            f"SELECT count() FROM dead_letters FINAL WHERE {condition}",
            parameters,
        )
        rows = await self._clickhouse.rows(
            "SELECT `partition`, sequence, `index`, reason, detail, request_id"
            f" FROM dead_letters FINAL WHERE {condition}"
            f" ORDER BY epoch DESC, sequence DESC LIMIT {DRIFTS_NAMED_MAX}",
            parameters,
        )
        listed = [
            f"partition {partition}, {sequence}/{index}: {reason}: {detail[:200]} {request_id}".rstrip()
            for partition, sequence, index, reason, detail, request_id in rows
        ]
        return Check("dead_letters_listed", True, int(total[0][0]), listed), int(total[0][0])

    async def _compare_rollups(self, account: str) -> Check:
        marks = {p: stored.mark for p, stored in (await self._sink.load_marks(ROLLUP_SINK)).items()}
        scope = "account = {account:String}" if account else "1"
        sums = [*COUNT_COLUMNS, *MONEY_COLUMNS, "duration_us", "ttft_us"]
        settled = (
            f"(`partition`, hour) NOT IN (SELECT DISTINCT `partition`, hour FROM usage WHERE NOT ({as_of(marks)}))"
        )
        rows_side = ", ".join(f"sum(ifNull({name}, 0)) AS {name}" for name in sums)
        totals = ", ".join(f"sum({name}) AS {name}" for name in sums)
        rollup_side = ", ".join(f"-sum({name}) AS {name}" for name in sums)
        compared = (
            f"SELECT `partition`, hour, sum(requests) AS requests, {totals}"
            f" FROM (SELECT `partition`, hour, toInt64(count()) AS requests, {rows_side} FROM usage FINAL"
            f" WHERE {scope} AND {settled} GROUP BY `partition`, hour UNION ALL"
            f" SELECT `partition`, hour, -toInt64(sum(requests)) AS requests, {rollup_side} FROM usage_hourly FINAL"
            f" WHERE {scope} AND {settled} GROUP BY `partition`, hour) GROUP BY `partition`, hour"
        )
        examined = await self._clickhouse.rows(f"SELECT count() FROM ({compared})", {"account": account})
        differing = " OR ".join(f"{name} != 0" for name in ["requests", *sums])
        rows = await self._clickhouse.rows(
            f"SELECT `partition`, toString(hour), requests, cost_nanousd FROM ({compared}) WHERE {differing}"
            f" ORDER BY hour, `partition` LIMIT {DRIFTS_NAMED_MAX}",
            {"account": account},
        )
        drifts = [
            f"hour {hour} of partition {partition}: rows minus rollup = {requests} requests, {cost} nano-USD"
            for partition, hour, requests, cost in rows
        ]
        return Check("rollups_equal_rows", not drifts, int(examined[0][0]), drifts)


def _scope(marks: Mapping[int, Mark], account: str) -> str:
    return as_of(marks) + (" AND account = {account:String}" if account else "")
