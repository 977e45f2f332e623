"""What accounts could still spend, paid credits apart from grants, as of an instant.

The rule is that of lumen/money/pots.py, which decides what expires (ADR 0005). ClickHouse applies it to all accounts at
once in the view `open_credits` (deploy/clickhouse/0005_open_credits.sql), from rollups and the few rows they leave in
doubt; `finance.liabilities` is the same view as of now. A test holds both against `Pots` on random histories.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.console.finance.queries import FinanceQueries
from services.console.finance.scope import FINAL_SETTINGS


@dataclass(frozen=True, slots=True)
class Open:
    """nano-USD."""

    account: str
    balance: int
    grants_open: int
    paid_open: int


@dataclass(frozen=True, slots=True)
class OpenTotals:
    accounts: int
    balance: int
    grants_open: int
    paid_open: int  # what is above zero
    overdrawn: int  # what is below, as a positive figure


class Liabilities:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, queries: FinanceQueries) -> None:
        self._queries = queries

    async def page(self, until_us: int, after: str, limit: int) -> tuple[OpenTotals, list[Open]]:
        """Totals of all accounts, and accounts by id behind `after`: one more than `limit` when there are more.

        One query, so both are of one moment, and rows are read once.
        """
        rows = await self._queries.rows(
            "SELECT count(), sum(balance_nanousd), sum(grants_nanousd), sum(greatest(paid_nanousd, toInt128(0))),"
            " sum(greatest(-paid_nanousd, toInt128(0))), arraySlice(arraySort(groupArrayIf("
            " (account, balance_nanousd, grants_nanousd, paid_nanousd), account > {after:String})), 1, {rows:UInt32})"
            f" FROM open_credits(until_us = {{until_us:Int64}}){FINAL_SETTINGS}",
            {"until_us": until_us, "after": after, "rows": limit + 1},
        )
        count, balance, grants, paid, overdrawn, listed = rows[0]
        return OpenTotals(count, balance, grants, paid, overdrawn), [Open(*row) for row in listed]
