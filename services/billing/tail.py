"""Where following stands against the ledger's tail: `live`, the identity check, and the marks' `through`.

`live` needs a proof without clocks: a probe asks the leader for its last sequence; once everything up to a probe of the
last few seconds has been posted, balances lag by no more than that. The ledger is verified (it still holds our furthest
mark) every 10 s and, before anything more is posted, after every reconnect: a restored older ledger reuses sequences.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from lumen.ledger import keyspace
from lumen.platform.clickhouse import ClickHouseError
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.groups import Group
from services.billing.ledger_stream import LedgerStream
from services.billing.marks import START, Mark
from services.billing.metrics import BillingMetrics
from services.billing.recovery import Recovery, StartPlan
from services.billing.redis_sink import RedisSink

logger = logging.getLogger(__name__)

_TOUCH_INTERVAL_S = 1.5
_CATCHING_UP_INTERVAL_S = 0.1  # until `live` is set nothing is granted: whoever is there is to find out at once
_PROBE_AGE_S_MAX = 3.0
_PROBES_MAX = 32  # of 3 s while catching up
_VERIFY_INTERVAL_S = 10.0
_STOPPED_INTERVAL_S = 1.0  # an operator waits for stopped partitions to run again
_THROUGH_INTERVAL_S = 600.0


class LedgerChanged(Exception):
    """The ledger no longer holds our furthest mark, or holds again what a stopped partition missed."""


class Tail:
    """Used by one task only: it shares the marks with the balance sink. `generation()` changes with every reconnect."""

    def __init__(
        self,
        ledger: LedgerStream,
        recovery: Recovery,
        clickhouse: ClickHouseSink,
        redis: RedisSink,
        *,
        generation: Callable[[], int],
        metrics: BillingMetrics,
    ) -> None:
        self._ledger = ledger
        self._recovery = recovery
        self._clickhouse = clickhouse
        self._redis = redis
        self._connection_generation = generation
        self._metrics = metrics
        self._reader_generation: Callable[[], int] = lambda: 0
        self._is_drained: Callable[[float], bool] = lambda since: False
        self._plan: StartPlan | None = None
        self._is_partial = False
        self._furthest = START
        self._marks: dict[int, Mark] = {}
        self._position = 0
        self._verified: tuple[int, int] | None = None
        self._verified_at = 0.0
        self._touched_at = 0.0
        self._interval_s = _CATCHING_UP_INTERVAL_S
        self._through_at = time.monotonic()
        self._probes: deque[tuple[float, int]] = deque(maxlen=_PROBES_MAX)

    def begin(self, plan: StartPlan, reader_generation: Callable[[], int], is_drained: Callable[[float], bool]) -> None:
        """`is_drained(since)`: everything the broker had at that monotonic time has been posted. Needed by an owner of
        some partitions only, whose last message is not the stream's."""
        self._plan = plan
        self._is_drained = is_drained
        self._reader_generation = reader_generation
        self._marks = dict(plan.followed.clickhouse)
        self._is_partial = len(self._marks) + len(plan.stopped) < keyspace.PARTITIONS
        self._furthest = max(self._marks.values(), key=lambda mark: mark.sequence, default=START)
        self._position = plan.start_sequence - 1
        self._verified = None
        self._touched_at = 0.0
        self._interval_s = _CATCHING_UP_INTERVAL_S
        self._probes.clear()

    @property
    def interval_s(self) -> float:
        """How often `keep_live` has something to do."""
        return self._interval_s

    def advance(self, group: Group) -> None:
        """Everything up to the group's last message is in both sinks."""
        self._position = max(self._position, group.last_sequence)
        self._marks.update(group.marks)
        for mark in group.marks.values():
            if mark.sequence > self._furthest.sequence:
                self._furthest = mark

    async def verify_ledger(self) -> None:
        """Raises LedgerChanged; or what NATS raises, and then nothing may be posted."""
        generation = (self._connection_generation(), self._reader_generation())
        now = time.monotonic()
        assert self._plan is not None
        interval_s = _STOPPED_INTERVAL_S if self._plan.stopped else _VERIFY_INTERVAL_S
        if generation == self._verified and now - self._verified_at < interval_s:
            return
        if not await self._recovery.verify(self._furthest):
            raise LedgerChanged(f"the ledger does not hold mark {self._furthest}")
        if self._plan.stopped and await self._recovery.stops(list(self._plan.stopped)) != self._plan.stopped:
            raise LedgerChanged("stopped partitions may run again")
        self._verified, self._verified_at = generation, now

    async def keep_live(self) -> None:
        """Every `interval_s`: probe the tail; if we are there, prove our marks and set `live`. Raises as RedisSink."""
        now = time.monotonic()
        if now - self._touched_at < self._interval_s:
            return
        self._touched_at = now
        self._interval_s = _TOUCH_INTERVAL_S
        if self._is_partial:
            drained = (seen for at, seen in reversed(self._probes) if self._is_drained(at))
            self._position = max(self._position, next(drained, 0))
        try:
            last = (await self._ledger.bounds()).last
        except (NatsError, JetStreamError, TimeoutError, OSError) as error:
            logger.warning("the ledger's leader does not answer", extra={"error": repr(error)})
            self._metrics.is_live.set(0)
            return
        self._probes.append((now, last))
        self._metrics.lag_messages.set(max(0, last - self._position))
        is_live = any(now - at <= _PROBE_AGE_S_MAX and self._position >= seen for at, seen in self._probes)
        self._metrics.is_live.set(is_live)
        if not is_live:
            self._interval_s = _CATCHING_UP_INTERVAL_S
            return
        if self._position >= last:
            self._metrics.lag_seconds.set(0)
        await self._redis.touch(self._marks)
        if self._position >= last and now - self._through_at > _THROUGH_INTERVAL_S:
            await self._store_through(last)
            self._through_at = now

    async def _store_through(self, through: int) -> None:
        """So that idle partitions can be told from missed ones once their last message is trimmed."""
        try:
            await self._clickhouse.store_marks(self._marks, through=through)
        except ClickHouseError as error:
            logger.warning("marks not refreshed", extra={"error": str(error)[:500]})
