"""Credit for requests: from the local lease at once, else by a Grant from auth.

How a hold comes about: `try_hold` on the books; when they do not cover it, one Grant per (account, limited key) is
under way at a time and everybody short of credit waits for it and tries again (lease_lines.py remembers refusals). A
request that can do with less takes what the lease affords only when auth has just said that there is no more, or
nothing at all. When a lease runs low (demand.py) a Grant in the background tops it up, so that requests seldom wait.
With `is_cached=False` every hold asks auth for exactly its amount, and the rest goes back once it is settled.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import grpc

from lumen.platform.grpc import request_metadata
from protos import auth_pb2
from services.edge.metering.lease_book import Hold, LeaseBook
from services.edge.metering.lease_errors import BalancesNotLive, CreditsUnavailable, LeaseError, reason_of
from services.edge.metering.lease_lines import LimitedKey, Line, Lines
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.renewals import Renewals, totals_of

if TYPE_CHECKING:
    from protos.auth_pb2_grpc import AuthAsyncStub

logger = logging.getLogger(__name__)

_UNAVAILABLE_S = 0.25
_NOT_LIVE_WAITS_MAX = 8  # of that length each, before a request is refused
_WAIT_S_MAX = 10.0
_RETURN_LINGER_S = 0.02
_CLOSE_ATTEMPTS_MAX = 3
_RETIRE_BACKOFF_S_MAX = 5.0


class LeaseClient:
    """`hold` for admission, `settle` or `cancel` afterwards; `await run()` in a supervised task."""

    def __init__(
        self,
        stub: AuthAsyncStub,
        lease_id: str,
        metrics: MeteringMetrics,
        *,
        is_cached: bool = True,
        renew_interval_s: float = 10.0,
        rpc_timeout_s: float = 2.0,
        unavailable_s: float = _UNAVAILABLE_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = stub
        self._lease_id = lease_id
        self._metrics = metrics
        self._is_cached = is_cached
        self._rpc_timeout_s = rpc_timeout_s
        self._unavailable_s = unavailable_s
        self._now = now
        self.books = LeaseBook(metrics.overspend_nanousd.inc)
        self._renewals = Renewals(
            stub, lease_id, self.books, metrics, interval_s=renew_interval_s, rpc_timeout_s=rpc_timeout_s, now=now
        )
        self._lines = Lines(self.books, unavailable_s=unavailable_s)
        self._returning: set[str] = set()  # accounts whose unused part goes back (is_cached=False)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        await self._renewals.run()

    def problem(self) -> str | None:
        return None if self._renewals.may_admit else "credit leases have not been renewed for 90 s"

    # ---- holds

    async def hold(self, key: LimitedKey, amount_nanousd: int, least_nanousd: int | None = None) -> Hold:
        """A hold of `amount_nanousd`; where balance and lease do not afford that, of all they do, at least the least.

        Raises InsufficientCredits, KeySpendLimitReached, CreditsUnavailable.
        """
        if self._is_cached:
            hold = self.try_hold(key, amount_nanousd)
            if hold is not None:
                return hold
        least = amount_nanousd if least_nanousd is None else min(least_nanousd, amount_nanousd)
        try:
            return await self._wait_for_hold(key, amount_nanousd, least)
        except LeaseError as error:
            self._metrics.holds_refused.labels(reason_of(error)).inc()
            raise

    def try_hold(self, key: LimitedKey, amount_nanousd: int) -> Hold | None:
        """The hot path: None when the lease does not cover the amount, or must not be used."""
        if not self._renewals.may_admit:
            return None
        hold = self.books.try_hold(key.account_id, key.key_id, key.spend_limit_nanousd, amount_nanousd)
        if hold is not None and hold.is_lease_low:
            self._top_up(key)
        return hold

    def settle(self, hold: Hold, cost_nanousd: int) -> None:
        """After the entry was submitted. Raises HoldEnded the second time."""
        self.books.settle(hold, cost_nanousd)
        if not self._is_cached:
            self._return_soon(hold.account_id)

    def cancel(self, hold: Hold) -> None:
        """Nothing was spent. Raises HoldEnded the second time."""
        self.books.cancel(hold)
        if not self._is_cached:
            self._return_soon(hold.account_id)

    async def _wait_for_hold(self, key: LimitedKey, amount: int, least: int) -> Hold:
        line = self._lines.of(key)
        deadline = self._now() + _WAIT_S_MAX
        waits = 0
        line.waiting_nanousd += amount
        try:
            while self._now() < deadline:
                if not self._renewals.may_admit:
                    raise CreditsUnavailable("credit leases have not been renewed")
                refusal = self._lines.active_refusal(line, line.missing(least), self._now())
                if refusal is not None:
                    hold = self._take(key, max(least, min(amount, line.free)))
                    if hold is not None:
                        return hold
                    if refusal.error is not BalancesNotLive or waits == _NOT_LIVE_WAITS_MAX:
                        raise refusal.error(refusal.text)
                    waits += 1
                    await asyncio.sleep(self._unavailable_s)
                    continue
                if self._is_cached:
                    await asyncio.shield(self._ask(line, line.missing(amount), line.missing(least)))
                else:
                    await self._grant(line, hold=amount, hold_min=least, want=amount)
                # A process that was stopped while it waited may have lost its lease: renewals tell, not this answer.
                if self._renewals.may_admit and (hold := self._take(key, amount)) is not None:
                    return hold
        finally:
            line.waiting_nanousd -= amount
        raise CreditsUnavailable("no credit was granted in time")

    def _take(self, key: LimitedKey, amount: int) -> Hold | None:
        return self.books.try_hold(key.account_id, key.key_id, key.spend_limit_nanousd, amount)

    # ---- grants

    def _top_up(self, key: LimitedKey) -> None:
        line = self._lines.of(key)
        now = self._now()
        if (
            (line.asking is None or line.asking.done())
            and now >= line.no_top_up_until
            and self._lines.active_refusal(line, 1, now) is None
        ):
            self._ask(line, 0, 0)

    def _ask(self, line: Line, hold: int, hold_min: int) -> asyncio.Task[None]:
        """The line's one Grant. It never raises: what it was refused is remembered."""
        if line.asking is None or line.asking.done():
            now = self._now()
            book = line.books[-1]
            want = self._renewals.demand(book).want(book, max(hold, line.waiting_nanousd), now)
            line.asking = self._spawn(self._grant(line, hold=hold, hold_min=hold_min, want=want))
        return line.asking

    async def _grant(self, line: Line, *, hold: int, hold_min: int, want: int) -> None:
        request = auth_pb2.GrantRequest(
            lease_id=self._lease_id,
            account=totals_of(line.account),
            hold_nanousd=hold,
            hold_min_nanousd=hold_min,
            want_nanousd=want,
        )
        if line.key is not None:
            request.key.CopyFrom(totals_of(line.key))
            request.key_spend_limit_nanousd = line.spend_limit_nanousd
        try:
            response = await self._stub.Grant(request, timeout=self._rpc_timeout_s, metadata=request_metadata())
        except grpc.aio.AioRpcError as error:
            for book in line.books:
                book.may_be_granted = True  # the renewals learn whether it was
            self._metrics.grants.labels("failed").inc()
            logger.warning("no grant", extra={"account": line.account.account_id, "reason": error.details()})
            self._lines.remember(line, auth_pb2.GRANT_OUTCOME_UNSPECIFIED, hold_min, self._now())
            return
        self._metrics.grants.labels(auth_pb2.GrantOutcome.Name(response.outcome).lower()).inc()
        line.account.learn(response.account_granted_nanousd, response.account_released_nanousd)
        if line.key is not None:
            line.key.learn(response.key_granted_nanousd, response.key_released_nanousd)
        for book in line.books:
            book.low_water = self._renewals.demand(book).low_water(book, want)
        if hold == 0:  # a top-up takes what is free, recalls nothing, and its refusal is nobody's
            self._lines.topped_up(line, self._now())
        elif response.outcome != auth_pb2.GRANTED:
            self._lines.remember(line, response.outcome, hold_min, self._now())
        elif response.limited_by:
            self._lines.remember(line, response.limited_by, 1, self._now())  # all there was has been granted

    # ---- what the watch stream reports

    def on_credit(self, account_id: str) -> None:
        """The account has new credit: ask again at once."""
        self._lines.forget_refusal(account_id)

    def on_recall(self, account_id: str) -> None:
        """Another worker starves: give back what is neither spent nor held, now."""
        books = self.books.books_of(account_id)
        for book in books:
            book.release_idle()
        if books:
            self._spawn(self._renewals.renew(books))

    # ---- giving back

    def _return_soon(self, account_id: str) -> None:
        self._returning.add(account_id)
        if len(self._returning) == 1:
            self._spawn(self._return_unused())

    async def _return_unused(self) -> None:
        await asyncio.sleep(_RETURN_LINGER_S)  # one call for many requests
        accounts, self._returning = self._returning, set()
        books = [book for account_id in accounts for book in self.books.books_of(account_id)]
        for book in books:
            book.release_idle(keep=self._lines.waiting_for(book))  # what others were just granted and not yet held
        await self._renewals.renew(books)

    async def close(self) -> None:
        """At drain, after the last request: everything unspent goes back, with a few attempts."""
        if self._tasks:  # a grant that is still under way goes back too
            await asyncio.wait(self._tasks, timeout=self._rpc_timeout_s)
        for attempt in range(_CLOSE_ATTEMPTS_MAX):
            for book in self.books:
                book.release_idle()
            if await self._renewals.renew_all():
                break
            await asyncio.sleep(0.1 * 2**attempt)

    async def retire_earlier_boots(self, worker_id: str, boot: int) -> None:
        """Tell auth that every entry of earlier boots is in the ledger. Repeats until answered."""
        backoff_s = 0.1
        while True:
            try:
                await self._stub.Retire(
                    auth_pb2.RetireRequest(worker_id=worker_id, current_boot=boot), timeout=self._rpc_timeout_s
                )
                return
            except grpc.aio.AioRpcError as error:
                logger.warning("earlier leases not retired yet", extra={"reason": error.details()})
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # jitter
            backoff_s = min(backoff_s * 2, _RETIRE_BACKOFF_S_MAX)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
