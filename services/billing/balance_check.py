"""Redis against ClickHouse, account by account, at one common mark.

Redis is read first, each partition's hashes and mark in one transaction; ClickHouse, which is never behind, is then
summed up as of exactly that mark. So the comparison is exact while entries keep flowing. An account that differs is
read again alone before it is called a drift: it may have been created between the two looks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis

from lumen.ledger import keyspace
from lumen.platform.clickhouse import ClickHouse
from services.billing.balances import AccountFigures, figures_of
from services.billing.ledger_queries import LedgerQueries, as_of
from services.billing.marks import Mark, parse_mark

_LOOKS_MAX = 3
_SUSPECTS_MAX = 100
_ENTRIES_NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Owner:
    """An account, or an API key with a spend limit."""

    partition: int
    noun: str  # account | key
    id: str

    @property
    def redis_key(self) -> str:
        if self.noun == "account":
            return keyspace.account_key(self.partition, self.id)
        return keyspace.spend_key(self.partition, self.id)


@dataclass(slots=True)
class Expected:
    """What ClickHouse's rows add up to. `main`: an account's balance, a key's spending."""

    main: int = 0
    posted: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Comparison:
    examined: int = 0
    reserved_nanousd: int = 0
    drifting: int = 0
    drift_nanousd: int = 0
    drifts: list[str] = field(default_factory=list)
    # leases that released more than they were granted, or reserve something and are not open
    broken_books: list[str] = field(default_factory=list)


_NOTHING = AccountFigures(0, {})


