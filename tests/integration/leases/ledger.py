"""Billing as the lease model sees it: its real Redis sink and rebuilder over a ledger and a ClickHouse in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from lumen.ledger import keyspace
from services.billing.groups import PartitionPost
from services.billing.ledger_queries import AccountBalance, PostedTotal
from services.billing.marks import START, Mark
from services.billing.rebuild import Rebuilder
from services.billing.redis_sink import MarkConflict, RedisSink

_LIVE_MS = 10**9  # the model takes `live` away itself; no real second matters


@dataclass(frozen=True, slots=True)
class Spend:
    account: str
    key_id: str  # "": the key has no limit
    lease: str
    cost: int


@dataclass(frozen=True, slots=True)
class Credit:
    account: str
    amount: int


Entry = Spend | Credit


def mark_at(position: int) -> Mark:
    return Mark(1, position, f"{position:016x}") if position else START


def deltas(partition: int, entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """As services.billing.groups adds them up."""
    post = PartitionPost(partition, START)
    for entry in entries:
        account_key = keyspace.account_key(partition, entry.account)
        if isinstance(entry, Credit):
            post.add(account_key, "balance", entry.amount)
            continue
        post.add(account_key, "balance", -entry.cost)
        post.add(account_key, f"p:{entry.lease}", entry.cost)
        if entry.key_id:
            key = keyspace.spend_key(partition, entry.key_id)
            post.add(key, "spent", entry.cost)
            post.add(key, f"p:{entry.lease}", entry.cost)
    return post.deltas


class Billing:
    """`posted`: how much of each partition has ever been in Redis. `on_posted` is told when that grows."""

    def __init__(self, redis: Redis, partitions: Iterable[int], on_posted: Callable[[], Awaitable[None]]) -> None:
        self.stream: dict[int, list[Entry]] = {partition: [] for partition in partitions}
        self.posted = dict.fromkeys(self.stream, 0)
        self.is_away = False
        self._clickhouse = dict.fromkeys(self.stream, 0)
        self._redis = redis
        self._sink = RedisSink(redis, live_ms=_LIVE_MS)
        self._zombie = RedisSink(redis, live_ms=_LIVE_MS)
        self._rebuilder = Rebuilder(cast(Any, self), redis)
        self._on_posted = on_posted

    async def start(self) -> None:
        self._sink.adopt(dict.fromkeys(self.stream, START))
        for partition in self.stream:
            await self._recover(partition)
        self.pause_a_zombie()

    def append(self, entry: Entry) -> None:
        self.stream[keyspace.partition_of(entry.account)].append(entry)

    async def post(self, partition: int, count: int) -> None:
        """The next `count` entries, ClickHouse first; what is found elsewhere is started over from."""
        try:
            await self._post(self._sink, partition, count)
        except MarkConflict:
            await self._recover(partition)
        await self._note_posted(partition)

    async def touch(self, partition: int) -> None:
        """What billing does every second or so: `live` where it is at the tail."""
        if self.is_away or self._sink.marks[partition].sequence != len(self.stream[partition]):
            await self._redis.delete(keyspace.live_key(partition))  # 5 s are over
            return
        try:
            await self._sink.touch([partition])
        except MarkConflict:
            await self._recover(partition)

    def pause_a_zombie(self) -> None:
        self._zombie.adopt(self._sink.marks)

    async def wake_the_zombie(self, partition: int, count: int) -> None:
        """A former owner posts what it had in hand: refused, unless nobody has posted since."""
        is_overtaken = (
            await self._redis.get(keyspace.mark_key(partition)) != str(self._zombie.marks[partition]).encode()
        )
        try:
            await self._post(self._zombie, partition, count)
        except MarkConflict:
            assert is_overtaken
        await self._note_posted(partition)

    async def _post(self, sink: RedisSink, partition: int, count: int) -> None:
        position = sink.marks[partition].sequence
        entries = self.stream[partition][position : position + count]
        target = position + len(entries)
        self._clickhouse[partition] = max(self._clickhouse[partition], target)
        await sink.post([PartitionPost(partition, mark_at(target), deltas(partition, entries))])

    async def _recover(self, partition: int) -> None:
        mark = (await self._sink.load_marks([partition]))[partition]
        if mark is None:
            mark = mark_at(self._clickhouse[partition])
            await self._rebuilder.rebuild({partition: mark})
        self._sink.adopt({**self._sink.marks, partition: mark})

    async def _note_posted(self, partition: int) -> None:
        mark = (await self._sink.load_marks([partition]))[partition]
        if mark is not None and mark.sequence > self.posted[partition]:
            self.posted[partition] = mark.sequence
            await self._on_posted()

    # ---- ClickHouse, as services.billing.ledger_queries asks it

    def _entries(self, marks: Mapping[int, Mark]) -> Iterable[tuple[int, Entry]]:
        for partition, mark in marks.items():
            for entry in self.stream[partition][: mark.sequence]:
                yield partition, entry

    async def balances(self, marks: Mapping[int, Mark]) -> list[AccountBalance]:
        sums: dict[tuple[int, str], int] = defaultdict(int)
        for partition, entry in self._entries(marks):
            sums[partition, entry.account] += entry.amount if isinstance(entry, Credit) else -entry.cost
        return [AccountBalance(partition, account, amount) for (partition, account), amount in sums.items()]

    async def posted_by_account(self, marks: Mapping[int, Mark]) -> list[PostedTotal]:
        return self._posted_by(marks, "account")

    async def posted_by_key(self, marks: Mapping[int, Mark]) -> list[PostedTotal]:
        return self._posted_by(marks, "key_id")

    def _posted_by(self, marks: Mapping[int, Mark], owner: str) -> list[PostedTotal]:
        sums: dict[tuple[int, str, str], int] = defaultdict(int)
        for partition, entry in self._entries(marks):
            if isinstance(entry, Spend) and getattr(entry, owner):
                sums[partition, getattr(entry, owner), entry.lease] += entry.cost
        totals = []
        for (partition, name, lease), cost in sums.items():
            producer, _, boot = lease.rpartition(".")
            totals.append(PostedTotal(partition, name, producer, int(boot), cost))
        return totals
