"""Frees what silent workers reserve. Every replica looks at the beats that grants and renewals move in Redis, and
counts a lease's silence on its own monotonic clock, only while it can see Redis: a returning auth, or a Redis that was
away, starts from the workers' benefit. `free.lua` compares the beat again, so a worker that is heard of in between
keeps what it has.

silence:  0 ---- idle_free_s: the idle part, as last asserted ---- request_free_s: all of it, and the lease is forgotten
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.auth.errors import Unavailable
from services.auth.lease_store import LeaseStore
from services.auth.live_workers import LiveWorkers
from services.auth.metrics import AuthMetrics

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Silence:
    beat: str
    silent_s: float = 0.0
    is_idle_freed: bool = False


class Reaper:
    """Run `run()` in a supervised task."""

    def __init__(
        self,
        store: LeaseStore,
        workers: LiveWorkers,
        metrics: AuthMetrics,
        *,
        scan_interval_s: float,
        idle_free_s: float,
        request_free_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._workers = workers
        self._metrics = metrics
        self._scan_interval_s = scan_interval_s
        self._idle_free_s = idle_free_s
        self._request_free_s = request_free_s
        self._clock = clock
        self._scanned_at: float | None = None
        self._leases: dict[tuple[int, str], _Silence] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.scan()
            except Unavailable as error:
                self._scanned_at = None  # this stretch is nobody's silence
                logger.info("leases not looked at", extra={"reason": error.message})
            self._metrics.live_workers.set(self._workers.count())
            await asyncio.sleep(self._scan_interval_s)

    async def scan(self) -> None:
        """One look at all leases. Raises Unavailable."""
        beats = await self._store.beats()
        now = self._clock()
        elapsed_s = 0.0
        if self._scanned_at is not None:  # a stall of our own is not the workers' silence
            elapsed_s = min(now - self._scanned_at, 2 * self._scan_interval_s)
        self._scanned_at = now
        known, self._leases = self._leases, {}
        for place, beat in beats.items():
            silence = known.get(place)
            if silence is None or silence.beat != beat:
                if silence is not None:
                    self._workers.saw(place[1])
                self._leases[place] = _Silence(beat)
                continue
            silence.silent_s += elapsed_s
            self._leases[place] = silence
        for place, silence in list(self._leases.items()):
            await self._free_when_due(place, silence)

    async def _free_when_due(self, place: tuple[int, str], silence: _Silence) -> None:
        partition, lease = place
        if silence.silent_s >= self._request_free_s:
            await free_lease(self._store, self._metrics, partition, lease, silence.beat, reason="all")
            self._leases.pop(place, None)
        elif silence.silent_s >= self._idle_free_s and not silence.is_idle_freed:
            await free_lease(self._store, self._metrics, partition, lease, silence.beat, reason="idle")
            silence.is_idle_freed = True


async def free_lease(
    store: LeaseStore, metrics: AuthMetrics, partition: int, lease: str, beat: str, *, reason: str
) -> None:
    """`reason`: idle (only the idle part), all, retired. Raises Unavailable."""
    freed = await store.free(partition, lease, beat, is_idle_only=reason == "idle")
    if freed is None:
        return
    metrics.freed_leases.labels(reason).inc()
    metrics.freed.labels(reason).inc(freed)
    logger.info("lease freed", extra={"lease": lease, "partition": partition, "nanousd": freed, "reason": reason})
