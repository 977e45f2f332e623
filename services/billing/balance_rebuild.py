"""An operator's rebuild: Redis' balances from ClickHouse and the ledger, although nothing asked for it; and the word
that lets a partition run whose unposted entries may have been trimmed."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from lumen.ledger import keyspace
from lumen.platform.clickhouse import ClickHouseError
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.errors import Conflict, Unavailable
from services.billing.ledger_stream import LedgerStream
from services.billing.recovery import Recovery, Stop
from services.billing.redis_sink import RedisSink

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_STORES_AWAY = (ClickHouseError, RedisError, NatsError, JetStreamError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    partitions: int
    accepted: list[int]  # were stopped as trimmed


class BalanceRebuild:
    """Raises Conflict for partitions that stopped and may not simply run, Unavailable when a store is away or the
    rebuild does not end in time (it goes on by itself)."""

    def __init__(
        self,
        redis: Redis,
        ledger: LedgerStream,
        recovery: Recovery,
        clickhouse: ClickHouseSink,
        balances: RedisSink,
        partitions: Sequence[int],
        *,
        wait_s_max: float = 60.0,
    ) -> None:
        self._redis = redis
        self._ledger = ledger
        self._recovery = recovery
        self._clickhouse = clickhouse
        self._balances = balances
        self._partitions = list(partitions)
        self._wait_s_max = wait_s_max

    async def run(self, account: str, *, accept_trimmed: bool) -> Rebuilt:
        """`account` empty: all partitions. `accept_trimmed`: ClickHouse is complete, whatever the ledger lost."""
        partitions = [keyspace.partition_of(account)] if account else self._partitions
        try:
            accepted = await self._accept(partitions, accept_trimmed=accept_trimmed)
            await self._forget_marks(partitions)
            await self._until_rebuilt(partitions)
        except _STORES_AWAY as error:
            raise Unavailable(f"a store is away: {str(error)[:300] or repr(error)}") from error
        return Rebuilt(len(partitions), accepted)

    async def _accept(self, partitions: Sequence[int], *, accept_trimmed: bool) -> list[int]:
        stops = await self._recovery.stops(partitions)
        trimmed = sorted(partition for partition, stop in stops.items() if stop is Stop.LEDGER_TRIMMED)
        if len(trimmed) < len(stops):
            raise Conflict("the ledger is not the one that was posted: see `lumen ledger adopt`")
        if not trimmed:
            return []
        if not accept_trimmed:
            raise Conflict(
                f"partitions {trimmed} stopped: entries may have been trimmed before they were posted."
                " If ClickHouse is complete (or what it lacks is given up), say --accept-trimmed"
            )
        first = (await self._ledger.bounds()).first
        stored = await self._clickhouse.load_marks()
        logger.warning("trimmed ledger accepted", extra={"partitions": trimmed, "first": first})
        await self._clickhouse.store_marks({p: stored[p].mark for p in trimmed}, through=first - 1)
        return trimmed

    async def _forget_marks(self, partitions: Sequence[int]) -> None:
        """Whoever follows these partitions finds a mark that is none, and rebuilds (recovery.py)."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for partition in partitions:
                pipeline.delete(keyspace.live_key(partition))
                pipeline.set(keyspace.mark_key(partition), f"wanted:{secrets.token_hex(8)}")
            await pipeline.execute()

    async def _until_rebuilt(self, partitions: Sequence[int]) -> None:
        deadline = time.monotonic() + self._wait_s_max
        while None in (await self._balances.load_marks(list(partitions))).values():
            if time.monotonic() > deadline:
                raise TimeoutError("the balances are still being rebuilt")
            await asyncio.sleep(_POLL_S)
