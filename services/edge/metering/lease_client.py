"""Credit for requests: from the local lease at once, else by a Grant from auth.

How a hold comes about: `try_hold` on the books; when they do not cover it, one Grant per (account, limited key) is
under way at a time and everybody short of credit waits for it and tries again. A refusal is remembered for a second, so
an empty account costs auth one call per second; a credit's arrival ends that at once. When a lease runs low (a quarter
of what was wanted) a Grant in the background tops it up, so that requests seldom wait.
With `is_cached=False` every hold asks auth for exactly its amount, and the rest goes back once it is settled.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from lumen.platform.grpc import request_metadata
from protos import auth_pb2
from services.edge.metering.lease_book import Book, Hold, LeaseBook
from services.edge.metering.lease_errors import (
    BalancesNotLive,
    CreditsUnavailable,
    InsufficientCredits,
    KeySpendLimitReached,
    LeaseError,
)
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.renewals import Renewals, totals_of

if TYPE_CHECKING:
    from protos.auth_pb2_grpc import AuthAsyncStub

logger = logging.getLogger(__name__)

_REFUSED_S = 1.0
_UNAVAILABLE_S = 0.25  # an outage must not cost every request an RPC
_NOT_LIVE_WAITS_MAX = 8  # of that length each, before a request is refused
_WAIT_S_MAX = 10.0
_RETURN_LINGER_S = 0.02
_CLOSE_ATTEMPTS_MAX = 3
_RETIRE_BACKOFF_S_MAX = 5.0


class LimitedKey(Protocol):
    """What a hold needs of an API key. Limit 0: none."""

    @property
    def account_id(self) -> str: ...
    @property
    def key_id(self) -> str: ...
    @property
    def spend_limit_nanousd(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Whoever misses at least `least_nanousd` gets `error` until then."""

    error: type[LeaseError]
    text: str
    least_nanousd: int
    until: float


