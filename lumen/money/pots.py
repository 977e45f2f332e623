"""Which credit a charge burns: an account's entries folded in the ledger's order. Pure bookkeeping beside the balance.

A positive credit opens a pot: a grant's, or that of paid money with an expiry; paid money without one is a single
figure. A charge takes from the pots first, grants before paid ones, the earliest expiry first (none last), then in the
order they were opened, and at last from what is paid. Money taken back (a negative credit) takes the other way round.
What nothing covers is a debt: `paid` goes below zero, and the next credit pays it off before it opens a pot. Hence

    balance == paid + sum of pots, and no pot holds anything while there is a debt.

Charges between two credits may be folded one by one or as their sum: the result is the same. Amounts are nano-USD.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

GRANT, PAID = "grant", "paid"
EXPIRY_KIND = "expiry"


def expiry_reference(epoch: int, partition: int, sequence: int, index: int) -> str:
    """Names the credit at this ledger position, in the `expiry` entry that closes its pot."""
    return f"expiry:{epoch}-{partition}-{sequence}-{index}"


@dataclass(slots=True)
class Pot:
    """What is left of one credit. `expires_at_s`: Unix seconds, 0 for never."""

    reference: str
    source: str
    expires_at_s: int
    opened: int  # counts the account's pots
    left_nanousd: int

    def __lt__(self, other: Pot) -> bool:
        """Burns before `other`."""
        return self._order < other._order

    @property
    def _order(self) -> tuple[bool, bool, int, int]:
        return self.source != GRANT, not self.expires_at_s, self.expires_at_s, self.opened


@dataclass(frozen=True, slots=True)
class NextExpiry:
    """What expires first if nothing burns it. `at_s`: Unix seconds."""

    at_s: int
    amount_nanousd: int


@dataclass(slots=True)
class Pots:
    """One account. `wrong_expiries`: (reference, nano-USD expired, nano-USD the pot held) where the two differ."""

    paid_nanousd: int = 0
    wrong_expiries: list[tuple[str, int, int]] = field(default_factory=list)
    _burning: list[Pot] = field(default_factory=list)  # those that hold something, the next to burn first
    _unclosed: dict[str, Pot] = field(default_factory=dict)  # those with an expiry and no entry that closes them
    _opened: int = 0

    @property
    def balance_nanousd(self) -> int:
        return self.paid_nanousd + sum(pot.left_nanousd for pot in self._burning)

    @property
    def grants_nanousd(self) -> int:
        return sum(pot.left_nanousd for pot in self._burning if pot.source == GRANT)

    @property
    def next_expiry(self) -> NextExpiry | None:
        expiring = [pot for pot in self._burning if pot.expires_at_s]
        if not expiring:
            return None
        at_s = min(pot.expires_at_s for pot in expiring)
        return NextExpiry(at_s, sum(pot.left_nanousd for pot in expiring if pot.expires_at_s == at_s))

    def due(self, now_s: int) -> list[Pot]:
        """Past their expiry and not closed, whether they hold anything or not; in the order they expire."""
        return sorted(pot for pot in self._unclosed.values() if pot.expires_at_s <= now_s)

    def left_of(self, reference: str) -> int | None:
        """What the credit with an expiry has left; None: there is none, or an entry has closed it."""
        pot = self._unclosed.get(reference)
        return pot.left_nanousd if pot is not None else None

    def credit(self, reference: str, amount_nanousd: int, kind: str, source: str, expires_at_s: int) -> None:
        """Any credit entry. `reference`: `expiry_reference` of its position; of an expiry, the one that it carries."""
        if kind == EXPIRY_KIND:
            self._expire(reference, -amount_nanousd)
        elif amount_nanousd <= 0:
            self._take_back(-amount_nanousd)
        else:
            self._open(reference, amount_nanousd, source, expires_at_s)

    def charge(self, amount_nanousd: int) -> None:
        """A request's cost, or the costs of any number of them without a credit in between."""
        while amount_nanousd and self._burning:
            amount_nanousd -= self._take(0, amount_nanousd)
        self.paid_nanousd -= amount_nanousd

    def _open(self, reference: str, amount_nanousd: int, source: str, expires_at_s: int) -> None:
        debt_nanousd = min(amount_nanousd, max(0, -self.paid_nanousd))
        self.paid_nanousd += debt_nanousd
        left_nanousd = amount_nanousd - debt_nanousd
        if source != GRANT and not expires_at_s:
            self.paid_nanousd += left_nanousd
            return
        self._opened += 1
        pot = Pot(reference, source, expires_at_s, self._opened, left_nanousd)
        if left_nanousd:
            insort(self._burning, pot)
        if expires_at_s:
            self._unclosed[reference] = pot

    def _take_back(self, amount_nanousd: int) -> None:
        from_paid = min(amount_nanousd, max(0, self.paid_nanousd))
        self.paid_nanousd -= from_paid
        amount_nanousd -= from_paid
        while amount_nanousd and self._burning:
            amount_nanousd -= self._take(-1, amount_nanousd)
        self.paid_nanousd -= amount_nanousd

    def _expire(self, reference: str, amount_nanousd: int) -> None:
        """Closes the pot. An amount that is not what it holds is remembered, and moves the balance all the same."""
        pot = self._unclosed.pop(reference, None)
        held_nanousd = pot.left_nanousd if pot is not None else 0
        if pot is not None and held_nanousd:
            self._burning.remove(pot)
            pot.left_nanousd = 0
        if amount_nanousd != held_nanousd or pot is None:
            self.wrong_expiries.append((reference, amount_nanousd, held_nanousd))
        if amount_nanousd < held_nanousd:
            self.paid_nanousd += held_nanousd - amount_nanousd
        else:
            self._take_back(amount_nanousd - held_nanousd)

    def _take(self, index: int, amount_nanousd: int) -> int:
        """From the pot at `index` of those that burn; returns what it gave."""
        pot = self._burning[index]
        taken_nanousd = min(amount_nanousd, pot.left_nanousd)
        pot.left_nanousd -= taken_nanousd
        if not pot.left_nanousd:
            del self._burning[index]
        return taken_nanousd
