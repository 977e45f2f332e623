"""Who waits for which lease, and what auth refused a moment ago.

A refusal is remembered for a second, so an empty account costs auth one call per second; a credit's arrival ends that
at once. A grant of less than was asked is a refusal of the rest: everything there was has been granted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from protos import auth_pb2
from services.edge.metering.lease_book import Book, LeaseBook
from services.edge.metering.lease_errors import (
    BalancesNotLive,
    CreditsUnavailable,
    InsufficientCredits,
    KeySpendLimitReached,
    LeaseError,
)

_REFUSED_S = 1.0


class LimitedKey(Protocol):
    """What a hold needs of an API key. Limit 0: none."""

    @property
    def account_id(self) -> str: ...
    @property
    def key_id(self) -> str: ...
    @property
    def spend_limit_nanousd(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Whoever misses at least `least_nanousd` gets `error` until then."""

    error: type[LeaseError]
    text: str
    least_nanousd: int
    until: float


class Line:
    """Those waiting for one lease: an account's, or a limited key's together with its account's."""

    __slots__ = ("account", "asking", "key", "no_top_up_until", "refusal", "spend_limit_nanousd", "waiting_nanousd")

    def __init__(self, account: Book, key: Book | None) -> None:
        self.account = account
        self.key = key
        self.spend_limit_nanousd = 0
        self.waiting_nanousd = 0
        self.no_top_up_until = 0.0
        # The last Grant. Once it is done another may be asked; to await a finished one does not even yield.
        self.asking: asyncio.Task[None] | None = None
        self.refusal: Refusal | None = None

    @property
    def books(self) -> tuple[Book, ...]:
        return (self.account,) if self.key is None else (self.account, self.key)

    @property
    def free(self) -> int:
        return min(book.free for book in self.books)

    def missing(self, amount: int) -> int:
        return max(1, amount - self.free)


class Lines:
    """`unavailable_s`: how long an outage is remembered; it must not cost every request an RPC."""

    def __init__(self, books: LeaseBook, *, unavailable_s: float) -> None:
        self._books = books
        self._unavailable_s = unavailable_s
        self._lines: dict[tuple[str, str], Line] = {}
        self._account_refusals: dict[str, Refusal] = {}

    def of(self, key: LimitedKey) -> Line:
        key_id = key.key_id if key.spend_limit_nanousd else ""
        identity = (key.account_id, key_id)
        line = self._lines.get(identity)
        if line is None:
            account = self._books.account(key.account_id)
            line = self._lines[identity] = Line(account, self._books.key(key.account_id, key_id) if key_id else None)
        line.spend_limit_nanousd = key.spend_limit_nanousd
        return line

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def waiting_for(self, book: Book) -> int:
        """Nano-USD that requests short of credit want from this book."""
        return sum(line.waiting_nanousd for line in self._lines.values() if book in line.books)

    def active_refusal(self, line: Line, missing: int, now: float) -> Refusal | None:
        for refusal in (self._account_refusals.get(line.account.account_id), line.refusal):
            if refusal is not None and now < refusal.until and missing >= refusal.least_nanousd:
                return refusal
        return None

    def remember(self, line: Line, outcome: int, least: int, now: float) -> None:
        """`outcome`: protos/auth.proto's GrantOutcome, unspecified when no answer came."""
        if outcome == auth_pb2.INSUFFICIENT_CREDITS:
            refusal = Refusal(InsufficientCredits, "the account's credits are used up", least, now + _REFUSED_S)
            self._account_refusals[line.account.account_id] = refusal
        elif outcome == auth_pb2.KEY_SPEND_LIMIT_REACHED:
            line.refusal = Refusal(KeySpendLimitReached, "the key's limit is reached", least, now + _REFUSED_S)
        elif outcome == auth_pb2.NOT_LIVE:
            line.refusal = Refusal(BalancesNotLive, "balances are catching up", 0, now + self._unavailable_s)
        else:
            line.refusal = Refusal(CreditsUnavailable, "credits cannot be checked", 0, now + self._unavailable_s)

    def topped_up(self, line: Line, now: float) -> None:
        """Where it did not help, the next one waits a second."""
        if any(book.free <= book.low_water or book.free <= 0 for book in line.books):
            line.no_top_up_until = now + _REFUSED_S

    def forget_refusal(self, account_id: str) -> None:
        self._account_refusals.pop(account_id, None)
