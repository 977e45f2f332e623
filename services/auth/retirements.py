"""Frees what earlier boots of a worker reserved, once billing has posted all they recorded.

The worker says that its earlier boots are gone and that everything they recorded is in the stream. What is in the
stream may not be in the balances yet, and until it is, the reservation must stand. So the last sequence of the lease's
partition is read once, and the lease is freed when the partition's mark has reached it. Kept in memory only: if this
auth dies, the reaper frees the lease later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from lumen.ledger import keyspace
from services.auth.directory import NATS_AWAY
from services.auth.errors import TooManyRetirements, Unavailable
from services.auth.lease_store import LeaseStore
from services.auth.metrics import AuthMetrics
from services.auth.reaper import free_lease

logger = logging.getLogger(__name__)

PENDING_MAX = 100_000  # (partition, lease) pairs


@dataclass(slots=True)
class _Pending:
    beat: str
    give_up_at: float
    sequence: int | None = None  # of the partition's last message when it was asked; None: not read yet


class Retirements:
    """Run `run()` in a supervised task."""

    def __init__(
        self,
        nc: Client,
        store: LeaseStore,
        metrics: AuthMetrics,
        *,
        interval_s: float,
        wait_s_max: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nc = nc
        self._store = store
        self._metrics = metrics
        self._interval_s = interval_s
        self._wait_s_max = wait_s_max
        self._clock = clock
        self._pending: dict[tuple[int, str], _Pending] = {}
        self._arrived = asyncio.Event()

    async def retire(self, worker_id: str, current_boot: int) -> None:
        """Take note of every lease of an earlier boot; may be repeated. Raises Unavailable, TooManyRetirements."""
        for (partition, lease), beat in (await self._store.beats()).items():
            if not _is_earlier_boot(lease, worker_id, current_boot):
                continue
            if len(self._pending) >= PENDING_MAX:
                raise TooManyRetirements("too many leases are being retired; they are freed later")
            self._pending[partition, lease] = _Pending(beat, self._clock() + self._wait_s_max)
            self._arrived.set()

    def is_retired(self, lease: str) -> bool:
        """Its worker has given it up, and it is not freed yet."""
        return any(of == lease for _, of in self._pending)

    def waiting_for(self, partition: int) -> int | None:
        """The stream sequence that billing has to post before this partition's retired leases are freed."""
        sequences = [entry.sequence for (of, _), entry in self._pending.items() if of == partition]
        return max((sequence for sequence in sequences if sequence is not None), default=None)

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            try:
                await self._advance()
            except (Unavailable, *NATS_AWAY) as error:
                logger.info("retired leases wait", extra={"reason": repr(error)[:200]})
            if not self._pending:
                self._arrived.clear()
            await asyncio.sleep(self._interval_s)

    async def _advance(self) -> None:
        await self._read_sequences()
        posted = await self._store.posted_sequences(sorted({partition for partition, _ in self._pending}))
        now = self._clock()
        for place, entry in list(self._pending.items()):
            partition, lease = place
            if entry.sequence is not None and posted.get(partition, -1) >= entry.sequence:
                await free_lease(self._store, self._metrics, partition, lease, entry.beat, reason="retired")
            elif now < entry.give_up_at:
                continue
            else:
                logger.warning("retired lease is left to the reaper", extra={"lease": lease, "partition": partition})
            if self._pending.get(place) is entry:
                del self._pending[place]

    async def _read_sequences(self) -> None:
        last: dict[int, int] = {}
        for (partition, _), entry in list(self._pending.items()):
            if entry.sequence is None:
                if partition not in last:
                    last[partition] = await self._last_sequence(partition)
                entry.sequence = last[partition]

    async def _last_sequence(self, partition: int) -> int:
        """0: nothing of this partition is in the ledger. Asked of the stream's leader."""
        try:
            found = await self._nc.jetstream(timeout=2).get_last_msg(
                keyspace.STREAM, keyspace.partition_filter(partition)
            )
        except NotFoundError:
            return 0
        return found.seq or 0


def _is_earlier_boot(lease: str, worker_id: str, current_boot: int) -> bool:
    owner, _, boot = lease.rpartition(".")
    return owner == worker_id and boot.isdigit() and int(boot) < current_boot
