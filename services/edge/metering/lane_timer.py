"""What time alone decides about lanes: an ack that is lost, a pause that is over, entries that wait too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from services.edge.metering.lane import Lane, LaneState
from services.edge.metering.ledger_wire import LedgerWire
from services.edge.metering.metrics import MeteringMetrics

_TICK_S = 0.05
_LATE_S_MAX = 1.0  # without a spool: this long without an ack means NATS is away


class LaneTimer:
    """Twenty looks a second at the lanes that have work. `on_lost`: ask the leader; `on_ready`: publish; `on_waiting`:
    see whether the spool is due; `on_tick`: once per look."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        wire: LedgerWire,
        metrics: MeteringMetrics,
        *,
        ack_timeout_s: float,
        on_lost: Callable[[Lane], None],
        on_ready: Callable[[Lane], None],
        on_waiting: Callable[[Lane], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._wire = wire
        self._metrics = metrics
        self._ack_timeout_s = ack_timeout_s
        self._on_lost = on_lost
        self._on_ready = on_ready
        self._on_waiting = on_waiting
        self._on_tick = on_tick
        self.is_late = False  # some entry has been unsafe for a second

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._look(time.monotonic())
            self._on_tick()

    def _look(self, now: float) -> None:
        is_late = False
        oldest = now
        for lane in self._lanes:
            if lane.has_work:
                self._look_after(lane, now)
                since = lane.unsafe_since()
                is_late = is_late or (since is not None and now - since > _LATE_S_MAX)
                if lane.batches and lane.batches[0].ref is not None:
                    oldest = min(oldest, lane.batches[0].created_at)
        self.is_late = is_late
        self._metrics.spool_oldest_age.set(now - oldest)

    def _look_after(self, lane: Lane, now: float) -> None:
        is_connected = self._wire.is_connected
        if lane.state is LaneState.IN_FLIGHT:
            is_lost = is_connected and lane.published_epoch != self._wire.epoch
            if is_lost or now - lane.published_at > self._ack_timeout_s:
                self._on_lost(lane)
        elif lane.state is LaneState.STALLED and is_connected and now >= lane.resume_at:
            lane.state = LaneState.IDLE
        if lane.state is LaneState.IDLE and not lane.is_queued:
            self._on_ready(lane)
        self._on_waiting(lane)
