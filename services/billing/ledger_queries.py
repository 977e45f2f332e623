"""What the ledger's rows add up to as of a set of marks: the ClickHouse side of every rebuild and every proof.

Rows above a partition's mark may exist (inserted, not yet marked); they do not count. Sums read FINAL, so a range
inserted twice counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lumen.platform.clickhouse import ClickHouse
from services.billing.marks import Mark, position_version


class AccountBalance(NamedTuple):
    partition: int
    account: str
    balance_nanousd: int


class PostedTotal(NamedTuple):
    """What one lease has spent of an account's (or a limited key's) money. `owner`: the account or key id."""

    partition: int
    owner: str
    producer: str
    lease_boot: int
    cost_nanousd: int


def as_of(marks: Mapping[int, Mark]) -> str:
    """A condition: rows of these partitions, up to each one's mark. Only integers go into the text."""
    if not marks:
        return "0"
    partitions = ", ".join(str(partition) for partition in marks)
    versions = ", ".join(str(position_version(mark.epoch, mark.sequence)) for mark in marks.values())
    position = "bitShiftLeft(toUInt64(epoch), 48) + sequence"
    return (
        f"`partition` IN ({partitions}) "
        f"AND {position} <= transform(`partition`, [{partitions}], [{versions}], toUInt64(0))"
    )


def _of_account(account: str) -> str:
    return " AND account = {account:String}" if account else ""


class LedgerQueries:
    """Raises lumen.platform.clickhouse.ClickHouseError."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def balances(self, marks: Mapping[int, Mark], account: str = "") -> list[AccountBalance]:
        condition = as_of(marks) + _of_account(account)
        rows = await self._clickhouse.rows(
            "SELECT `partition`, account, sum(amount) FROM ("  # integers only, see as_of
            f" SELECT `partition`, account, amount_nanousd AS amount FROM credits FINAL WHERE {condition}"
            " UNION ALL"
            f" SELECT `partition`, account, -cost_nanousd AS amount FROM usage FINAL WHERE {condition}"
            ") GROUP BY `partition`, account",
            {"account": account},
        )
        return [AccountBalance(*row) for row in rows]

    async def posted_by_account(self, marks: Mapping[int, Mark], account: str = "") -> list[PostedTotal]:
        return await self._posted("account", as_of(marks) + _of_account(account), account)

    async def posted_by_key(self, marks: Mapping[int, Mark], account: str = "") -> list[PostedTotal]:
        """Only keys' entries that were made under a spend limit."""
        condition = f"{as_of(marks)} AND key_has_spend_limit" + _of_account(account)
        return await self._posted("key_id", condition, account)

    async def _posted(self, owner: str, condition: str, account: str) -> list[PostedTotal]:
        rows = await self._clickhouse.rows(
            f"SELECT `partition`, {owner}, producer, lease_boot, sum(cost_nanousd) FROM usage FINAL"
            f" WHERE {condition} AND cost_nanousd > 0 GROUP BY `partition`, {owner}, producer, lease_boot",
            {"account": account},
        )
        return [PostedTotal(*row) for row in rows]
