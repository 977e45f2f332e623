"""The worker's standing assertion of its lease totals, and the right to admit that follows from its being answered.

One Renew per interval carries every book. auth frees the idle part of a worker it has not heard for 150 s; the worker
stops admitting 90 s after it *sent* its last answered renewal, on its own monotonic clock, so it always stops first.
Released totals only grow and are asserted again every time, so a lost call gives nothing back twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import grpc

from protos import auth_pb2
from services.edge.metering.demand import Demand
from services.edge.metering.lease_book import Book, LeaseBook
from services.edge.metering.metrics import MeteringMetrics

if TYPE_CHECKING:
    from protos.auth_pb2_grpc import AuthAsyncStub

logger = logging.getLogger(__name__)

ADMIT_S_MAX = 90.0
IDLE_S_MAX = 60.0
_RETRY_S = 1.0
_BOOKS_PER_CALL_MAX = 20_000


def totals_of(book: Book) -> auth_pb2.LeaseTotals:
    return auth_pb2.LeaseTotals(
        account_id=book.account_id,
        key_id=book.key_id,
        granted_nanousd=book.granted,
        released_nanousd=book.released,
        in_use_nanousd=book.in_use,
    )


class Renewals:
    """`await run()` in a supervised task."""

    def __init__(
        self,
        stub: AuthAsyncStub,
        lease_id: str,
        books: LeaseBook,
        metrics: MeteringMetrics,
        *,
        interval_s: float,
        rpc_timeout_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = stub
        self._lease_id = lease_id
        self._books = books
        self._metrics = metrics
        self._interval_s = interval_s
        self._rpc_timeout_s = rpc_timeout_s
        self._now = now
        self._demands: dict[tuple[str, str], Demand] = {}
        self._answered_sent_at = now()  # a new lease owes no renewal yet

    @property
    def may_admit(self) -> bool:
        return self._now() - self._answered_sent_at < ADMIT_S_MAX

    def demand(self, book: Book) -> Demand:
        identity = (book.account_id, book.key_id)
        demand = self._demands.get(identity)
        if demand is None:
            demand = self._demands[identity] = Demand(self._now())
        return demand

    async def run(self) -> None:
        pause_s = self._interval_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._interval_s if await self.renew_all() else min(_RETRY_S, self._interval_s)

    async def renew_all(self) -> bool:
        """Assert every book; give back what has been idle for a minute. True when answered."""
        sent_at = self._now()
        books = [book for book in self._books if book.granted or book.in_use or book.may_be_granted]
        for book in books:
            demand = self.demand(book)
            demand.sample(book, sent_at)
            if demand.idle_s(sent_at) >= IDLE_S_MAX:
                book.release_idle()
        self._metrics.lease_books.set(len(books))
        is_answered = True
        for start in range(0, max(1, len(books)), _BOOKS_PER_CALL_MAX):
            is_answered = is_answered and await self.renew(books[start : start + _BOOKS_PER_CALL_MAX])
        if is_answered:
            self._answered_sent_at = max(self._answered_sent_at, sent_at)
        self._metrics.renewal_age.set(self._now() - self._answered_sent_at)
        return is_answered

    async def renew(self, books: Iterable[Book]) -> bool:
        """Assert these books now. True when answered."""
        request = auth_pb2.RenewRequest(lease_id=self._lease_id, totals=[totals_of(book) for book in books])
        try:
            response = await self._stub.Renew(request, timeout=self._rpc_timeout_s)
        except grpc.aio.AioRpcError as error:
            self._metrics.renewals.labels("failed").inc()
            logger.warning("lease renewal not answered", extra={"reason": error.details()})
            return False
        self._metrics.renewals.labels("answered").inc()
        for totals in response.totals:
            book = (
                self._books.key(totals.account_id, totals.key_id)
                if totals.key_id
                else self._books.account(totals.account_id)
            )
            book.learn(totals.granted_nanousd, totals.released_nanousd)
        return True
