"""What is left of a credit past its expiry leaves the balance: one `expiry` entry per credit (ADR 0005).

What is appended here says which credits have expired, not how much is left of them: the amount is what the fold of the
ledger has left at the place where the entry lands, and whoever posts it works that out (`ExpiryAmounts`). Nothing has
to stand still, and it happens once: a credit that an earlier entry closed has nothing left to close, whether the later
one comes from a doubled billing, a repeated append or an ack that was lost. A credit that was burnt up is closed by a
row of zero, so that it is never looked at again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from redis.exceptions import RedisError

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, CreditEntry, Entry, encode_batch
from lumen.money.pots import EXPIRY_KIND
from lumen.platform.clickhouse import ClickHouseError
from services.billing.burning import Burning, DuePot
from services.billing.groups import Group
from services.billing.ledger_stream import LedgerStream
from services.billing.marks import Mark
from services.billing.metrics import BillingMetrics
from services.billing.recovery import Recovery
from services.billing.tables import credit_row

logger = logging.getLogger(__name__)

_POTS_AT_ONCE = 1000  # of a partition: one message, some hundred kilobytes
_AGAIN_S = 60.0  # an appended one is billing's to post; it is told again only after so long
_AWAY = (ClickHouseError, RedisError, NatsError, JetStreamError, OSError, TimeoutError)


class Expiries:
    """`await run()` in a supervised task. `now_us`: Unix microseconds."""

    def __init__(
        self,
        ledger: LedgerStream,
        recovery: Recovery,
        burning: Burning,
        partitions: Sequence[int],
        *,
        now_us: Callable[[], int],
        metrics: BillingMetrics,
        interval_s: float = 5.0,
    ) -> None:
        self._ledger = ledger
        self._recovery = recovery
        self._burning = burning
        self._partitions = list(partitions)
        self._now_us = now_us
        self._metrics = metrics
        self._interval_s = interval_s
        self._appended_at: dict[str, float] = {}  # reference -> monotonic

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.expire_due()
            except _AWAY as error:
                logger.warning("expiries wait", extra={"error": str(error)[:500] or repr(error)})

    async def expire_due(self) -> int:
        """One round, the longest overdue first; returns how many entries were appended. Raises what the stores raise;
        the next round tries again."""
        due = await self._burning.due(self._partitions, self._now_us() // 1_000_000, pots_max=_POTS_AT_ONCE)
        self._metrics.expiries_due.set(len(due))
        now = time.monotonic()
        self._appended_at = {name: at for name, at in self._appended_at.items() if now - at < _AGAIN_S}
        by_partition: dict[int, list[DuePot]] = defaultdict(list)
        for pot in due:
            if pot.reference not in self._appended_at:
                by_partition[pot.partition].append(pot)
        stopped = await self._recovery.stops(list(by_partition)) if by_partition else {}
        appended = 0
        for partition, pots in by_partition.items():
            if partition in stopped:
                continue
            is_new = await self._append(partition, pots)
            self._appended_at.update((pot.reference, now) for pot in pots)
            if not is_new:
                continue
            self._metrics.credits.labels(EXPIRY_KIND).inc(len(pots))
            appended += len(pots)
        return appended

    async def _append(self, partition: int, pots: Sequence[DuePot]) -> bool:
        created_at_us = self._now_us()
        entries: list[Entry] = [
            CreditEntry(
                pot.account, 0, EXPIRY_KIND, pot.source, pot.reference, created_at_us, expires_at_s=pot.expires_at_s
            )
            for pot in pots
        ]
        digest = hashlib.sha256("\0".join(pot.reference for pot in pots).encode()).hexdigest()[:32]
        producer = f"{keyspace.EXPIRY_PRODUCER_PREFIX}{digest}"
        return await self._ledger.append_first(
            keyspace.subject(partition, producer), encode_batch(Batch(producer, partition, 1, entries))
        )


class ExpiryAmounts:
    """Completes a group's expiries, once everything before the group is in ClickHouse. Raises ClickHouseError."""

    def __init__(self, burning: Burning) -> None:
        self._burning = burning

    async def complete(self, group: Group) -> None:
        """A function of the ledger before each expiry, so a replay, a rebuild or a zombie comes to the same."""
        if not group.expiries:
            return
        # a partition's expiries are all of one message, and nothing of the partition comes before it in the group
        before = {each.place.partition: Mark(each.place.epoch, each.place.sequence - 1, "") for each in group.expiries}
        pots = await self._burning.pots(before, sorted({each.entry.account for each in group.expiries}))
        for each in group.expiries:
            mine = pots[each.entry.account]
            left_nanousd = mine.left_of(each.entry.reference)
            if left_nanousd is None:
                continue  # closed before
            entry = msgspec.structs.replace(each.entry, amount_nanousd=-left_nanousd)
            mine.credit(entry.reference, entry.amount_nanousd, entry.kind, entry.source, entry.expires_at_s)
            if each.is_for_clickhouse:
                group.credits.append(credit_row(each.place, each.index, entry))
            if each.post is not None and left_nanousd:
                account = keyspace.account_key(each.place.partition, entry.account)
                each.post.add(account, "balance", entry.amount_nanousd)
        group.expiries.clear()
