"""What accounts could still spend, paid credits apart from grants, as of an instant.

A charge (or a negative credit) burns open grants before what was paid, in the ledger's order (ADR 0005). Open grants
are thus a walk that burning cannot take below zero, and only the sums between one grant and the next matter: `segment`
is the number of grants an entry came after. From rows, not rollups: exact at any moment, within an hour too.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.console.finance.queries import FinanceQueries
from services.console.finance.scope import FINAL_SETTINGS

_POSITION = "bitShiftLeft(toUInt64(epoch), 48) + sequence"
_BY_ACCOUNT = (
    "WITH pots AS (SELECT account,"
    f" arraySort(groupArray(({_POSITION}, toInt128(amount_nanousd)))) AS opened FROM credits FINAL"
    " WHERE source = 'grant' AND amount_nanousd > 0 AND created_at_us < {until_us:Int64} GROUP BY account),"
    " entries AS ("
    f"SELECT account, {_POSITION} AS position, toInt128(amount_nanousd) AS moved FROM credits FINAL"
    " WHERE created_at_us < {until_us:Int64} UNION ALL"
    f" SELECT account, {_POSITION} AS position, -toInt128(cost_nanousd) AS moved FROM usage FINAL"
    " WHERE cost_nanousd > 0 AND started_at_us < {until_us:Int64}),"
    " segments AS (SELECT entries.account AS account,"
    " arrayCount(opening -> opening < position, pots.opened.1) AS segment,"
    " sum(moved) AS change, sumIf(-moved, moved < 0) AS burnt"
    " FROM entries LEFT JOIN pots ON pots.account = entries.account GROUP BY account, segment),"
    " accounts AS (SELECT segments.account AS account, sum(segments.change) AS balance,"
    " arrayFold((open, step) -> greatest(open + step.1 - step.2, toInt128(0)),"
    " arrayZip(arrayPushFront(any(pots.opened).2, toInt128(0)),"
    " arrayMap(segment -> mapFromArrays(groupArray(segments.segment), groupArray(segments.burnt))[segment],"
    " range(length(any(pots.opened)) + 1))), toInt128(0)) AS grants_open,"
    " balance - grants_open AS paid_open"
    " FROM segments LEFT JOIN pots ON pots.account = segments.account GROUP BY account)"
)


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

        One query: totals ride on each row, so both are of one moment.
        """
        rows = await self._queries.rows(
            f"{_BY_ACCOUNT}, totals AS (SELECT count() AS n, sum(balance) AS b, sum(grants_open) AS g,"
            " sum(greatest(paid_open, toInt128(0))) AS p, sum(greatest(-paid_open, toInt128(0))) AS o FROM accounts)"
            " SELECT n, b, g, p, o, listed FROM totals CROSS JOIN (SELECT arraySlice(arraySort(groupArrayIf("
            " (account, balance, grants_open, paid_open), account > {after:String})), 1, {rows:UInt32}) AS listed"
            f" FROM accounts) AS page{FINAL_SETTINGS}",
            {"until_us": until_us, "after": after, "rows": limit + 1},
        )
        count, balance, grants, paid, overdrawn, listed = rows[0]
        return OpenTotals(count, balance, grants, paid, overdrawn), [Open(*row) for row in listed]
