"""Where to start from: both sinks' marks against each other and against the ledger itself.

    ClickHouse's mark          Redis' mark                     then
    not in the ledger          any                             the partition stops: the ledger regressed
    trimmed, maybe missed      any                             the partition stops: entries may be missing
    held                       none, other epoch, not held     Redis is rebuilt as of ClickHouse's mark
    held                       held, behind                    Redis catches up from the stream
    held                       ahead, not held                 the partition stops: the ledger regressed
    held                       equal, or ahead and held        nothing to do; ClickHouse catches up

A stopped partition is never skipped over: it is alerted, and its entries stay in the ledger until an operator acts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lumen.ledger import keyspace
from services.billing.clickhouse_sink import ClickHouseSink, StoredMark
from services.billing.groups import SinkMarks
from services.billing.ledger_stream import Bounds, Holding, LastMessage, LedgerStream
from services.billing.marks import START, Mark
from services.billing.rebuild import Rebuilder
from services.billing.redis_sink import RedisSink

logger = logging.getLogger(__name__)


class Stop(StrEnum):
    """Why a partition does not run."""

    LEDGER_REGRESSED = "ledger_regressed"
    LEDGER_TRIMMED = "ledger_trimmed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`stop` set: nothing else matters."""

    stop: Stop | None = None
    is_rebuild: bool = False


@dataclass(frozen=True, slots=True)
class StartPlan:
    """`start_sequence`: the first stream sequence any sink still needs, one past the last when none is needed."""

    start_sequence: int
    followed: SinkMarks
    stopped: dict[int, Stop] = field(default_factory=dict)
    rebuilt: int = 0


@dataclass(frozen=True, slots=True)
class _Assessment:
    bounds: Bounds
    last: dict[int, LastMessage | None]
    clickhouse: dict[int, StoredMark]
    redis: dict[int, Mark | None]
    verdicts: dict[int, Verdict]


def judge(
    clickhouse: StoredMark,
    redis: Mark | None,
    *,
    clickhouse_holding: Holding,
    redis_holding: Holding | None,
    bounds: Bounds,
) -> Verdict:
    """The table above. `redis_holding` is None where Redis has no mark."""
    if clickhouse_holding is Holding.MISMATCH:
        return Verdict(stop=Stop.LEDGER_REGRESSED)
    if clickhouse_holding is Holding.TRIMMED and clickhouse.through + 1 < bounds.first:
        return Verdict(stop=Stop.LEDGER_TRIMMED)
    mark = clickhouse.mark
    if redis is None or redis.epoch != mark.epoch:
        return Verdict(is_rebuild=True)
    if redis == mark:
        return Verdict()
    if redis.sequence > mark.sequence:
        return Verdict() if redis_holding is Holding.HELD else Verdict(stop=Stop.LEDGER_REGRESSED)
    return Verdict() if redis_holding is Holding.HELD else Verdict(is_rebuild=True)


class Recovery:
    """Raises what the stores raise; the caller tries again."""

    def __init__(
        self, ledger: LedgerStream, clickhouse: ClickHouseSink, redis: RedisSink, rebuilder: Rebuilder
    ) -> None:
        self._ledger = ledger
        self._clickhouse = clickhouse
        self._redis = redis
        self._rebuilder = rebuilder

    async def plan(self, partitions: Sequence[int]) -> StartPlan:
        """Compare the marks, rebuild what Redis lacks, and say where reading starts."""
        found = await self._assess(partitions)
        bounds, last, stored, redis, verdicts = found.bounds, found.last, found.clickhouse, found.redis, found.verdicts
        stopped = _stops(verdicts)
        if stopped:
            logger.critical("partitions stopped", extra={"stopped": {p: stop.value for p, stop in stopped.items()}})
            await self._redis.clear_live(stopped)
        rebuild = {p: stored[p].mark for p, verdict in verdicts.items() if verdict.is_rebuild}
        await self._rebuilder.rebuild(rebuild)

        clickhouse_marks = {p: stored[p].mark for p in partitions if p not in stopped}
        redis_marks = {p: rebuild.get(p) or redis[p] or START for p in clickhouse_marks}
        self._redis.adopt(redis_marks)
        needed = [
            low + 1
            for p in clickhouse_marks
            if _sequence(last[p]) > (low := min(clickhouse_marks[p].sequence, redis_marks[p].sequence))
        ]
        return StartPlan(
            start_sequence=min(needed, default=bounds.last + 1),
            followed=SinkMarks(clickhouse_marks, redis_marks),
            stopped=stopped,
            rebuilt=len(rebuild),
        )

    async def stops(self, partitions: Sequence[int]) -> dict[int, Stop]:
        """Which of these partitions have to be stopped as things stand now."""
        return _stops((await self._assess(partitions)).verdicts)

    async def verify(self, mark: Mark) -> bool:
        """Whether the ledger still holds the furthest mark: one look-up that a regressed ledger fails."""
        bounds = await self._ledger.bounds()
        return await self._ledger.holding(mark, bounds) is not Holding.MISMATCH

    async def _assess(self, partitions: Sequence[int]) -> _Assessment:
        bounds = await self._ledger.bounds()
        last = await self._last_messages(partitions)
        stored = await self._clickhouse_marks(partitions)
        redis = await self._redis.load_marks(partitions)
        found = await asyncio.gather(*(self._judge(p, stored[p], redis[p], bounds, last[p]) for p in partitions))
        return _Assessment(bounds, last, stored, redis, dict(zip(partitions, found, strict=True)))

    async def _last_messages(self, partitions: Sequence[int]) -> dict[int, LastMessage | None]:
        found = await asyncio.gather(*(self._ledger.last_of(keyspace.partition_filter(p)) for p in partitions))
        return dict(zip(partitions, found, strict=True))

    async def _clickhouse_marks(self, partitions: Sequence[int]) -> dict[int, StoredMark]:
        """Partitions that were never followed get their start mark, so that idle ones can go live."""
        stored = await self._clickhouse.load_marks()
        missing = {p: START for p in partitions if p not in stored}
        if missing:
            await self._clickhouse.store_marks(missing)
        return stored | {p: StoredMark(START, 0) for p in missing}

    async def _judge(
        self, partition: int, stored: StoredMark, redis: Mark | None, bounds: Bounds, last: LastMessage | None
    ) -> Verdict:
        clickhouse_holding = await self._ledger.holding(stored.mark, bounds, last)
        redis_holding: Holding | None = None
        if redis is not None and redis != stored.mark:
            redis_holding = await self._ledger.holding(redis, bounds, last)
        return judge(stored, redis, clickhouse_holding=clickhouse_holding, redis_holding=redis_holding, bounds=bounds)


def _sequence(last: LastMessage | None) -> int:
    return last.sequence if last is not None else 0


def _stops(verdicts: Mapping[int, Verdict]) -> dict[int, Stop]:
    return {partition: verdict.stop for partition, verdict in verdicts.items() if verdict.stop is not None}
