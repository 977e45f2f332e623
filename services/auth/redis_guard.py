"""Notices that Redis was restarted, failed over or emptied: then its leases may be missing, and nothing is granted for
one renewal interval, in which every live worker re-asserts its books.

A process of Redis is known by its run_id. Every partition's `vetted` key holds that of the process whose leases were
re-asserted, and the grant script compares both, so that no grant slips in between a restart (or an emptying) and the
next look, however fast billing rebuilds the balances. The last run_id that was waited for is kept in Redis itself: an
auth that starts after Redis was restarted without any auth running waits as well, a first start does not. That wait
ends early when every lease that Redis knows has been asserted again or given up by its worker, as after a restart of
everything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from lumen.ledger import keyspace
from services.auth.errors import Unavailable
from services.auth.lease_store import REDIS_AWAY
from services.auth.metrics import AuthMetrics

logger = logging.getLogger(__name__)


class RedisGuard:
    """Run `run()` in a supervised task. `vetted_run_id`: empty while grants have to wait."""

    def __init__(
        self,
        redis: Redis,
        metrics: AuthMetrics,
        *,
        wait_s: float,
        check_interval_s: float,
        is_every_lease_vouched: Callable[[], Awaitable[bool]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._metrics = metrics
        self._wait_s = wait_s
        self._check_interval_s = check_interval_s
        self._is_every_lease_vouched = is_every_lease_vouched
        self._clock = clock
        self._run_id = ""  # last seen
        self._wait_until = 0.0
        self._may_end_early = False
        self._is_stored = False
        self._problem: str | None = "Redis has not been reached yet"
        self.vetted_run_id = ""

    def problem(self) -> str | None:
        """For /readyz."""
        return self._problem

    async def run(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(self._check_interval_s)

    async def check(self) -> None:
        """One look; never raises what Redis raises."""
        try:
            await self._check()
            self._problem = None
        except (*REDIS_AWAY, Unavailable) as error:
            if self._problem is None:
                logger.warning("redis is away", extra={"error": str(error)[:300]})
            self._problem = "Redis is not reachable"

    async def _check(self) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.info("server")
            pipeline.get(keyspace.RUN_ID_KEY)
            info, stored = await pipeline.execute()
        run_id = str(info["run_id"])
        known = "" if stored is None else stored.decode(errors="replace")
        if run_id != self._run_id:
            is_start = not self._run_id
            is_restart = not is_start or await self._has_unvouched_leases(run_id, known)
            self._run_id = run_id
            self._may_end_early = is_start
            self._is_stored = False
            self._pause("another Redis process answers", is_restart=is_restart)
        elif self._is_stored and not known:
            self._is_stored = False
            self._may_end_early = False
            self._pause("Redis has been emptied", is_restart=True)
        if self._clock() < self._wait_until and not (self._may_end_early and await self._is_every_lease_vouched()):
            return
        if known != run_id or not self.vetted_run_id:
            await self._store(run_id)
        self._is_stored = True
        self.vetted_run_id = run_id
        self._metrics.grants_paused.set(0)

    async def _store(self, run_id: str) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for partition in range(keyspace.PARTITIONS):
                pipeline.set(keyspace.vetted_key(partition), run_id)
            pipeline.set(keyspace.RUN_ID_KEY, run_id)  # last: it says that all are
            await pipeline.execute()

    def _pause(self, reason: str, *, is_restart: bool) -> None:
        self.vetted_run_id = ""
        if not is_restart:
            return
        self._wait_until = self._clock() + self._wait_s
        self._metrics.redis_restarts.inc()
        self._metrics.grants_paused.set(1)
        logger.warning("grants wait for workers to re-assert", extra={"reason": reason, "wait_s": self._wait_s})

    async def _has_unvouched_leases(self, run_id: str, known: str) -> bool:
        """At our own start: has Redis been restarted since an auth last vouched for its leases?"""
        if known:
            return known != run_id
        async with self._redis.pipeline(transaction=False) as pipeline:
            for partition in range(keyspace.PARTITIONS):
                pipeline.exists(keyspace.beats_key(partition))
            return any(await pipeline.execute())
