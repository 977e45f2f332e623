"""Billing's real logic and the real Lua scripts over a ledger and a ClickHouse that are lists in memory.

What a property test needs to reach states that whole engines reach once a year: crashes between any two steps, half a
pipeline executed, restored backups, owners that wake up late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from lumen.ledger import keyspace
from lumen.platform.ordered_reader import StreamMessage
from services.billing.applier import Applier
from services.billing.burning import Burning
from services.billing.clickhouse_sink import StoredMark
from services.billing.expiries import Expiries, ExpiryAmounts
from services.billing.groups import Group, GroupBuilder, PartitionPost, read_message, runs_of
from services.billing.health import Health, Persistence
from services.billing.ledger_queries import AccountBalance, PostedTotal
from services.billing.ledger_stream import Bounds, LastMessage, LedgerStream
from services.billing.marks import Mark
from services.billing.metrics import BillingMetrics
from services.billing.rebuild import Rebuilder
from services.billing.recovery import Recovery, StartPlan
from services.billing.redis_sink import RedisSink
from services.billing.tables import CREDITS, USAGE
from tests.integration.billing.conftest import NOON_US, FlatRates

PARTITIONS = (3, 17, 60)
_NAMES = [f"acc-{number}" for number in range(1000)]
ACCOUNTS = [name for p in PARTITIONS for name in [n for n in _NAMES if keyspace.partition_of(n) == p][:2]]
Position = tuple[int, int, int, int]


class Crash(Exception):
    """The process dies here."""


@dataclass
class CrashPlan:
    """Dies at the n-th step from now; None: never."""

    steps_left: int | None = None

    def step(self) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise Crash


class ListLedger(LedgerStream):
    """A stream in memory; `first` moves up when it is trimmed."""

    def __init__(self) -> None:
        self.messages: list[StreamMessage] = []
        self.first = 1

    def append(self, subject: str, payload: bytes) -> None:
        self.messages.append(StreamMessage(subject, len(self.messages) + 1, payload, None, 0, 0))

    async def append_first(self, subject: str, payload: bytes) -> bool:
        if any(message.subject == subject for message in self.messages[self.first - 1 :]):
            return False
        self.append(subject, payload)
        return True

    async def bounds(self) -> Bounds:
        return Bounds(self.first, len(self.messages))

    async def last_of(self, subject: str) -> LastMessage | None:
        prefix = subject.removesuffix(">")
        for message in reversed(self.messages[self.first - 1 :]):
            if message.subject.startswith(prefix):
                return LastMessage(message.sequence, message.data)
        return None

    async def _at(self, sequence: int) -> LastMessage | None:
        if not self.first <= sequence <= len(self.messages):
            return None
        return LastMessage(sequence, self.messages[sequence - 1].data)


@dataclass
class ListClickHouse:
    """Rows by position, as ReplacingMergeTree keeps them; sink and queries in one."""

    usage: dict[Position, dict[str, Any]] = field(default_factory=dict)
    credits: dict[Position, dict[str, Any]] = field(default_factory=dict)
    marks: dict[int, StoredMark] = field(default_factory=dict)

    async def load_marks(self) -> dict[int, StoredMark]:
        return dict(self.marks)

    async def store_rows(self, group: Group) -> None:
        for table, rows, kept in ((USAGE, group.usage, self.usage), (CREDITS, group.credits, self.credits)):
            for row in rows:
                kept[row[:4]] = dict(zip(table.columns, row, strict=True))

    async def store_marks(self, marks: Mapping[int, Mark], through: int | None = None) -> None:
        """The furthest `through` wins, as the table's version column has it."""
        for partition, mark in marks.items():
            stored = StoredMark(mark, max(mark.sequence, through or 0))
            before = self.marks.get(partition)
            if before is None or before.through <= stored.through:
                self.marks[partition] = stored

    async def balances(self, marks: Mapping[int, Mark], account: str = "") -> list[AccountBalance]:
        sums: dict[tuple[int, str], int] = defaultdict(int)
        for rows, column, sign in ((self.credits, "amount_nanousd", 1), (self.usage, "cost_nanousd", -1)):
            for position, row in rows.items():
                if is_below(position, marks):
                    sums[position[0], str(row["account"])] += sign * _int(row[column])
        return [AccountBalance(partition, owner, amount) for (partition, owner), amount in sums.items()]

    async def posted_by_account(self, marks: Mapping[int, Mark], account: str = "") -> list[PostedTotal]:
        return self._posted(marks, "account", limited_only=False)

    async def posted_by_key(self, marks: Mapping[int, Mark], account: str = "") -> list[PostedTotal]:
        return self._posted(marks, "key_id", limited_only=True)

    def _posted(self, marks: Mapping[int, Mark], owner: str, *, limited_only: bool) -> list[PostedTotal]:
        sums: dict[tuple[int, str, str, int], int] = defaultdict(int)
        for position, row in self.usage.items():
            if is_below(position, marks) and (row["key_has_spend_limit"] or not limited_only):
                lease = (position[0], str(row[owner]), str(row["producer"]), _int(row["lease_boot"]))
                sums[lease] += _int(row["cost_nanousd"])
        return [PostedTotal(*lease, cost) for lease, cost in sums.items() if cost]


