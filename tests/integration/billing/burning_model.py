"""For the property test of expiries: pots folded from listed rows, and a reference model that knows no ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lumen.money.pots import EXPIRY_KIND, Pots, expiry_reference
from services.billing.burning import DuePot
from services.billing.marks import Mark
from tests.integration.billing.interleavings import ListClickHouse, Position, is_below

Row = Mapping[str, Any]


class ListBurning:
    """What services.billing.burning.Burning asks ClickHouse, answered entry by entry."""

    def __init__(self, clickhouse: ListClickHouse) -> None:
        self._clickhouse = clickhouse

    async def due(self, partitions: Sequence[int], now_s: int, *, pots_max: int) -> list[DuePot]:
        closed = {row["reference"] for row in self._clickhouse.credits.values() if row["kind"] == EXPIRY_KIND}
        return [
            DuePot(position[0], row["account"], name, row["source"], row["expires_at_s"])
            for position, row in sorted(self._clickhouse.credits.items())
            if position[0] in partitions
            and 0 < row["expires_at_s"] <= now_s
            and row["amount_nanousd"] > 0
            and (name := _name(position, row)) not in closed
        ][:pots_max]

    async def pots(self, marks: Mapping[int, Mark], accounts: Sequence[str]) -> dict[str, Pots]:
        found = {account: Pots() for account in accounts}
        entries = [(position[1:], 0, position, row) for position, row in self._clickhouse.credits.items()]
        entries += [(position[1:], 1, position, row) for position, row in self._clickhouse.usage.items()]
        for _, is_usage, position, row in sorted(entries, key=lambda entry: entry[:2]):
            if row["account"] not in found or not is_below(position, marks):
                continue
            pots = found[row["account"]]
            if is_usage:
                pots.charge(row["cost_nanousd"])
            else:
                amount, kind = row["amount_nanousd"], row["kind"]
                pots.credit(_name(position, row), amount, kind, row["source"], row["expires_at_s"])
        return found


def _name(position: Position, row: Row) -> str:
    partition, epoch, sequence, index = position
    return row["reference"] if row["kind"] == EXPIRY_KIND else expiry_reference(epoch, partition, sequence, index)


@dataclass
class Lot:
    """A credit that was given, and what is left of it."""

    reference: str
    is_grant: bool
    expires_at_s: int
    left: int


@dataclass
class Lots:
    """One account, told of everything at the moment it enters the ledger."""

    lots: list[Lot] = field(default_factory=list)
    expired: dict[str, int] = field(default_factory=dict)
    debt: int = 0

    @property
    def balance(self) -> int:
        return sum(lot.left for lot in self.lots) - self.debt

    @property
    def grants(self) -> int:
        return sum(lot.left for lot in self.lots if lot.is_grant)

    def give(self, lot: Lot) -> None:
        paid_off = min(lot.left, self.debt)
        self.debt -= paid_off
        lot.left -= paid_off
        self.lots.append(lot)

    def use(self, amount: int) -> None:
        never = 10**12
        order = sorted(self.lots, key=lambda lot: (not lot.is_grant, lot.expires_at_s or never))
        self._take(amount, order)

    def take_back(self, amount: int) -> None:
        never = 10**12
        order = sorted(self.lots, key=lambda lot: (not lot.is_grant, lot.expires_at_s or never))
        self._take(amount, order[::-1])

    def expire(self, reference: str) -> None:
        (lot,) = (lot for lot in self.lots if lot.reference == reference)
        if reference not in self.expired:
            self.expired[reference], lot.left = lot.left, 0

    def _take(self, amount: int, order: Sequence[Lot]) -> None:
        for lot in order:
            taken = min(amount, lot.left)
            lot.left -= taken
            amount -= taken
        self.debt += amount
