"""Charges rated again: what the newest entries' own catalog revisions say they cost, against what their rows say.

Rating is a pure function of (entry, revision), so any difference is a row that was changed, or a rating that was.
"""

from __future__ import annotations

from collections.abc import Mapping

from lumen.platform.clickhouse import ClickHouse
from services.billing.ledger_queries import as_of
from services.billing.lost_batches import entry_of
from services.billing.marks import Mark
from services.billing.rating import Charge, NotRatable, RateBook, RevisionMissing
from services.billing.row_checks import DRIFTS_NAMED_MAX, Check
from services.billing.tables import USAGE

_ROWS_MAX = 2000
_REVISION_WAIT_S_MAX = 1.0


class ChargeCheck:
    """Raises ClickHouseError, and what NATS raises for a revision not in memory."""

    def __init__(self, clickhouse: ClickHouse, rate_book: RateBook) -> None:
        self._clickhouse = clickhouse
        self._rate_book = rate_book

    async def compare(self, marks: Mapping[int, Mark], account: str) -> Check:
        """The newest entries of the account (empty: of all), at most 2,000."""
        columns = ", ".join(f"`{column}`" for column in USAGE.columns)
        found = await self._clickhouse.rows(
            f"SELECT {columns} FROM usage FINAL WHERE {as_of(marks)}"  # constants and integers only
            f"{' AND account = {account:String}' if account else ''}"
            f" ORDER BY epoch DESC, sequence DESC, `index` DESC LIMIT {_ROWS_MAX}",
            {"account": account},
        )
        rows = [dict(zip(USAGE.columns, row, strict=True)) for row in found]
        try:
            rates = await self._rate_book.rates_for(
                {row["catalog_revision"] for row in rows}, wait_s_max=_REVISION_WAIT_S_MAX
            )
        except RevisionMissing as error:
            return Check("charges_equal_prices", False, len(rows), [str(error)])
        drifts = []
        for row in rows:
            posted = Charge(row["cost_nanousd"], row["upstream_cost_nanousd"])
            try:
                rated = rates[row["catalog_revision"]].charge(entry_of(row))
            except NotRatable as error:
                drifts.append(f"request {row['request_id']} ({row['sequence']}/{row['index']}): {error}")
                continue
            if rated != posted:
                drifts.append(
                    f"request {row['request_id']} of {row['account']} ({row['sequence']}/{row['index']}):"
                    f" charged {posted.cost_nanousd} (upstream {posted.upstream_cost_nanousd}),"
                    f" rated {rated.cost_nanousd} (upstream {rated.upstream_cost_nanousd}) nano-USD"
                )
        return Check("charges_equal_prices", not drifts, len(rows), drifts[:DRIFTS_NAMED_MAX])
