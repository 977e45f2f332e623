"""Accounts' pots (lumen.money.pots) as of a mark, folded from ClickHouse's rows.

The order is that of the ledger's messages; of one message its credits come before its charges (nobody of ours mixes
them). Charges between two credits count as one, so ClickHouse sums them up and only credits are folded one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lumen.money.pots import EXPIRY_KIND, Pots, expiry_reference
from lumen.platform.clickhouse import ClickHouse
from services.billing.ledger_queries import as_of
from services.billing.marks import Mark

_VERSION = "bitShiftLeft(toUInt64(epoch), 48) + sequence"  # services.billing.marks.position_version
_REFERENCE = (  # lumen.money.pots.expiry_reference
    "concat('expiry:', toString(epoch), '-', toString(`partition`), '-', toString(sequence), '-', toString(`index`))"
)
_EXPIRES = "(source = 'grant' OR expires_at_s > 0)"


@dataclass(frozen=True, slots=True)
class DuePot:
    """A credit past its expiry that no entry closes. `reference`: lumen.money.pots.expiry_reference."""

    partition: int
    account: str
    reference: str
    source: str
    expires_at_s: int


class Burning:
    """Raises lumen.platform.clickhouse.ClickHouseError."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def due(self, partitions: Sequence[int], now_s: int, *, pots_max: int) -> list[DuePot]:
        """The longest overdue first, at most `pots_max` of each partition."""
        listed = ", ".join(str(partition) for partition in partitions)  # integers only
        rows = await self._clickhouse.rows(
            f"SELECT `partition`, account, {_REFERENCE} AS name, source, expires_at_s FROM credits FINAL"
            f" WHERE `partition` IN ({listed}) AND amount_nanousd > 0 AND kind != '{EXPIRY_KIND}'"
            " AND expires_at_s > 0 AND expires_at_s <= {now_s:Int64}"
            f" AND (account, name) NOT IN (SELECT account, reference FROM credits WHERE kind = '{EXPIRY_KIND}')"
            f" ORDER BY expires_at_s, epoch, sequence LIMIT {pots_max} BY `partition`",
            {"now_s": now_s},
        )
        return [DuePot(*row) for row in rows]

    async def accounts_with_pots(self, marks: Mapping[int, Mark], account: str, *, accounts_max: int) -> list[str]:
        """Accounts (of one partition or all, or just `account` if it is one) that were ever given a grant or a credit
        with an expiry; those with the newest ones."""
        rows = await self._clickhouse.rows(
            f"SELECT account FROM credits FINAL WHERE {as_of(marks)} AND {_EXPIRES}"
            f"{' AND account = {account:String}' if account else ''}"
            f" GROUP BY account ORDER BY max({_VERSION}) DESC LIMIT {accounts_max}",
            {"account": account},
        )
        return [row[0] for row in rows]

    async def pots(self, marks: Mapping[int, Mark], accounts: Sequence[str]) -> dict[str, Pots]:
        """The whole history of these accounts (all of partitions in `marks`) up to the marks."""
        condition = f"{as_of(marks)} AND account IN {{accounts:Array(String)}}"
        parameters = {"accounts": list(accounts)}
        credits_ = await self._clickhouse.rows(
            f"SELECT account, {_VERSION} AS version, epoch, `partition`, sequence, `index`, amount_nanousd, kind,"
            f" source, reference, expires_at_s FROM credits FINAL WHERE {condition} ORDER BY account, version, `index`",
            parameters,
        )
        charged = await self._clickhouse.rows(
            "SELECT charges.account, credited.version, sum(charges.cost_nanousd) FROM"
            f" (SELECT account, {_VERSION} AS version, cost_nanousd FROM usage FINAL"
            f" WHERE {condition} AND cost_nanousd > 0) AS charges"
            f" ASOF LEFT JOIN (SELECT DISTINCT account, {_VERSION} AS version FROM credits FINAL WHERE {condition})"
            " AS credited ON charges.account = credited.account AND charges.version >= credited.version"
            " GROUP BY charges.account, credited.version",
            parameters,
        )
        after = {(account, version): cost for account, version, cost in charged}  # version 0: before any credit
        found: dict[str, Pots] = defaultdict(Pots)
        for account in accounts:
            found[account].charge(after.get((account, 0), 0))
        for number, row in enumerate(credits_):
            account, version, *place, amount_nanousd, kind, source, reference, expires_at_s = row
            epoch, partition, sequence, index = place
            name = reference if kind == EXPIRY_KIND else expiry_reference(epoch, partition, sequence, index)
            found[account].credit(name, amount_nanousd, kind, source, expires_at_s)
            is_last = number + 1 == len(credits_) or credits_[number + 1][:2] != row[:2]
            if is_last:
                found[account].charge(after.get((account, version), 0))
        return dict(found)
