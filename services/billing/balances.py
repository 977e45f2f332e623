"""An account's balance as Redis holds it: posted money, what leases reserve of it, and whether it is current."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lumen.ledger import keyspace
from protos import billing_pb2
from services.billing.errors import Unavailable
from services.billing.marks import Mark, parse_mark


@dataclass(frozen=True, slots=True)
class LeaseBook:
    """Totals of one lease, nano-USD; each only grows."""

    granted: int = 0
    released: int = 0
    posted: int = 0

    @property
    def reserved(self) -> int:
        return max(0, self.granted - self.released - self.posted)


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """One hash. `main`: `balance` of an account, `spent` of a limited key."""

    main: int
    leases: dict[str, LeaseBook]

    @property
    def reserved(self) -> int:
        return sum(lease.reserved for lease in self.leases.values())


@dataclass(frozen=True, slots=True)
class AccountBalance:
    balance_nanousd: int
    reserved_nanousd: int
    available_nanousd: int
    is_live: bool
    mark: Mark | None  # of what has been posted; None while the partition is being rebuilt


def balance_message(account: str, balance: AccountBalance) -> billing_pb2.Balance:
    return billing_pb2.Balance(
        account_id=account,
        balance_nanousd=balance.balance_nanousd,
        reserved_nanousd=balance.reserved_nanousd,
        available_nanousd=balance.available_nanousd,
        is_live=balance.is_live,
    )


_BOOKS = {b"g": "granted", b"r": "released", b"p": "posted"}


def figures_of(fields: Mapping[bytes, bytes], main: str) -> AccountFigures:
    """The hash as lumen.ledger.keyspace.account_key and spend_key describe it."""
    books: dict[str, dict[str, int]] = defaultdict(dict)
    for name, value in fields.items():
        book, separator, lease = name.partition(b":")
        if separator and book in _BOOKS:
            books[lease.decode(errors="replace")][_BOOKS[book]] = int(value)
    return AccountFigures(
        int(fields.get(main.encode(), b"0")), {lease: LeaseBook(**totals) for lease, totals in books.items()}
    )


class Balances:
    """Reads; raises errors.Unavailable when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, account: str) -> AccountBalance:
        partition = keyspace.partition_of(account)
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hgetall(keyspace.account_key(partition, account))
                pipeline.exists(keyspace.live_key(partition))
                pipeline.get(keyspace.mark_key(partition))
                fields, is_live, mark = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("the balance store is away") from error
        figures = figures_of(fields, "balance")
        return AccountBalance(
            figures.main, figures.reserved, figures.main - figures.reserved, bool(is_live), parse_mark(mark)
        )

    async def mark(self, partition: int) -> Mark | None:
        try:
            value = await self._redis.get(keyspace.mark_key(partition))
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("the balance store is away") from error
        return parse_mark(value)
