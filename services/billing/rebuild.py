"""Rebuilds partitions of an empty or too old Redis from ClickHouse, as of ClickHouse's marks.

The mark holds a token of this rebuild until the last account is loaded: a zombie's post fails on it, of two rebuilders
the first one's loads fail, and a crash half way leaves a mark that is not one, so the next start rebuilds again.
`live` is gone from the first moment, so nothing is granted from half a partition.
"""

from __future__ import annotations

import logging
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lumen.ledger import keyspace
from lumen.ledger.redis_scripts import Script, ScriptCall
from services.billing.ledger_queries import LedgerQueries, PostedTotal
from services.billing.marks import Mark
from services.billing.redis_sink import MarkConflict

logger = logging.getLogger(__name__)

_PARTITIONS_AT_ONCE = 16  # bounds how many accounts are in memory
_CALLS_AT_ONCE = 500


@dataclass(slots=True)
class _Figures:
    """One hash: its main field and the posted totals by lease."""

    name: str
    value: int = 0
    posted: dict[str, int] = field(default_factory=dict)


class Rebuilder:
    """Raises ClickHouseError, RedisError and MarkConflict (another rebuilder was faster); then start over."""

    def __init__(self, queries: LedgerQueries, redis: Redis) -> None:
        self._queries = queries
        self._redis = redis
        self._load = Script("load")
        self._post = Script("post")

    async def rebuild(self, marks: Mapping[int, Mark]) -> None:
        """Make Redis hold exactly what ClickHouse holds at `marks`, for these partitions."""
        if not marks:
            return
        token = f"rebuild:{secrets.token_hex(8)}"
        async with self._redis.pipeline(transaction=False) as pipeline:
            for partition in marks:
                pipeline.delete(keyspace.live_key(partition))
                pipeline.set(keyspace.mark_key(partition), token)
            await pipeline.execute()
        stale = await self._existing_hashes(marks)
        remaining = iter(marks.items())
        while chunk := dict(islice(remaining, _PARTITIONS_AT_ONCE)):
            figures = await self._figures(chunk)
            for key, (partition, name) in stale.items():
                if partition in chunk:
                    figures.setdefault((partition, key), _Figures(name))
            await self._load_all(token, figures)
            await self._set_marks(token, chunk)
        logger.info("redis rebuilt from clickhouse", extra={"partitions": sorted(marks)})

    async def _existing_hashes(self, marks: Mapping[int, Mark]) -> dict[str, tuple[int, str]]:
        """Hashes Redis still has of these partitions: what ClickHouse does not know of them becomes zero."""
        found: dict[str, tuple[int, str]] = {}
        prefixes = {keyspace.account_key(p, ""): (p, "balance") for p in marks}
        prefixes |= {keyspace.spend_key(p, ""): (p, "spent") for p in marks}
        async for raw in self._redis.scan_iter(match="lumen:{p*", count=1000):
            key = raw.decode(errors="replace")
            prefix = ":".join(key.split(":", 3)[:3]) + ":"
            if prefix in prefixes:
                found[key] = prefixes[prefix]
        return found

    async def _figures(self, marks: Mapping[int, Mark]) -> dict[tuple[int, str], _Figures]:
        """(partition, Redis key) -> figures."""
        moved = {partition: mark for partition, mark in marks.items() if not mark.is_start}
        if not moved:
            return {}
        accounts: dict[tuple[int, str], _Figures] = defaultdict(lambda: _Figures("balance"))
        keys: dict[tuple[int, str], _Figures] = defaultdict(lambda: _Figures("spent"))
        for balance in await self._queries.balances(moved):
            hash_key = keyspace.account_key(balance.partition, balance.account)
            accounts[balance.partition, hash_key].value = balance.balance_nanousd
        for total in await self._queries.posted_by_account(moved):
            account_hash = accounts[total.partition, keyspace.account_key(total.partition, total.owner)]
            account_hash.posted[_lease(total)] = total.cost_nanousd
        for total in await self._queries.posted_by_key(moved):
            key_hash = keys[total.partition, keyspace.spend_key(total.partition, total.owner)]
            key_hash.posted[_lease(total)] = total.cost_nanousd
            key_hash.value += total.cost_nanousd
        return {**accounts, **keys}

    async def _load_all(self, token: str, figures: Mapping[tuple[int, str], _Figures]) -> None:
        calls = iter(_load_call(token, partition, key, entry) for (partition, key), entry in figures.items())
        while chunk := list(islice(calls, _CALLS_AT_ONCE)):
            for answer in await self._load.run_many(self._redis, chunk):
                if isinstance(answer, Exception):
                    raise answer
                if answer != 1:
                    raise MarkConflict({})

    async def _set_marks(self, token: str, marks: Mapping[int, Mark]) -> None:
        calls: list[ScriptCall] = [
            ([keyspace.mark_key(partition), keyspace.live_key(partition)], [token, str(mark), 0])
            for partition, mark in marks.items()
        ]
        for partition, answer in zip(marks, await self._post.run_many(self._redis, calls), strict=True):
            if isinstance(answer, RedisError):
                raise answer
            if answer[0] != 1:
                raise MarkConflict({partition: answer[1].decode(errors="replace")})


def _lease(total: PostedTotal) -> str:
    return keyspace.lease_id(total.producer, total.lease_boot)


def _load_call(token: str, partition: int, key: str, figures: _Figures) -> ScriptCall:
    args: list[str | int] = [token, figures.name, figures.value]
    for lease, cost in figures.posted.items():
        args += (lease, cost)
    return [keyspace.mark_key(partition), key], args
