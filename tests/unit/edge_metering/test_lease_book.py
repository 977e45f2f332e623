"""The books' arithmetic: nothing is admitted beyond the lease, and nothing is counted twice."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.edge.metering.demand import Demand
from services.edge.metering.lease_book import Book, Hold, HoldEnded, LeaseBook

_accounts = st.sampled_from(["a", "b"])
_limits = st.sampled_from([0, 500])
_amounts = st.integers(0, 200)


class BooksMachine(RuleBasedStateMachine):
    """Holds, settlements, cancellations, grants and releases in any order; costs stay within their holds."""

    def __init__(self) -> None:
        super().__init__()
        self.books = LeaseBook()
        self.holds: list[Hold] = []
        self.seen: dict[Book, tuple[int, int, int]] = {}

    @rule(account=_accounts, limit=_limits, granted=st.integers(0, 1000), released=st.integers(0, 1000))
    def learn(self, account: str, limit: int, granted: int, released: int) -> None:
        book = self.books.key(account, f"key-{account}") if limit else self.books.account(account)
        book.learn(granted, min(released, max(0, book.granted - book.in_use)))

    @rule(account=_accounts)
    def release(self, account: str) -> None:
        for book in self.books.books_of(account):
            book.release_idle()

    @rule(account=_accounts, limit=_limits, amount=_amounts)
    def hold(self, account: str, limit: int, amount: int) -> None:
        before = [(book, book.free) for book in self.books.books_of(account)]
        hold = self.books.try_hold(account, f"key-{account}", limit, amount)
        touched = [(book, free) for book, free in before if limit or not book.key_id]
        if hold is None:
            assert not before or any(free < amount for _, free in touched) or (limit and len(touched) == 1)
            assert all(book.free == free for book, free in before)
        else:
            assert all(free >= amount and book.free == free - amount >= 0 for book, free in touched if free >= 0)
            self.holds.append(hold)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        hold = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        self.books.settle(hold, data.draw(st.integers(0, hold.amount_nanousd)))
        with pytest.raises(HoldEnded):
            self.books.cancel(hold)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        hold = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        self.books.cancel(hold)
        with pytest.raises(HoldEnded):
            self.books.settle(hold, 0)

    @invariant()
    def totals_only_grow_and_free_is_never_negative(self) -> None:
        for book in self.books:
            now = (book.granted, book.released, book.spent)
            assert all(new >= old for new, old in zip(now, self.seen.get(book, (0, 0, 0)), strict=True))
            self.seen[book] = now
            assert book.free >= 0

    @invariant()
    def held_is_the_sum_of_open_holds(self) -> None:
        for account in ("a", "b"):
            book = self.books.known(account)
            assert (0 if book is None else book.held) == sum(
                hold.amount_nanousd for hold in self.holds if hold.account_id == account
            )


TestBooks = BooksMachine.TestCase


def test_a_cost_beyond_the_hold_is_booked_counted_and_stops_further_holds() -> None:
    overspent: list[int] = []
    books = LeaseBook(overspent.append)
    books.account("a").learn(100)
    hold = books.try_hold("a", "k", 0, 80)
    assert hold is not None
    books.settle(hold, 130)
    assert (books.account("a").spent, books.account("a").free, overspent) == (130, -30, [50])
    assert books.try_hold("a", "k", 0, 0) is None


def test_a_hold_that_the_key_cannot_cover_takes_nothing_from_the_account() -> None:
    books = LeaseBook()
    books.account("a").learn(100)
    assert books.try_hold("a", "k", 50, 10) is None
    assert books.account("a").free == 100


def test_negative_amounts_are_refused() -> None:
    books = LeaseBook()
    with pytest.raises(ValueError):
        books.try_hold("a", "k", 0, -1)
    books.account("a").learn(10)
    hold = books.try_hold("a", "k", 0, 10)
    assert hold is not None
    with pytest.raises(ValueError):
        books.settle(hold, -1)
    assert hold.is_open


def test_want_is_the_larger_of_90_s_of_spending_and_32_typical_holds() -> None:
    book, demand = Book("a"), Demand(now=0.0)
    assert demand.want(book, 100, now=0.0) == 3200
    book.holds, book.hold_nanousd_sum, book.spent = 10, 1_000, 20_000
    assert demand.want(book, 1, now=10.0) == 1_000 * 90  # 2000 a second, weighed with the time before
    assert demand.want(book, 99_999, now=10.0) == 99_999


def test_a_lease_is_low_below_60_s_of_spending_or_a_quarter_of_what_was_wanted() -> None:
    book, demand = Book("a"), Demand(now=0.0)
    book.granted = 10_000
    assert demand.low_water(book, want=4_000) == 1_000
    book.spent = 2_000
    demand.sample(book, now=10.0)  # 200 a second, weighed with the time before
    assert demand.low_water(book, want=9_000) == 100 * 60
    book.spent = 9_000
    assert demand.low_water(book, want=9_000) == 750
