"""The worker's own books of its credit leases: pure, synchronous, the hot path of admission and settlement.

Per account, and per key with a spend limit beside it, four totals in nano-USD: `granted`, `released` and `spent` only
grow, `held` is what requests in flight may cost. free = granted - released - spent - held. A request holds its upper
bound, then settles its actual cost or is cancelled, exactly once. A cost above its hold is booked in full (free may
then be negative, which only stops further holds) and counted as overspend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator


class HoldEnded(Exception):
    """The hold was settled or cancelled before."""


class Book:
    """One lease: an account's, or (with `key_id`) a limited key's."""

    __slots__ = (
        "account_id",
        "granted",
        "held",
        "hold_nanousd_sum",
        "holds",
        "key_id",
        "keys",
        "low_water",
        "may_be_granted",
        "released",
        "spent",
    )

    def __init__(self, account_id: str, key_id: str = "") -> None:
        self.account_id = account_id
        self.key_id = key_id
        self.granted = 0
        self.released = 0
        self.spent = 0
        self.held = 0
        self.holds = 0  # ever made, and their sum: what a typical one is, and whether the lease is idle
        self.hold_nanousd_sum = 0
        self.low_water = 0  # below this much free, a top-up is due
        self.may_be_granted = False  # a Grant's answer was lost: Redis may reserve what we do not know of
        self.keys: dict[str, Book] = {}  # an account's limited keys

    @property
    def free(self) -> int:
        return self.granted - self.released - self.spent - self.held

    @property
    def in_use(self) -> int:
        return self.held + self.spent

    def learn(self, granted: int, released: int = 0) -> None:
        """What Redis says; the larger total is the true one, as answers get lost and Redis may lose its last second."""
        if granted > self.granted:
            self.granted = granted
        if released > self.released:
            self.released = released

    def release_idle(self, keep: int = 0) -> int:
        """Give back what is neither spent nor held, but for `keep`. Returns the amount."""
        amount = max(0, self.free - keep)
        self.released += amount
        return amount


class Hold:
    """A request's claim on its lease. `key_id` is empty unless the key has a spend limit."""

    __slots__ = ("_book", "_is_open", "_key_book", "account_id", "amount_nanousd", "key_id")

    def __init__(self, book: Book, key_book: Book | None, amount_nanousd: int) -> None:
        self.account_id = book.account_id
        self.key_id = "" if key_book is None else key_book.key_id
        self.amount_nanousd = amount_nanousd
        self._book = book
        self._key_book = key_book
        self._is_open = True

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def is_lease_low(self) -> bool:
        """The account's or the limited key's lease is due for a top-up."""
        book, key_book = self._book, self._key_book
        return book.free < book.low_water or (key_book is not None and key_book.free < key_book.low_water)

    def _end(self, cost_nanousd: int) -> None:
        if not self._is_open:
            raise HoldEnded(f"a hold of account {self.account_id} ended twice")
        if cost_nanousd < 0:
            raise ValueError(f"a cost of {cost_nanousd}")
        self._is_open = False
        book, amount = self._book, self.amount_nanousd
        book.held -= amount
        book.spent += cost_nanousd
        key_book = self._key_book
        if key_book is not None:
            key_book.held -= amount
            key_book.spent += cost_nanousd


class LeaseBook:
    """All books of this boot. They are never forgotten: Redis keeps the totals, which only grow, as long as the lease.

    An account costs about 0.5 KiB. `on_overspend` is told what a request cost beyond its hold.
    """

    def __init__(self, on_overspend: Callable[[int], None] = lambda _: None) -> None:
        self._accounts: dict[str, Book] = {}
        self._on_overspend = on_overspend

    def account(self, account_id: str) -> Book:
        book = self._accounts.get(account_id)
        if book is None:
            book = self._accounts[account_id] = Book(account_id)
        return book

    def key(self, account_id: str, key_id: str) -> Book:
        account = self.account(account_id)
        book = account.keys.get(key_id)
        if book is None:
            book = account.keys[key_id] = Book(account_id, key_id)
        return book

    def known(self, account_id: str) -> Book | None:
        return self._accounts.get(account_id)

    def try_hold(self, account_id: str, key_id: str, key_spend_limit_nanousd: int, amount_nanousd: int) -> Hold | None:
        """None when the lease (or the limited key's own) does not cover the amount. Raises ValueError below zero."""
        if amount_nanousd < 0:
            raise ValueError(f"a hold of {amount_nanousd}")
        book = self._accounts.get(account_id)
        if book is None:
            book = self.account(account_id)
        if book.granted - book.released - book.spent - book.held < amount_nanousd:
            return None
        key_book: Book | None = None
        if key_spend_limit_nanousd:
            key_book = book.keys.get(key_id) or self.key(account_id, key_id)
            if key_book.granted - key_book.released - key_book.spent - key_book.held < amount_nanousd:
                return None
            key_book.held += amount_nanousd
            key_book.holds += 1
            key_book.hold_nanousd_sum += amount_nanousd
        book.held += amount_nanousd
        book.holds += 1
        book.hold_nanousd_sum += amount_nanousd
        return Hold(book, key_book, amount_nanousd)

    def settle(self, hold: Hold, cost_nanousd: int) -> None:
        """After the entry was submitted, never before. Raises HoldEnded the second time, ValueError below zero."""
        hold._end(cost_nanousd)
        if cost_nanousd > hold.amount_nanousd:
            self._on_overspend(cost_nanousd - hold.amount_nanousd)

    def cancel(self, hold: Hold) -> None:
        """Nothing was spent. Raises HoldEnded the second time."""
        hold._end(0)

    def __iter__(self) -> Iterator[Book]:
        """Every account's book, each followed by those of its limited keys."""
        for account in list(self._accounts.values()):
            yield account
            yield from list(account.keys.values())

    def books_of(self, account_id: str) -> list[Book]:
        account = self._accounts.get(account_id)
        return [] if account is None else [account, *account.keys.values()]
