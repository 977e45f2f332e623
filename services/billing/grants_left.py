"""What of a balance is grants, and what expires next: folded from ClickHouse as of the very mark of that balance."""

from __future__ import annotations

from lumen.ledger import keyspace
from lumen.money.pots import Pots
from lumen.platform.clickhouse import ClickHouseError
from services.billing.burning import Burning
from services.billing.marks import Mark


class GrantsLeft:
    def __init__(self, burning: Burning) -> None:
        self._burning = burning

    async def of(self, account: str, mark: Mark | None) -> Pots | None:
        """`mark`: of the balance it is shown beside. Empty pots for whoever was never given any (what is paid is not
        told then); None: cannot be told now."""
        if mark is None:
            return None
        marks = {keyspace.partition_of(account): mark}
        try:
            if not await self._burning.accounts_with_pots(marks, account, accounts_max=1):
                return Pots()
            return (await self._burning.pots(marks, [account]))[account]
        except ClickHouseError:
            return None
