"""Hourly rollups, recomputed from deduplicated rows for the hours touched; never summed up by inserts.

What is due lives in memory; a mark of its own in ClickHouse says up to which ledger position the rollups are complete,
so a restart finds what was due.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from itertools import islice

from lumen.money.usage import COUNT_COLUMNS
from lumen.platform.clickhouse import ClickHouse, ClickHouseError
from services.billing.clickhouse_sink import ROLLUP_SINK, ClickHouseSink
from services.billing.health import Health
from services.billing.ledger_queries import as_of
from services.billing.marks import Mark
from services.billing.metrics import BillingMetrics

logger = logging.getLogger(__name__)

_HOURS_AT_ONCE = 256
_PAUSE_PER_WORK = 20  # at most a twentieth of ClickHouse's time
_PAUSE_S_MAX = 300.0

MONEY_COLUMNS = ("cost_nanousd", "upstream_cost_nanousd")
_DIMENSIONS = "hour, `partition`, account, key_id, `group`, model, channel, client_dialect, status"

PartitionHour = tuple[int, int]  # (partition, Unix hour)


def hours_condition(hours: Iterable[PartitionHour]) -> str:
    """A condition on `hour` and `partition`; only integers go into the text."""
    listed = sorted(hours)
    if not listed:
        return "0"
    instants = ", ".join(str(hour * 3600) for hour in sorted({hour for _, hour in listed}))
    pairs = ", ".join(f"({partition}, {hour * 3600})" for partition, hour in listed)
    return f"hour IN ({instants}) AND (`partition`, toUnixTimestamp(hour)) IN ({pairs})"


class Rollups:
    """`mark_due` after rows are in; `flush` recomputes; `run` does so every `interval_s`."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        sink: ClickHouseSink,
        metrics: BillingMetrics,
        health: Health,
        *,
        interval_s: float = 5.0,
    ) -> None:
        self._clickhouse = clickhouse
        self._sink = sink
        self._metrics = metrics
        self._health = health
        self._interval_s = interval_s
        self._due: set[PartitionHour] = set()
        self._covered: dict[int, Mark] = {}  # where the rollup mark goes once everything due is done
        self._flushing = asyncio.Lock()

    def mark_due(self, hours: Iterable[PartitionHour], marks: Mapping[int, Mark]) -> None:
        """`marks`: ClickHouse's after the rows that touched `hours`."""
        self._due.update(hours)
        self._covered.update(marks)
        self._metrics.rollup_pending_hours.set(len(self._due))

    async def resume(self, marks: Mapping[int, Mark]) -> None:
        """Find what was due when an earlier process ended. `marks`: ClickHouse's, of the partitions followed."""
        done = {partition: stored.mark for partition, stored in (await self._sink.load_marks(ROLLUP_SINK)).items()}
        behind = {partition: mark for partition, mark in marks.items() if done.get(partition) != mark}
        if not behind:
            return
        floor = {partition: done[partition] for partition in behind if partition in done}
        rows = await self._clickhouse.rows(
            "SELECT DISTINCT `partition`, intDiv(started_at_us, 3600000000) FROM usage"
            f" WHERE {as_of(behind)} AND NOT ({as_of(floor)})"
        )
        self.mark_due(((row[0], row[1]) for row in rows), behind)

    async def flush(self) -> None:
        """Recompute everything due. Raises ClickHouseError with what is not done still due."""
        async with self._flushing:
            covered, self._covered = self._covered, {}
            due, self._due = self._due, set()
            try:
                remaining = iter(sorted(due, key=lambda item: (item[1], item[0])))
                while chunk := list(islice(remaining, _HOURS_AT_ONCE)):
                    await self._recompute(chunk)
                await self._sink.store_marks(covered, sink=ROLLUP_SINK)
            except BaseException:
                self._due |= due
                self._covered = covered | self._covered
                raise
            finally:
                self._metrics.rollup_pending_hours.set(len(self._due))

    async def run(self) -> None:
        """Recomputing the current hour costs as much as the hour has rows, so the pauses grow with what it took."""
        pause_s = self._interval_s
        while True:
            await asyncio.sleep(pause_s)
            started = time.monotonic()
            try:
                await self.flush()
                self._health.set("rollups", None)
            except ClickHouseError as error:
                if self._health.problem("rollups") is None:
                    logger.warning("rollups wait", extra={"error": str(error)[:500]})
                self._health.set("rollups", str(error)[:500])
            pause_s = min(max(self._interval_s, _PAUSE_PER_WORK * (time.monotonic() - started)), _PAUSE_S_MAX)

    async def _recompute(self, hours: list[PartitionHour]) -> None:
        tokens = ", ".join(f"sum(ifNull({name}, 0)) AS {name}" for name in COUNT_COLUMNS)
        money = ", ".join(f"sum({name}) AS {name}" for name in MONEY_COLUMNS)
        columns = (
            f"{_DIMENSIONS}, requests, billable_requests, estimated_requests, {', '.join(COUNT_COLUMNS)}, "
            f"{', '.join(MONEY_COLUMNS)}, duration_us, ttft_us, last_started_at_us, version"
        )
        await self._clickhouse.command(
            f"INSERT INTO usage_hourly ({columns}) SELECT {_DIMENSIONS},"  # integers only
            " count() AS requests, countIf(is_billable) AS billable_requests,"
            " countIf(is_estimated) AS estimated_requests,"
            f" {tokens}, {money}, sum(duration_us) AS duration_us, sum(ttft_us) AS ttft_us,"
            " max(started_at_us) AS last_started_at_us,"
            " max(bitShiftLeft(toUInt64(epoch), 48) + sequence) AS version"
            f" FROM usage FINAL WHERE {hours_condition(hours)} GROUP BY {_DIMENSIONS}"
        )