class BalanceCheck:
    """Raises RedisError and ClickHouseError."""

    def __init__(self, clickhouse: ClickHouse, queries: LedgerQueries, redis: Redis) -> None:
        self._clickhouse = clickhouse
        self._queries = queries
        self._redis = redis

    async def compare(self, partitions: Sequence[int], account: str = "") -> Comparison:
        """`account` empty: all of these partitions."""
        wanted = set(partitions)
        owners = [owner async for owner in self._owners_in_redis(wanted)]
        if account:
            owners = [owner for owner in owners if owner.noun == "account" and owner.id == account]
        marks, figures, open_leases = await self._read(wanted, owners)
        expected = await self._expected(marks, account)
        if account:
            expected = {owner: value for owner, value in expected.items() if owner.noun == "account"}
        result = Comparison()
        suspects: list[Owner] = []
        for owner in {*figures, *expected}:
            if owner.partition not in marks:
                continue
            actual = figures.get(owner, _NOTHING)
            result.examined += 1
            result.reserved_nanousd += actual.reserved
            result.broken_books += _broken_books(owner, actual, open_leases[owner.partition])
            if not _agrees(actual, expected.get(owner, Expected())):
                suspects.append(owner)
        for owner in sorted(suspects, key=lambda suspect: suspect.id)[:_SUSPECTS_MAX]:
            await self._look_again(owner, result)
        result.drifting += max(0, len(suspects) - _SUSPECTS_MAX)
        return result

    async def _look_again(self, owner: Owner, result: Comparison) -> None:
        for _ in range(_LOOKS_MAX):
            marks, figures, _ = await self._read({owner.partition}, [owner])
            if not marks:
                return  # being rebuilt
            actual = figures[owner]
            accounts = owner.id if owner.noun == "account" else ""
            expected = (await self._expected(marks, accounts)).get(owner, Expected())
            if _agrees(actual, expected):
                return
        result.drifting += 1
        result.drift_nanousd += abs(actual.main - expected.main)
        result.drifts.append(await self._describe(owner, marks, actual, expected))

    async def _owners_in_redis(self, partitions: set[int]):  # type: ignore[no-untyped-def]  # an async generator
        prefixes = {keyspace.account_key(p, ""): (p, "account") for p in partitions}
        prefixes |= {keyspace.spend_key(p, ""): (p, "key") for p in partitions}
        async for raw in self._redis.scan_iter(match="lumen:{p*", count=1000):
            lumen, tag, noun, *rest = raw.decode(errors="replace").split(":", 3)
            found = prefixes.get(f"{lumen}:{tag}:{noun}:")
            if found is not None and rest:
                yield Owner(*found, rest[0])

    async def _read(
        self, partitions: set[int], owners: Iterable[Owner]
    ) -> tuple[dict[int, Mark], dict[Owner, AccountFigures], dict[int, set[str]]]:
        """Marks, figures, and by partition the leases that auth keeps open. Partitions without a mark (being rebuilt)
        are left out of all."""
        by_partition: dict[int, list[Owner]] = defaultdict(list)
        for owner in owners:
            by_partition[owner.partition].append(owner)
        marks: dict[int, Mark] = {}
        figures: dict[Owner, AccountFigures] = {}
        open_leases: dict[int, set[str]] = {}
        for partition in sorted(partitions):
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.get(keyspace.mark_key(partition))
                pipeline.hkeys(keyspace.beats_key(partition))
                for owner in by_partition[partition]:
                    pipeline.hgetall(owner.redis_key)
                raw_mark, beats, *hashes = await pipeline.execute()
            mark = parse_mark(raw_mark)
            if mark is None:
                continue
            marks[partition] = mark
            open_leases[partition] = {lease.decode(errors="replace") for lease in beats}
            for owner, fields in zip(by_partition[partition], hashes, strict=True):
                figures[owner] = figures_of(fields, "balance" if owner.noun == "account" else "spent")
        return marks, figures, open_leases

    async def _expected(self, marks: dict[int, Mark], account: str) -> dict[Owner, Expected]:
        expected: dict[Owner, Expected] = defaultdict(Expected)
        for balance in await self._queries.balances(marks, account):
            expected[Owner(balance.partition, "account", balance.account)].main = balance.balance_nanousd
        for total in await self._queries.posted_by_account(marks, account):
            lease = keyspace.lease_id(total.producer, total.lease_boot)
            expected[Owner(total.partition, "account", total.owner)].posted[lease] = total.cost_nanousd
        for total in await self._queries.posted_by_key(marks, account):
            entry = expected[Owner(total.partition, "key", total.owner)]
            entry.posted[keyspace.lease_id(total.producer, total.lease_boot)] = total.cost_nanousd
            entry.main += total.cost_nanousd
        return dict(expected)

    async def _describe(self, owner: Owner, marks: dict[int, Mark], actual: AccountFigures, expected: Expected) -> str:
        difference = actual.main - expected.main
        posted = {lease: book.posted for lease, book in actual.leases.items() if book.posted}
        leases = sorted(
            lease for lease in {*posted, *expected.posted} if posted.get(lease, 0) != expected.posted.get(lease, 0)
        )
        text = (
            f"{owner.noun} {owner.id} at mark {marks[owner.partition]}: ledger {expected.main}, Redis {actual.main}, "
            f"difference {difference}"
        )
        if leases:
            text += f"; posted totals differ for leases {', '.join(leases[:_ENTRIES_NAMED_MAX])}"
        entries = await self._entries_like(owner, marks, abs(difference))
        return text + (f"; entries of that amount: {', '.join(entries)}" if entries else "")

    async def _entries_like(self, owner: Owner, marks: dict[int, Mark], amount: int) -> list[str]:
        """Entries whose amount is the difference: the likeliest to have been lost or doubled."""
        if amount == 0:
            return []
        column = "account" if owner.noun == "account" else "key_id"
        rows = await self._clickhouse.rows(
            "SELECT sequence, `index`, request_id FROM usage FINAL"  # integers and a column name only
            f" WHERE {as_of(marks)} AND {column} = {{id:String}} AND cost_nanousd = {{amount:Int64}}"
            f" ORDER BY sequence DESC LIMIT {_ENTRIES_NAMED_MAX}",
            {"id": owner.id, "amount": amount},
        )
        return [f"{request_id} ({sequence}/{index})" for sequence, index, request_id in rows]


def _agrees(actual: AccountFigures, expected: Expected) -> bool:
    posted = {lease: book.posted for lease, book in actual.leases.items() if book.posted}
    return actual.main == expected.main and posted == expected.posted


def _broken_books(owner: Owner, actual: AccountFigures, open_leases: set[str]) -> list[str]:
    """What an account reserves is what its open leases reserve: a lease that auth has let go of reserves nothing."""
    broken = [
        f"{owner.noun} {owner.id}, lease {lease}: released {book.released} of {book.granted} granted"
        for lease, book in actual.leases.items()
        if book.released > book.granted
    ]
    return broken + [
        f"{owner.noun} {owner.id}, lease {lease}: reserves {book.reserved} and is not open"
        for lease, book in actual.leases.items()
        if book.reserved > 0 and lease not in open_leases
    ]
