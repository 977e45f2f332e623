"""What accounts could still spend, paid credits apart from grants, as of an instant.

A charge (or a negative credit) burns open grants before what was paid, in the ledger's order (ADR 0005). Open grants
are thus a walk that burning cannot take below zero, and only the sums between one grant and the next matter: `segment`
is the number of grants an entry came after. What was used in all comes from the rollups; what was used before an
account's last grant from its rows, which are few where grants come early; the rest came after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.console.finance.queries import FinanceQueries
from services.console.finance.scope import FINAL_SETTINGS

_POSITION = "bitShiftLeft(toUInt64(epoch), 48) + sequence"
_SEGMENT = f"arrayCount(opening -> opening < {_POSITION}, pots.opened.1)"
_BY_ACCOUNT = (
    f"WITH pots AS (SELECT account, arraySort(groupArray(({_POSITION}, toInt128(amount_nanousd)))) AS opened,"
    " max(created_at_us) AS last_us FROM credits FINAL"
    " WHERE source = 'grant' AND amount_nanousd > 0 AND created_at_us < {until_us:Int64} GROUP BY account),"
    f" credited AS (SELECT credits.account AS account, {_SEGMENT} AS segment,"
    " sum(toInt128(amount_nanousd)) AS change, sum(greatest(-toInt128(amount_nanousd), toInt128(0))) AS burnt"
    " FROM credits FINAL LEFT JOIN pots ON pots.account = credits.account"
    " WHERE created_at_us < {until_us:Int64} GROUP BY account, segment),"
    f" early AS (SELECT usage.account AS account, {_SEGMENT} AS segment, any(length(pots.opened)) AS last,"
    " sum(toInt128(cost_nanousd)) AS burnt FROM usage FINAL JOIN pots ON pots.account = usage.account"
    # What lies before a grant in the ledger began before it, by clocks that are not a day apart.
    " WHERE usage.account IN (SELECT account FROM pots)"
    " AND hour <= toDateTime(intDiv((SELECT max(last_us) FROM pots), 1000000) + 86400, 'UTC')"
    f" AND cost_nanousd > 0 AND started_at_us < {{until_us:Int64}} AND {_POSITION} < pots.opened.1[-1]"
    " GROUP BY account, segment),"
    " used AS (SELECT account, sum(toInt128(cost_nanousd)) AS used FROM usage_hourly FINAL"
    " WHERE hour < toDateTime(intDiv({until_us:Int64}, 1000000), 'UTC') GROUP BY account),"
    " moves AS (SELECT account, segment, change, burnt FROM credited"
    " UNION ALL SELECT account, segment, toInt128(0), burnt FROM early"
    " UNION ALL SELECT account, last, toInt128(0), -burnt FROM early"
    " UNION ALL SELECT used.account, length(pots.opened), -used, used FROM used"
    " LEFT JOIN pots ON pots.account = used.account),"
    " segments AS (SELECT account, segment, sum(change) AS change_sum, sum(burnt) AS burnt_sum FROM moves"
    " GROUP BY account, segment),"
    " accounts AS (SELECT segments.account AS account, sum(change_sum) AS balance,"
    " arrayFold((open, step) -> greatest(open + step.1 - step.2, toInt128(0)),"
    " arrayZip(arrayPushFront(any(pots.opened).2, toInt128(0)),"
    " arrayMap(segment -> mapFromArrays(groupArray(toUInt64(segments.segment)), groupArray(burnt_sum))[segment],"
    " range(toUInt64(length(any(pots.opened)) + 1)))), toInt128(0)) AS grants_open,"
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

        One query, so both are of one moment, and rows are read once.
        """
        rows = await self._queries.rows(
            f"{_BY_ACCOUNT} SELECT count(), sum(balance), sum(grants_open), sum(greatest(paid_open, toInt128(0))),"
            " sum(greatest(-paid_open, toInt128(0))), arraySlice(arraySort(groupArrayIf("
            " (account, balance, grants_open, paid_open), account > {after:String})), 1, {rows:UInt32})"
            f" FROM accounts{FINAL_SETTINGS}",
            {"until_us": until_us, "after": after, "rows": limit + 1},
        )
        count, balance, grants, paid, overdrawn, listed = rows[0]
        return OpenTotals(count, balance, grants, paid, overdrawn), [Open(*row) for row in listed]