class _Line:
    """Those waiting for one lease: an account's, or a limited key's together with its account's."""

    __slots__ = ("account", "asking", "key", "refusal", "spend_limit_nanousd", "waiting_nanousd")

    def __init__(self, account: Book, key: Book | None) -> None:
        self.account = account
        self.key = key
        self.spend_limit_nanousd = 0
        self.waiting_nanousd = 0
        self.asking: asyncio.Task[None] | None = None
        self.refusal: _Refusal | None = None

    def missing(self, amount: int) -> int:
        free = self.account.free if self.key is None else min(self.account.free, self.key.free)
        return max(1, amount - free)


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
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = stub
        self._lease_id = lease_id
        self._metrics = metrics
        self._is_cached = is_cached
        self._rpc_timeout_s = rpc_timeout_s
        self._now = now
        self.books = LeaseBook(metrics.overspend_nanousd.inc)
        self._renewals = Renewals(
            stub, lease_id, self.books, metrics, interval_s=renew_interval_s, rpc_timeout_s=rpc_timeout_s, now=now
        )
        self._lines: dict[tuple[str, str], _Line] = {}
        self._account_refusals: dict[str, _Refusal] = {}
        self._returning: set[str] = set()  # accounts whose unused part goes back (is_cached=False)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        await self._renewals.run()

    def problem(self) -> str | None:
        return None if self._renewals.may_admit else "credit leases have not been renewed for 90 s"

    # ---- holds

    async def hold(self, key: LimitedKey, amount_nanousd: int) -> Hold:
        """Raises InsufficientCredits, KeySpendLimitReached, CreditsUnavailable."""
        if self._is_cached:
            hold = self.try_hold(key, amount_nanousd)
            if hold is not None:
                return hold
        try:
            return await self._wait_for_hold(key, amount_nanousd)
        except LeaseError as error:
            self._metrics.holds_refused.labels(_reason(error)).inc()
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

    async def _wait_for_hold(self, key: LimitedKey, amount: int) -> Hold:
        line = self._line(key)
        deadline = self._now() + _WAIT_S_MAX
        waits = 0
        line.waiting_nanousd += amount
        try:
            while self._now() < deadline:
                if not self._renewals.may_admit:
                    raise CreditsUnavailable("credit leases have not been renewed")
                refusal = self._active_refusal(line, line.missing(amount))
                if refusal is not None:
                    if refusal.error is not BalancesNotLive or waits == _NOT_LIVE_WAITS_MAX:
                        raise refusal.error(refusal.text)
                    waits += 1
                    await asyncio.sleep(_UNAVAILABLE_S)
                    continue
                if self._is_cached:
                    await asyncio.shield(self._ask(line, line.missing(amount)))
                else:
                    await self._grant(line, least=amount, want=amount)
                hold = self.books.try_hold(key.account_id, key.key_id, key.spend_limit_nanousd, amount)
                if hold is not None:
                    return hold
        finally:
            line.waiting_nanousd -= amount
        raise CreditsUnavailable("no credit was granted in time")

    def _line(self, key: LimitedKey) -> _Line:
        key_id = key.key_id if key.spend_limit_nanousd else ""
        identity = (key.account_id, key_id)
        line = self._lines.get(identity)
        if line is None:
            account = self.books.account(key.account_id)
            line = self._lines[identity] = _Line(account, self.books.key(key.account_id, key_id) if key_id else None)
        line.spend_limit_nanousd = key.spend_limit_nanousd
        return line

    # ---- refusals

    def _active_refusal(self, line: _Line, missing: int) -> _Refusal | None:
        now = self._now()
        for refusal in (self._account_refusals.get(line.account.account_id), line.refusal):
            if refusal is not None and now < refusal.until and missing >= refusal.least_nanousd:
                return refusal
        return None

    def _remember(self, line: _Line, outcome: int, least: int) -> None:
        now = self._now()
        if outcome == auth_pb2.INSUFFICIENT_CREDITS:
            refusal = _Refusal(InsufficientCredits, "the account's credits are used up", least, now + _REFUSED_S)
            self._account_refusals[line.account.account_id] = refusal
        elif outcome == auth_pb2.KEY_SPEND_LIMIT_REACHED:
            line.refusal = _Refusal(KeySpendLimitReached, "the key's limit is reached", least, now + _REFUSED_S)
        elif outcome == auth_pb2.NOT_LIVE:
            line.refusal = _Refusal(BalancesNotLive, "balances are catching up", 0, now + _UNAVAILABLE_S)
        else:
            line.refusal = _Refusal(CreditsUnavailable, "credits cannot be checked", 0, now + _UNAVAILABLE_S)

    # ---- grants

    def _top_up(self, key: LimitedKey) -> None:
        line = self._line(key)
        if line.asking is None and self._active_refusal(line, 1) is None:
            self._ask(line, 1)

    def _ask(self, line: _Line, least: int) -> asyncio.Task[None]:
        """The line's one Grant. It never raises: what it was refused is remembered."""
        if line.asking is None:
            now = self._now()
            want = self._renewals.demand(line.account).want(line.account, max(least, line.waiting_nanousd), now)
            if line.key is not None:
                want = self._renewals.demand(line.key).want(line.key, max(least, line.waiting_nanousd), now)
            line.asking = self._spawn(self._grant(line, least=least, want=want))
            line.asking.add_done_callback(lambda _: setattr(line, "asking", None))
        return line.asking

    async def _grant(self, line: _Line, *, least: int, want: int) -> None:
        request = auth_pb2.GrantRequest(
            lease_id=self._lease_id,
            account=totals_of(line.account),
            hold_nanousd=least,
            want_nanousd=want,
        )
        if line.key is not None:
            request.key.CopyFrom(totals_of(line.key))
            request.key_spend_limit_nanousd = line.spend_limit_nanousd
        try:
            response = await self._stub.Grant(request, timeout=self._rpc_timeout_s, metadata=request_metadata())
        except grpc.aio.AioRpcError as error:
            self._metrics.grants.labels("failed").inc()
            logger.warning("no grant", extra={"account": line.account.account_id, "reason": error.details()})
            self._remember(line, auth_pb2.GRANT_OUTCOME_UNSPECIFIED, least)
            return
        self._metrics.grants.labels(auth_pb2.GrantOutcome.Name(response.outcome).lower()).inc()
        line.account.learn(response.account_granted_nanousd)
        line.account.low_water = min(want, line.account.free) // 4
        if line.key is not None:
            line.key.learn(response.key_granted_nanousd)
            line.key.low_water = min(want, line.key.free) // 4
        if response.outcome != auth_pb2.GRANTED:
            self._remember(line, response.outcome, least)

    # ---- what the watch stream reports

    def on_credit(self, account_id: str) -> None:
        """The account has new credit: ask again at once."""
        self._account_refusals.pop(account_id, None)

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
            # What others have just been granted and not yet held stays.
            key = (book.account_id, book.key_id)
            waiting = sum(
                line.waiting_nanousd
                for identity, line in self._lines.items()
                if identity == key or (not book.key_id and identity[0] == book.account_id)
            )
            book.released += max(0, book.free - waiting)
        await self._renewals.renew(books)

    async def close(self) -> None:
        """At drain, after the last request: everything unspent goes back, with a few attempts."""
        for attempt in range(_CLOSE_ATTEMPTS_MAX):
            for book in self.books:
                book.release_idle()
            if await self._renewals.renew_all():
                break
            await asyncio.sleep(0.1 * 2**attempt)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._rpc_timeout_s)

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


def _reason(error: LeaseError) -> str:
    match error:
        case InsufficientCredits():
            return "insufficient_credits"
        case KeySpendLimitReached():
            return "key_spend_limit_reached"
        case _:
            return "unavailable"