def is_below(position: Position, marks: Mapping[int, Mark]) -> bool:
    mark = marks.get(position[0])
    return mark is not None and position[1:3] <= (mark.epoch, mark.sequence)


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


class CrashingRows:
    def __init__(self, inner: ListClickHouse, crash: CrashPlan) -> None:
        self._inner = inner
        self._crash = crash

    async def store_rows(self, group: Group) -> None:
        self._crash.step()
        await self._inner.store_rows(group)

    async def store_marks(self, marks: Mapping[int, Mark]) -> None:
        self._crash.step()
        await self._inner.store_marks(marks)


class CrashingBalances:
    """Posts partition by partition, so that dying leaves any number of them posted."""

    def __init__(self, inner: RedisSink, crash: CrashPlan) -> None:
        self._inner = inner
        self._crash = crash

    async def post(self, posts: list[PartitionPost]) -> None:
        for post in posts:
            self._crash.step()
            await self._inner.post([post])


class Process:
    """One billing process, driven by hand: `start`, then `take` groups and `apply` them."""

    def __init__(
        self,
        ledger: ListLedger,
        clickhouse: ListClickHouse,
        redis: Redis,
        crash: CrashPlan,
        burning: Burning,
    ) -> None:
        self._ledger = ledger
        self.sink = RedisSink(redis)
        registry = CollectorRegistry()
        metrics = BillingMetrics(registry)
        rebuilder = Rebuilder(clickhouse, redis)  # type: ignore[arg-type]  # the same questions, answered from lists
        self._recovery = Recovery(ledger, clickhouse, self.sink, rebuilder)  # type: ignore[arg-type]
        self._applier = Applier(
            CrashingRows(clickhouse, crash),
            ExpiryAmounts(burning).complete,
            _nothing,
            CrashingBalances(self.sink, crash),
            on_rows_stored=lambda group: None,
            on_credited=_nothing,
            persistence=Persistence(Health(), metrics),
            metrics=metrics,
        )
        self.expiries = Expiries(ledger, self._recovery, burning, PARTITIONS, now_us=lambda: NOON_US, metrics=metrics)
        self._plan: StartPlan | None = None
        self._next = 0

    async def start(self) -> StartPlan:
        self._plan = await self._recovery.plan(PARTITIONS)
        self._next = self._plan.start_sequence
        return self._plan

    def take(self, messages_max: int) -> Group | None:
        """The next group (of at most so many messages), None at the tail."""
        assert self._plan is not None
        messages = self._ledger.messages[self._next - 1 : self._next - 1 + messages_max]
        if not messages:
            return None
        found = (read_message(message, self._plan.followed) for message in messages)
        run, *others = runs_of([read for read in found if read is not None])
        self._next = others[0][0].message.sequence if others else messages[-1].sequence + 1
        builder = GroupBuilder(self._plan.followed, {1: FlatRates(7)})
        for read in run:
            builder.add(read)
        return builder.finish()

    async def apply(self, group: Group) -> None:
        await self._applier.apply(group)


async def _nothing(_: object) -> None:
    return None
