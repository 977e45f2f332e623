"""Makes lanes' batches safe on disk when their acks are late, many lanes with one fsync."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from services.edge.metering.lane import Lane, LaneBatch, LaneState
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.spool import Spool, SpoolFull

logger = logging.getLogger(__name__)

_GROUP_BYTES_MAX = 8 * 1024 * 1024
_RETRY_S = 0.25


class SpoolKeeper:
    """`await run()` beside the outbox; `wake()` when lanes became due. `on_safe` is told how many entries are."""

    def __init__(
        self,
        spool: Spool,
        lanes: Sequence[Lane],
        metrics: MeteringMetrics,
        *,
        is_due: Callable[[Lane], bool],
        now: Callable[[], float],
        on_safe: Callable[[int], None],
    ) -> None:
        self._spool = spool
        self._lanes = lanes
        self._metrics = metrics
        self._is_due = is_due
        self._now = now
        self._on_safe = on_safe
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while work := self._collect():
                if not await self._write(work):
                    await asyncio.sleep(_RETRY_S)
                    break
            self._spool.tidy()

    def _collect(self) -> list[tuple[LaneBatch, bytes]]:
        """What is due and not safe, in order per lane. Numbers are given here, so nothing can overtake it."""
        work: list[tuple[LaneBatch, bytes]] = []
        size = 0
        for lane in self._lanes:
            if not self._is_due(lane):
                continue
            while lane.form(self._now()) is not None:
                pass
            for batch in lane.batches:
                if batch.ref is None and batch.payload is not None:
                    work.append((batch, batch.payload))
                    size += len(batch.payload)
            if size > _GROUP_BYTES_MAX:
                break
        return work

    async def _write(self, work: list[tuple[LaneBatch, bytes]]) -> bool:
        try:
            refs = await self._spool.append([payload for _, payload in work])
        except (SpoolFull, OSError) as error:
            logger.error("entries wait in memory: the spool took none", extra={"reason": str(error)})
            return False
        for (batch, _), ref in zip(work, refs, strict=True):
            if batch.is_done:
                self._spool.release(ref)
                continue
            batch.ref = ref
            count = batch.resolve()
            self._metrics.entries_spooled.inc(count)
            self._on_safe(count)
        for lane in self._lanes:
            for batch in list(lane.batches)[1:]:  # the first may be in flight
                if batch.ref is not None:
                    batch.payload = None
        return True


def must_spool(lane: Lane, now: float, *, is_connected: bool, spool_after_s: float) -> bool:
    """Whether the lane has entries that should be made safe now. A lane still learning its number cannot be."""
    since = lane.unsafe_since()
    if since is None or lane.state is LaneState.LEARNING:
        return False
    return not is_connected or lane.state in (LaneState.STALLED, LaneState.STOPPED) or now - since >= spool_after_s
