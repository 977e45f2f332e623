"""One conversation with auth about all limits of this edge: whatever is asked while a call is under way goes with the
next one, so there is at most one call at a time and no more than one per `_SPACING_S`, however many requests wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import grpc

from protos import auth_pb2
from services.edge.limits.metrics import LimitMetrics
from services.edge.limits.share import Refusal, Share, Waiter

if TYPE_CHECKING:
    from protos.auth_pb2_grpc import AuthAsyncStub

logger = logging.getLogger(__name__)

_TICK_S = 0.5
_SPACING_S = 0.002
_TOLD_S = 1.0  # what was used is told after this at the latest
_RENEWED_S = 5.0  # what is held is said again after this
# Auth gives what a silent worker holds to others after 30 s (services/auth/limit_store.py); the worker lets go first.
_LAPSE_S = 25.0
_SHARES_PER_CALL_MAX = 1_000
_CALL_S_MAX = 1.0
_RETRY_S = 0.5
_WISH_MAX = 4  # more would lie idle; what is asked for all the time is taken ahead

Key = tuple[str, auth_pb2.LimitKind, str]


class LimitClient:
    """`await run()` in a supervised task; `close` gives everything back. Not `is_leased`: nothing is kept in hand, each
    request asks."""

    def __init__(
        self,
        stub: AuthAsyncStub,
        lease_id: str,
        metrics: LimitMetrics,
        *,
        is_leased: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = stub
        self._lease_id = lease_id
        self._metrics = metrics
        self._is_leased = is_leased
        self.now = now
        self._known: WeakValueDictionary[Key, Share] = WeakValueDictionary()
        self._active: dict[Share, None] = {}  # auth must hear of them
        self._urgent: dict[Share, None] = {}
        self._woken = asyncio.Event()
        self._sequence = 0
        self._ticked_at = now()
        self._workers = 1
        self._away_epoch = 0  # 0: auth answers
        self._outages = 0
        self.on_granted: Callable[[Share], None] = lambda share: None
        metrics.shares.set_function(lambda: len(self._active))

    def share(self, scope: str, kind: auth_pb2.LimitKind, window: str, limit: int) -> Share:
        """The one part of this limit; its caller keeps it alive. A changed limit holds from now on."""
        found = self._known.get((scope, kind, window))
        if found is None:
            found = self._known[(scope, kind, window)] = Share(scope, kind, window, limit, self.now())
        found.limit = limit
        return found

    def touched(self, share: Share) -> None:
        """After each change of its books: auth will be told, and asked when little is left."""
        self._active[share] = None
        if share.left < share.low and share not in self._urgent and share.denied_until <= self.now():
            self.ask(share)

    def may_take(self, share: Share) -> bool:
        """Whether one could be taken without waiting; else auth is asked for some, and `on_granted` tells."""
        if share.left > 0 and not share.waiters:
            return True
        if self._away_epoch:
            return share.has_locally(self._away_epoch, self._workers, self.now())
        self.wish(share, 1)
        return False

    def take_now(self, share: Share) -> bool:
        """One, if `may_take` says so."""
        taken = share.try_take(1)
        if not taken and self._away_epoch:
            taken = self._take_locally(share, 1) is None
        if taken:
            self.touched(share)
        return taken

    def wish(self, share: Share, amount: int) -> None:
        """Have some in hand soon, for whoever comes."""
        share.wish = min(share.wish + amount, _WISH_MAX)
        if share.denied_until <= self.now():
            self.ask(share)
        else:
            self._active[share] = None

    def ask(self, share: Share) -> None:
        self._active[share] = self._urgent[share] = None
        self._woken.set()

    async def take(self, share: Share, need: int) -> Refusal | None:
        """For what is not in hand. None: taken; else why not. Waits for at most two calls."""
        now = self.now()
        if self._away_epoch:
            return self._take_locally(share, need)
        denied_s = share.denied_s(need, now)
        if denied_s:
            return Refusal(share, denied_s)
        waiter = Waiter(need, asyncio.get_running_loop().create_future())
        share.waiters.append(waiter)
        self._metrics.waits.inc()
        self.ask(share)
        try:
            wait_s = await waiter.answered
        except asyncio.CancelledError:
            if waiter.answered.done() and not waiter.answered.cancelled() and waiter.answered.result() is None:
                share.take_back(need)
            raise
        if wait_s is None:
            return None
        return self._take_locally(share, need) if wait_s < 0 else Refusal(share, wait_s)

    def _take_locally(self, share: Share, need: int) -> Refusal | None:
        self._active[share] = None
        refusal = share.take_locally(need, self._away_epoch, self._workers, self.now())
        self._metrics.local.labels("admitted" if refusal is None else "refused").inc()
        return refusal

    # --- the conversation

    async def run(self) -> None:
        while True:
            pause_s = _RETRY_S if self._away_epoch else self._ticked_at + _TICK_S - self.now()
            if not self._urgent or self._away_epoch:
                try:
                    async with asyncio.timeout(max(0.0, pause_s)):
                        await self._woken.wait()
                except TimeoutError:
                    pass
            self._woken.clear()
            if self._away_epoch:
                await asyncio.sleep(_RETRY_S / 2)  # nobody waits for it
            await self._step()
            await asyncio.sleep(_SPACING_S)

    async def _step(self) -> None:
        now = self.now()
        if now - self._ticked_at >= _TICK_S:
            self._ticked_at = now
            self._tick(now)
        while self._urgent:
            batch = list(self._urgent)[:_SHARES_PER_CALL_MAX]
            for share in batch:
                del self._urgent[share]
            await self._call(batch)
            if self._away_epoch:
                return

    def _tick(self, now: float) -> None:
        for share in list(self._active):
            if now - share.answered_at > _LAPSE_S:
                share.lapse()
            if not share.has_news:
                del self._active[share]
                continue
            left = share.left
            share.give_back_idle(self._workers, now)
            is_due = now - share.asked_at >= (_TOLD_S if share.used != share.used_known else _RENEWED_S)
            if is_due or share.left != left or self._away_epoch:
                self._urgent[share] = None

    async def _call(self, shares: list[Share]) -> None:
        self._sequence += 1
        now = self.now()
        orders = [share.order(self._workers, now, is_leased=self._is_leased) for share in shares]
        asked = [share.asked(now) for share in shares]
        request = auth_pb2.ShareLimitsRequest(lease_id=self._lease_id, sequence=self._sequence, shares=orders)
        try:
            response = await self._stub.ShareLimits(request, timeout=_CALL_S_MAX)
        except grpc.aio.AioRpcError as error:
            self._metrics.calls.labels("failed").inc()
            self._lost(error.details() or "no answer")
            return
        self._metrics.calls.labels("answered").inc()
        if self._away_epoch:
            self._away_epoch = 0
            logger.info("limits are shared again")
        self._workers = max(1, response.live_workers)
        now = self.now()
        for share, told, grant in zip(shares, asked, response.grants, strict=True):
            share.learn(told, grant, now)
            if share.waiters:
                self._urgent[share] = None  # they came while the call was under way
            if grant.granted:
                self.on_granted(share)
            elif share.wish:
                self._ask_again(share, share.denied_until - now)

    def _ask_again(self, share: Share, delay_s: float) -> None:
        """Somebody may be waiting for what has drained by then. One timer per limit and refusal."""
        asyncio.get_running_loop().call_later(max(delay_s, _SPACING_S), self._ask_if_wished, share)

    def _ask_if_wished(self, share: Share) -> None:
        if share.wish:
            self.ask(share)

    def _lost(self, reason: str) -> None:
        """Everybody who waits is decided by the local rule."""
        if not self._away_epoch:
            self._outages += 1
            self._away_epoch = self._outages
            logger.warning("limits cannot be shared, this edge decides by itself", extra={"reason": reason})
        for share in self._active:
            while share.waiters:
                waiter = share.waiters.popleft()
                if not waiter.answered.done():
                    waiter.answered.set_result(-1.0)

    async def close(self) -> None:
        """Give back what is in hand. At drain, after the last request."""
        for share in self._active:
            share.left = 0
        self._is_leased = False
        self._urgent = dict(self._active)
        while self._urgent and not self._away_epoch:
            await self._step()
