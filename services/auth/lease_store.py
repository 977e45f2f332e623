"""Credit leases in Redis: the scripts grant, renew and free, and how their keys and arguments are laid out.

Totals in nano-USD that only grow; see lumen.ledger.keyspace. Every call is bounded in time and number. Whatever fails
raises Unavailable and may or may not have happened: totals are asserted, not added, so calling again is safe.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lumen.ledger import keyspace
from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from lumen.ledger.redis_scripts import Script, ScriptCall
from services.auth.errors import Unavailable

CALLS_AT_ONCE_MAX = 48
_SLOT_WAIT_S_MAX = 1.0
_BOOKS_PER_CALL = 250  # a script must not hold up Redis for long
_WAIT_MS_MAX = 500
REDIS_AWAY = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Books:
    """One lease's totals as its worker asserts them; `key_id` is empty for the account's own."""

    account: str
    key_id: str
    granted: int
    released: int
    in_use: int

    @property
    def member(self) -> str:
        return keyspace.lease_member(self.account, self.key_id)

    def redis_key(self, partition: int) -> str:
        if self.key_id:
            return keyspace.spend_key(partition, self.key_id)
        return keyspace.account_key(partition, self.account)

    def args(self) -> tuple[str, int, int, int]:
        return self.member, self.granted, self.released, self.in_use


@dataclass(frozen=True, slots=True)
class GrantOrder:
    lease: str
    account: Books
    key: Books | None
    key_spend_limit: int
    hold: int
    hold_min: int  # when `hold` is not left: all that is, if it is at least this
    want: int


@dataclass(frozen=True, slots=True)
class GrantAnswer:
    """The totals are the lease's after the call. Nano-USD."""

    outcome: int  # auth_pb2.GrantOutcome
    account_granted: int
    key_granted: int
    account_released: int
    key_released: int
    available: int
    fresh: int  # newly granted to the account's lease
    do_others_reserve: bool
    limited_by: int  # the outcome that names why less than `hold` was granted; 0: it was not


