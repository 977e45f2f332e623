"""Credits that expire, folded again: each expiry took exactly what its credit had left, and none is long overdue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from lumen.ledger import keyspace
from services.billing.burning import Burning
from services.billing.marks import Mark
from services.billing.row_checks import DRIFTS_NAMED_MAX, Check

_ACCOUNTS_MAX = 500
_OVERDUE_S_MAX = 900


class GrantCheck:
    """Raises ClickHouseError. `now_us`: Unix microseconds."""

    def __init__(self, burning: Burning, *, now_us: Callable[[], int]) -> None:
        self._burning = burning
        self._now_us = now_us

    async def compare(self, marks: Mapping[int, Mark], account: str) -> Check:
        """The account (empty: those with the newest grants, at most 500)."""
        accounts = await self._burning.accounts_with_pots(marks, account, accounts_max=_ACCOUNTS_MAX)
        by_partition: dict[int, list[str]] = defaultdict(list)
        for name in accounts:
            by_partition[keyspace.partition_of(name)].append(name)
        overdue_s = self._now_us() // 1_000_000 - _OVERDUE_S_MAX
        drifts: list[str] = []
        for partition, names in by_partition.items():
            for name, pots in (await self._burning.pots({partition: marks[partition]}, names)).items():
                drifts += [
                    f"account {name}: {reference} expired {expired} nano-USD and had {held} left"
                    for reference, expired, held in pots.wrong_expiries
                ]
                drifts += [
                    f"account {name}: {pot.reference} expired at {pot.expires_at_s} and still has {pot.left_nanousd}"
                    for pot in pots.due(overdue_s)
                ]
        return Check("expiries_equal_rests", not drifts, len(accounts), drifts[:DRIFTS_NAMED_MAX])
