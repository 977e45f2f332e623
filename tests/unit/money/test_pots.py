"""Grants burn first, by earliest expiry; the rest of one expires once; nothing is invented or lost."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from lumen.money.pots import GRANT, PAID, NextExpiry, Pots


def test_the_grant_that_expires_first_burns_first() -> None:
    pots = Pots()
    pots.credit("never", 100, "grant", GRANT, 0)
    pots.credit("late", 100, "grant", GRANT, 2_000)
    pots.credit("early", 100, "grant", GRANT, 1_000)
    pots.credit("top-up", 1_000, "topup", PAID, 0)
    pots.charge(130)
    assert [pot.left_nanousd for pot in pots.due(5_000)] == [0, 70]
    assert pots.next_expiry == NextExpiry(2_000, 70)
    pots.charge(170)
    assert (pots.grants_nanousd, pots.paid_nanousd) == (0, 1_000)
    assert not pots.next_expiry


def test_grants_of_one_expiry_burn_in_the_order_they_were_given() -> None:
    pots = Pots()
    pots.credit("b", 10, "grant", GRANT, 1_000)
    pots.credit("a", 10, "grant", GRANT, 1_000)
    pots.charge(15)
    assert [(pot.reference, pot.left_nanousd) for pot in pots.due(1_000)] == [("b", 0), ("a", 5)]
    assert pots.next_expiry == NextExpiry(1_000, 5)


def test_paid_money_with_an_expiry_burns_after_grants_and_before_the_rest() -> None:
    pots = Pots()
    pots.credit("p", 50, "topup", PAID, 0)
    pots.credit("q", 50, "topup", PAID, 500)
    pots.credit("g", 50, "grant", GRANT, 9_000)
    pots.charge(70)
    assert (pots.grants_nanousd, pots.next_expiry, pots.paid_nanousd) == (0, NextExpiry(500, 30), 50)


def test_a_refund_takes_paid_money_before_grants() -> None:
    pots = Pots()
    pots.credit("g", 50, "grant", GRANT, 1_000)
    pots.credit("p", 100, "topup", PAID, 0)
    pots.credit("r", -120, "refund", PAID, 0)
    assert (pots.paid_nanousd, pots.grants_nanousd) == (0, 30)


def test_a_debt_is_paid_off_before_a_grant_opens() -> None:
    pots = Pots()
    pots.charge(30)
    pots.credit("g", 50, "grant", GRANT, 1_000)
    assert (pots.paid_nanousd, pots.grants_nanousd, pots.balance_nanousd) == (0, 20, 20)


def test_an_expiry_closes_its_pot_for_good() -> None:
    pots = Pots()
    pots.credit("g", 50, "grant", GRANT, 1_000)
    pots.charge(20)
    pots.credit("g", -30, "expiry", GRANT, 1_000)
    assert (pots.due(2_000), pots.balance_nanousd, pots.wrong_expiries) == ([], 0, [])


def test_an_expiry_of_another_amount_is_named_and_still_balances() -> None:
    pots = Pots()
    pots.credit("p", 100, "topup", PAID, 0)
    pots.credit("g", 50, "grant", GRANT, 1_000)
    pots.credit("g", -60, "expiry", GRANT, 1_000)
    pots.credit("g", -50, "expiry", GRANT, 1_000)
    assert pots.wrong_expiries == [("g", 60, 50), ("g", 50, 0)]
    assert pots.balance_nanousd == 100 + 50 - 60 - 50


@dataclass
class _Coin:
    """One nano-USD of the reference model: nothing but where it came from."""

    is_paid: bool
    expires_at_s: int
    opened: int

    def burns(self) -> tuple[bool, bool, int, int]:
        return self.is_paid, not self.expires_at_s, self.expires_at_s, 0 if self.is_plain else self.opened

    @property
    def is_plain(self) -> bool:
        return self.is_paid and not self.expires_at_s


class _Coins:
    """The reference: a heap of single coins, taken one at a time."""

    def __init__(self) -> None:
        self.coins: list[_Coin] = []
        self.debt = 0
        self.opened = 0

    def add(self, amount: int, is_paid: bool, expires_at_s: int) -> int:
        self.opened += 1
        for _ in range(amount):
            if self.debt:
                self.debt -= 1
            else:
                self.coins.append(_Coin(is_paid, expires_at_s, self.opened))
        return self.opened

    def take(self, amount: int, *, last: bool = False) -> None:
        for _ in range(amount):
            if not self.coins:
                self.debt += 1
                continue
            self.coins.remove((max if last else min)(self.coins, key=_Coin.burns))

    def expire(self, opened: int) -> int:
        rest = [coin for coin in self.coins if coin.opened == opened]
        self.coins = [coin for coin in self.coins if coin.opened != opened]
        return len(rest)


_moves = st.lists(
    st.one_of(
        st.tuples(st.just("credit"), st.integers(1, 12), st.booleans(), st.sampled_from([0, 0, 10, 20, 30])),
        st.tuples(st.just("charge"), st.integers(0, 15), st.booleans(), st.just(0)),
        st.tuples(st.just("take_back"), st.integers(1, 8), st.booleans(), st.just(0)),
        st.tuples(st.just("expire"), st.integers(0, 35), st.booleans(), st.just(0)),
    ),
    max_size=25,
)


@given(moves=_moves)
def test_pots_are_the_same_as_a_heap_of_coins(moves: list[tuple[str, int, bool, int]]) -> None:
    pots, halves, coins = Pots(), Pots(), _Coins()
    opened: dict[str, int] = {}
    for move, amount, is_paid, expires_at_s in moves:
        if move == "credit":
            number = coins.add(amount, is_paid, expires_at_s)
            opened[str(number)] = number
            for each in (pots, halves):
                each.credit(str(number), amount, "topup", PAID if is_paid else GRANT, expires_at_s)
        elif move == "charge":
            coins.take(amount)
            pots.charge(amount)
            halves.charge(amount // 2)
            halves.charge(amount - amount // 2)
        elif move == "take_back":
            coins.take(amount, last=True)
            for each in (pots, halves):
                each.credit("", -amount, "adjustment", PAID, 0)
        else:
            for pot in pots.due(amount):
                rest = coins.expire(opened[pot.reference])
                assert rest == pot.left_nanousd
                for each in (pots, halves):
                    each.credit(pot.reference, -rest, "expiry", pot.source, pot.expires_at_s)
        assert pots.grants_nanousd == sum(not coin.is_paid for coin in coins.coins)
        assert pots.balance_nanousd == len(coins.coins) - coins.debt
        expiring = [coin.expires_at_s for coin in coins.coins if coin.expires_at_s]
        found = pots.next_expiry
        assert (found.at_s if found else None) == min(expiring, default=None)
        assert found is None or found.amount_nanousd == expiring.count(found.at_s)
        assert (halves.grants_nanousd, halves.paid_nanousd) == (pots.grants_nanousd, pots.paid_nanousd)
    assert not pots.wrong_expiries