class LeaseStore:
    def __init__(self, redis: Redis, *, replicas_min: int = 0) -> None:
        self._redis = redis
        self._replicas_min = replicas_min
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE_MAX)
        self._grant = Script("grant")
        self._renew = Script("renew")
        self._free = Script("free")

    async def grant(self, order: GrantOrder, *, run_id: str, workers: int) -> GrantAnswer:
        """`run_id`: of the Redis whose leases have been re-asserted; another one answers NOT_LIVE."""
        partition = keyspace.partition_of(order.account.account)
        keys = [keyspace.live_key(partition), keyspace.vetted_key(partition), *_lease_keys(partition, order.lease)]
        keys.append(order.account.redis_key(partition))
        args: list[str | int] = [order.lease, _new_beat(), run_id, workers, AMOUNT_NANOUSD_MAX - 1]
        args += [order.hold, order.hold_min, order.want, order.key_spend_limit, *order.account.args()]
        if order.key is not None:
            keys.append(order.key.redis_key(partition))
            args += order.key.args()
        async with self._slot():
            if self._replicas_min:
                found = await self._grant_replicated(keys, args)
            else:
                found = await self._grant.run(self._redis, keys, args)
        outcome, granted, key_granted, released, key_released, available, fresh, others, limited_by = map(int, found)
        return GrantAnswer(
            outcome, granted, key_granted, released, key_released, available, fresh, bool(others), limited_by
        )

    async def _grant_replicated(self, keys: Sequence[str], args: Sequence[str | int]) -> Sequence[int]:
        async with self._redis.client() as connection:  # WAIT counts what its own connection wrote
            found: Sequence[int] = await self._grant.run(connection, keys, args)
            if await connection.wait(self._replicas_min, _WAIT_MS_MAX) < self._replicas_min:
                raise Unavailable("too few Redis replicas hold the grant")
            return found

    async def renew(self, lease: str, totals: Sequence[Books]) -> list[tuple[int, int]]:
        """Granted and released as Redis holds them after the call, in the order of `totals`."""
        by_partition: dict[int, list[int]] = defaultdict(list)
        for position, books in enumerate(totals):
            by_partition[keyspace.partition_of(books.account)].append(position)
        calls: list[ScriptCall] = []
        asked: list[list[int]] = []
        beat = _new_beat()
        for partition, positions in by_partition.items():
            for start in range(0, len(positions), _BOOKS_PER_CALL):
                chunk = positions[start : start + _BOOKS_PER_CALL]
                keys = [*_lease_keys(partition, lease), *(totals[at].redis_key(partition) for at in chunk)]
                args: list[str | int] = [lease, beat]
                for at in chunk:
                    args += totals[at].args()
                calls.append((keys, args))
                asked.append(chunk)
        answers: list[tuple[int, int]] = [(0, 0)] * len(totals)
        async with self._slot():
            found = await self._renew.run_many(self._redis, calls) if calls else []
        for chunk, figures in zip(asked, found, strict=True):
            if isinstance(figures, Exception):
                raise Unavailable("the credit store refused a renewal") from figures
            for number, at in enumerate(chunk):
                answers[at] = int(figures[2 * number]), int(figures[2 * number + 1])
        return answers

    async def beats(self) -> dict[tuple[int, str], str]:
        """The last beat of every lease that may reserve something: (partition, lease) -> beat."""
        async with self._slot(), self._redis.pipeline(transaction=False) as pipeline:
            for partition in range(keyspace.PARTITIONS):
                pipeline.hgetall(keyspace.beats_key(partition))
            found = await pipeline.execute()
        return {
            (partition, lease.decode()): beat.decode()
            for partition, hash_ in enumerate(found)
            for lease, beat in hash_.items()
        }

    async def free(self, partition: int, lease: str, beat: str, *, is_idle_only: bool) -> int | None:
        """Free the lease's idle part, or all of it and forget it. Nano-USD freed; None: the worker was heard of."""
        async with self._slot():
            raw: set[Any] = await self._redis.smembers(keyspace.lease_accounts_key(partition, lease))
            members = sorted(member.decode() for member in raw)
            freed = 0
            chunks = [members[at : at + _BOOKS_PER_CALL] for at in range(0, len(members), _BOOKS_PER_CALL)] or [[]]
            for number, chunk in enumerate(chunks):
                what = "idle" if is_idle_only else ("last" if number == len(chunks) - 1 else "all")
                keys = [*_lease_keys(partition, lease), *(_member_key(partition, member) for member in chunk)]
                is_done, amount = await self._free.run(self._redis, keys, [lease, beat, what, *chunk])
                if not is_done:
                    return None
                freed += int(amount)
        return freed

    async def posted_sequences(self, partitions: Sequence[int]) -> dict[int, int]:
        """The stream sequence up to which billing has posted each partition; 0: nothing, or a rebuild is under way."""
        async with self._slot(), self._redis.pipeline(transaction=False) as pipeline:
            for partition in partitions:
                pipeline.get(keyspace.mark_key(partition))
            marks = await pipeline.execute()
        return {partition: _sequence_of(mark) for partition, mark in zip(partitions, marks, strict=True)}

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_SLOT_WAIT_S_MAX):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Unavailable("the credit store is too busy") from error
        try:
            yield
        except REDIS_AWAY as error:
            raise Unavailable("the credit store is not reachable") from error
        finally:
            self._slots.release()


def _lease_keys(partition: int, lease: str) -> list[str]:
    return [
        keyspace.beats_key(partition),
        keyspace.lease_accounts_key(partition, lease),
        keyspace.in_use_key(partition, lease),
    ]


def _member_key(partition: int, member: str) -> str:
    if member.startswith("key:"):
        return keyspace.spend_key(partition, member.split(":", 2)[2])
    return keyspace.account_key(partition, member)


def _new_beat() -> str:
    return secrets.token_hex(8)  # never seen before, so a lease that was forgotten cannot repeat one


def _sequence_of(mark: bytes | None) -> int:
    fields = (mark or b"").split(b":")
    return int(fields[1]) if len(fields) == 3 and fields[0].isdigit() and fields[1].isdigit() else 0
