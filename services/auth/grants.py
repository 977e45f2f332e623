"""Grants and renewals of credit leases: what workers ask for, and the recall of idle credit when one starves.

A refused grant for which other leases reserve something sends a recall to all edges (through NATS, so that edges of
other replicas hear it) and is tried again, as renewals come in, for at most `recall_wait_s_max`. Then a request that
can do with less gets what there is; as it will be answered either way, it waits less long for more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from nats.aio.client import Client
from nats.errors import Error as NatsError

from lumen.ledger.keyspace import RECALL_SUBJECT
from protos import auth_pb2
from services.auth.lease_store import Books, GrantAnswer, GrantOrder, LeaseStore
from services.auth.live_workers import LiveWorkers
from services.auth.metrics import AuthMetrics
from services.auth.redis_guard import RedisGuard
from services.auth.watch_hub import WatchHub

logger = logging.getLogger(__name__)

_STARVING_MAX = 1024
_RETRY_S = 0.06  # a renewal that another replica answered wakes nobody here
_RECALL_SPACING_S = 0.1  # per account
_REDUCIBLE_WAIT_S_MAX = 0.1
_REFUSED = (auth_pb2.INSUFFICIENT_CREDITS, auth_pb2.KEY_SPEND_LIMIT_REACHED)


class Grants:
    """Raises errors.Unavailable when Redis is away."""

    def __init__(
        self,
        nc: Client,
        store: LeaseStore,
        guard: RedisGuard,
        workers: LiveWorkers,
        hub: WatchHub,
        metrics: AuthMetrics,
        *,
        recall_wait_s_max: float,
    ) -> None:
        self._nc = nc
        self._store = store
        self._guard = guard
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._recall_wait_s_max = recall_wait_s_max
        self._starving: dict[str, set[asyncio.Event]] = {}  # by account
        self._starving_count = 0
        self._recalled_at: dict[str, float] = {}  # of accounts that starve now

    async def grant(self, order: GrantOrder) -> GrantAnswer:
        self._workers.saw(order.lease)
        full = replace(order, hold_min=order.hold)
        answer = await self._ask(full)
        is_starving = answer.outcome in _REFUSED and answer.do_others_reserve and order.hold > 0  # 0: a top-up
        if is_starving and self._starving_count < _STARVING_MAX:
            is_reducible = order.hold_min < order.hold
            wait_s_max = (
                min(self._recall_wait_s_max, _REDUCIBLE_WAIT_S_MAX) if is_reducible else self._recall_wait_s_max
            )
            answer = await self._ask_others(full, answer, wait_s_max)
        if answer.outcome in _REFUSED and order.hold_min < order.hold:
            answer = await self._ask(order)
        self._metrics.grants.labels(auth_pb2.GrantOutcome.Name(answer.outcome).lower()).inc()
        self._metrics.granted.inc(answer.fresh)
        return answer

    async def renew(self, lease: str, totals: Sequence[Books]) -> list[tuple[int, int]]:
        self._workers.saw(lease)
        answers = await self._store.renew(lease, totals)
        self._metrics.renewals.inc()
        for account in {books.account for books in totals}:
            self.wake(account)
        return answers

    def wake(self, account: str) -> None:
        """Something of this account may have become free."""
        for event in self._starving.get(account, ()):
            event.set()

    async def _ask(self, order: GrantOrder) -> GrantAnswer:
        # An empty run_id is no Redis' own: the script then only takes note of the worker's totals.
        return await self._store.grant(order, run_id=self._guard.vetted_run_id, workers=self._workers.count())

    async def _ask_others(self, order: GrantOrder, answer: GrantAnswer, wait_s_max: float) -> GrantAnswer:
        account = order.account.account
        deadline = time.monotonic() + wait_s_max
        woken = asyncio.Event()
        self._starving.setdefault(account, set()).add(woken)
        self._starving_count += 1
        try:
            await self._recall(account)
            while answer.outcome in _REFUSED and (left_s := deadline - time.monotonic()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, _RETRY_S)):
                        await woken.wait()
                woken.clear()
                answer = await self._ask(order)
        finally:
            self._starving_count -= 1
            self._starving[account].discard(woken)
            if not self._starving[account]:
                del self._starving[account]
                self._recalled_at.pop(account, None)
        return answer

    async def _recall(self, account: str) -> None:
        now = time.monotonic()
        if now - self._recalled_at.get(account, -_RECALL_SPACING_S) < _RECALL_SPACING_S:
            return
        self._recalled_at[account] = now
        self._metrics.recalls.inc()
        if self._nc.is_connected:
            try:
                await self._nc.publish(RECALL_SUBJECT, account.encode())  # comes back to this replica too
                return
            except NatsError as error:
                logger.info("recall reaches this replica's edges only", extra={"reason": repr(error)[:200]})
        self._hub.recall(account)
