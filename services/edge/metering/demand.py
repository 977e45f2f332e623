"""How much credit an account uses here: the rate of its spending and the size of its typical hold.

A lease is to outlast an auth that is away for a minute: it is wanted for 90 s of spending and topped up from 60 s on.

The hot path only counts (`Book.holds`, `hold_nanousd_sum`, `spent`); this reads the counters now and then.
"""

from __future__ import annotations

from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from services.edge.metering.lease_book import Book

_RATE_SAMPLE_S = 1.0
_RATE_S = 90
_RESERVE_S = 60
_HOLDS = 32


class Demand:
    """Of one book. Amounts in nano-USD, times monotonic seconds. Rates weigh the last sample with a half."""

    __slots__ = ("_holds", "_holds_sum", "_rate_per_s", "_sampled_at", "_spent", "_typical_hold", "_used_at")

    def __init__(self, now: float) -> None:
        self._sampled_at = now
        self._used_at = now
        self._spent = 0
        self._rate_per_s = 0
        self._holds = 0
        self._holds_sum = 0
        self._typical_hold = 0

    def sample(self, book: Book, now: float) -> None:
        if (made := book.holds - self._holds) > 0:
            average = (book.hold_nanousd_sum - self._holds_sum) // made
            self._typical_hold = average if self._typical_hold == 0 else (self._typical_hold * 7 + average) // 8
            self._holds, self._holds_sum = book.holds, book.hold_nanousd_sum
            self._used_at = now
        if book.held:
            self._used_at = now
        elapsed_ms = int((now - self._sampled_at) * 1000)
        if elapsed_ms >= _RATE_SAMPLE_S * 1000:
            latest = (book.spent - self._spent) * 1000 // elapsed_ms
            self._rate_per_s = (self._rate_per_s + latest) // 2
            self._spent, self._sampled_at = book.spent, now

    def want(self, book: Book, least: int, now: float) -> int:
        """The larger of 90 s of spending and 32 typical holds, at least `least`."""
        self.sample(book, now)
        typical = self._typical_hold or least
        return min(max(least, self._rate_per_s * _RATE_S, typical * _HOLDS), AMOUNT_NANOUSD_MAX - 1)

    def low_water(self, book: Book, want: int) -> int:
        """Below this much free a top-up is due: 60 s of spending, or a quarter of what was wanted.

        At most three quarters of what a grant left free, so that near an account's end not every request asks.
        """
        return max(0, min(book.free * 3 // 4, max(want // 4, self._rate_per_s * _RESERVE_S)))

    def idle_s(self, now: float) -> float:
        """Since a hold was last seen, as of the last `sample`."""
        return now - self._used_at
