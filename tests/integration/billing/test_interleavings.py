"""Whatever happens between the sinks, balances end up equal to a model that only knows what was put in."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping
from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, CreditEntry, Entry, decode_batch, encode_batch
from lumen.money.pots import expiry_reference
from lumen.platform import redis as platform_redis
from services.billing.burning import Burning
from services.billing.groups import Group
from services.billing.redis_sink import MarkConflict
from tests.integration.billing.burning_model import ListBurning, Lot, Lots
from tests.integration.billing.conftest import NOON_US, usage_entry
from tests.integration.billing.interleavings import (
    ACCOUNTS,
    PARTITIONS,
    Crash,
    CrashPlan,
    ListClickHouse,
    ListLedger,
    Process,
)

_accounts = st.sampled_from(ACCOUNTS)
_producers = st.sampled_from(["edge-1", "edge-2"])
_COST = 7 * 15
_expiries = st.sampled_from([0, 1_600_000_000, 1_700_000_000, 4_000_000_000])  # before and after NOON_US


class BillingMachine(RuleBasedStateMachine):
    """Two owners may be alive at once: `owner`, and `zombie`, an earlier one that was only paused."""

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self.redis: Redis = platform_redis.connect(self.redis_url)
        self.ledger = ListLedger()
        self.clickhouse = ListClickHouse()
        self.crash = CrashPlan()
        self.owner: Process | None = None
        self.zombie: Process | None = None
        self.zombie_groups: list[Group] = []
        self.lots: dict[str, Lots] = defaultdict(Lots)
        self.posted: dict[tuple[str, str], int] = defaultdict(int)
        self.spent: dict[str, int] = defaultdict(int)
        self.numbers: dict[tuple[str, int], int] = defaultdict(int)
        self.backup: dict[Any, Any] = {}
        self.clickhouse_backup = ListClickHouse()

    def wait(self, work: Awaitable[Any]) -> Any:
        async def run() -> Any:
            return await work

        return self._runner.run(run())

    @initialize()
    def empty(self) -> None:
        self.wait(self.redis.flushdb())

    def teardown(self) -> None:
        self.wait(self.redis.aclose())
        self._runner.close()

    def append(self, producer: str, account: str, entries: list[Entry]) -> None:
        partition = keyspace.partition_of(account)
        self.numbers[producer, partition] += 1
        payload = encode_batch(Batch(producer, partition, self.numbers[producer, partition], entries))
        self.ledger.append(keyspace.subject(partition, producer), payload)

    @rule(account=_accounts, amount=st.integers(-50, 1_000))
    def credit(self, account: str, amount: int) -> None:
        self.give(account, amount, "topup", 0)

    @rule(account=_accounts, amount=st.integers(1, 1_000), expires_at_s=_expiries)
    def grant(self, account: str, amount: int, expires_at_s: int) -> None:
        self.give(account, amount, "grant", expires_at_s)

    def give(self, account: str, amount: int, kind: str, expires_at_s: int) -> None:
        producer = f"credit-{len(self.ledger.messages)}"
        source = "grant" if kind == "grant" else "paid"
        entry = CreditEntry(account, amount, kind, source, producer, NOON_US, expires_at_s=expires_at_s)
        self.append(producer, account, [entry])
        reference = expiry_reference(1, keyspace.partition_of(account), len(self.ledger.messages), 0)
        if amount > 0:
            self.lots[account].give(Lot(reference, kind == "grant", expires_at_s, amount))
        else:
            self.lots[account].take_back(-amount)

    @rule(crash_after=st.none() | st.integers(0, 2))
    def expire(self, crash_after: int | None) -> None:
        """A process looks for what has expired; its own, or one that dies between two appends."""
        process = self.new_process()
        before = len(self.ledger.messages)
        self.wait(process.expiries.expire_due())
        if crash_after is not None:  # as if it had died before the others
            del self.ledger.messages[before + crash_after :]
        for message in self.ledger.messages[before:]:
            for entry in decode_batch(message.data).entries:
                assert isinstance(entry, CreditEntry)
                self.lots[entry.account].expire(entry.reference)

    @precondition(lambda self: any(lots.expired for lots in self.lots.values()))
    @rule(number=st.integers(0, 100))
    def expire_again(self, number: int) -> None:
        """Another process, whose look had found another set: the same credit once more."""
        closed = sorted((account, name) for account, lots in self.lots.items() for name in lots.expired)
        account, reference = closed[number % len(closed)]
        producer = f"expiry-again-{len(self.ledger.messages)}"
        self.append(producer, account, [CreditEntry(account, 0, "expiry", "grant", reference, NOON_US)])

    @rule(
        account=_accounts, producer=_producers, count=st.integers(1, 4), boot=st.integers(1, 2), limited=st.booleans()
    )
    def use(self, account: str, producer: str, count: int, boot: int, limited: bool) -> None:
        request = f"r{len(self.ledger.messages)}"
        self.append(
            producer,
            account,
            [
                usage_entry(account, f"{request}-{n}", lease_boot=boot, key_has_spend_limit=limited)
                for n in range(count)
            ],
        )
        self.lots[account].use(count * _COST)
        self.posted[account, f"{producer}.{boot}"] += count * _COST
        if limited:
            self.spent[f"key-{account}"] += count * _COST

    def new_process(self) -> Process:
        burning = cast(Burning, ListBurning(self.clickhouse))
        return Process(self.ledger, self.clickhouse, self.redis, self.crash, burning)

    @rule(groups=st.integers(0, 3), size=st.integers(1, 6), crash_after=st.none() | st.integers(0, 12))
    def work(self, groups: int, size: int, crash_after: int | None) -> None:
        """The owner takes some groups and may die at any step of them."""
        self.crash.steps_left = crash_after
        try:
            self.wait(self._work(groups, size))
        except Crash:
            self.owner = None
        except MarkConflict:
            self.owner = None  # begins anew from the marks
        finally:
            self.crash.steps_left = None

    async def _work(self, groups: int, size: int) -> None:
        if self.owner is None:
            self.owner = self.new_process()
            await self.owner.start()
        for _ in range(groups):
            group = self.owner.take(size)
            if group is None:
                return
            await self.owner.apply(group)

    @precondition(lambda self: self.owner is not None)
    @rule(groups=st.integers(1, 3), size=st.integers(1, 5))
    def pause_owner_with_groups_in_hand(self, groups: int, size: int) -> None:
        assert self.owner is not None
        self.zombie, self.owner = self.owner, None
        taken = (self.zombie.take(size) for _ in range(groups))
        self.zombie_groups = [group for group in taken if group is not None]

    @precondition(lambda self: self.zombie is not None)
    @rule()
    def wake_the_zombie(self) -> None:
        assert self.zombie is not None
        try:
            for group in self.zombie_groups:
                self.wait(self.zombie.apply(group))
        except MarkConflict:
            pass
        self.zombie, self.zombie_groups = None, []

    @rule()
    def empty_redis(self) -> None:
        self.wait(self.redis.flushdb())

    @rule()
    def back_up_redis(self) -> None:
        self.backup = self.wait(self._dump())

    async def _dump(self) -> dict[Any, Any]:
        return {key: await self.redis.dump(key) for key in await self.redis.keys("*")}

    @precondition(lambda self: self.backup)
    @rule()
    def restore_redis(self) -> None:
        self.wait(self._restore())

    async def _restore(self) -> None:
        await self.redis.flushdb()
        for key, value in self.backup.items():
            await self.redis.restore(key, 0, value)

    @rule()
    def lose_only_the_marks(self) -> None:
        self.wait(self.redis.delete(*(keyspace.mark_key(partition) for partition in PARTITIONS)))

    @rule()
    def back_up_clickhouse(self) -> None:
        self.clickhouse_backup = deepcopy(self.clickhouse)

    @precondition(lambda self: self.ledger.first == 1)
    @rule()
    def restore_clickhouse(self) -> None:
        """An older ClickHouse under a newer Redis; the ledger still has all that is between."""
        self.owner = self.zombie = None
        self.clickhouse = deepcopy(self.clickhouse_backup)

    @precondition(lambda self: len(self.clickhouse.marks) == len(PARTITIONS))
    @rule()
    def trim_the_ledger(self) -> None:
        """Only below every sink's mark: production's promise. Redis may lose that again, ClickHouse does not."""
        lowest = min(stored.mark.sequence for stored in self.clickhouse.marks.values())
        self.ledger.first = max(self.ledger.first, lowest)

    @rule()
    def restore_a_redis_older_than_the_ledger(self) -> None:
        """All was posted and noted (`through`), then all was trimmed, and then Redis fell back."""
        self.back_up_redis()
        self.settle()
        marks = {partition: stored.mark for partition, stored in self.clickhouse.marks.items()}
        last = len(self.ledger.messages)
        self.wait(self.clickhouse.store_marks(marks, through=last))
        self.ledger.first = last + 1
        self.wait(self._restore())

    @rule()
    def settle(self) -> None:
        """A healthy owner comes to the tail: everything must agree, to the nano-dollar."""
        for attempt in range(3):
            try:
                self.wait(self._settle())
                break
            except MarkConflict:
                self.owner = None
                assert attempt < 2
        self.wait(self._compare())

    async def _settle(self) -> None:
        self.owner = self.new_process()
        plan = await self.owner.start()
        assert not plan.stopped
        while (group := self.owner.take(4)) is not None:
            await self.owner.apply(group)

    async def _compare(self) -> None:
        burning = ListBurning(self.clickhouse)
        marks = {partition: stored.mark for partition, stored in self.clickhouse.marks.items()}
        for account in ACCOUNTS:
            partition = keyspace.partition_of(account)
            fields: dict[Any, Any] = await self.redis.hgetall(keyspace.account_key(partition, account))
            assert int(fields.get(b"balance", 0)) == self.lots[account].balance
            pots = (await burning.pots(marks, [account]))[account]
            assert (pots.grants_nanousd, pots.balance_nanousd) == (
                self.lots[account].grants,
                self.lots[account].balance,
            )
            assert not pots.wrong_expiries
            expired = [row for row in self.clickhouse.credits.values() if _is_expiry_of(row, account)]
            assert sorted((row["reference"], -row["amount_nanousd"]) for row in expired) == sorted(
                self.lots[account].expired.items()
            )
            posted = {name[2:].decode(): int(value) for name, value in fields.items() if name.startswith(b"p:")}
            assert posted == {lease: cost for (owner, lease), cost in self.posted.items() if owner == account}
            key = await self.redis.hgetall(keyspace.spend_key(partition, f"key-{account}"))
            assert int(key.get(b"spent", 0)) == self.spent[f"key-{account}"]
        assert len(self.clickhouse.usage) == sum(self.posted.values()) // _COST


def _is_expiry_of(row: Mapping[str, Any], account: str) -> bool:
    return bool(row["kind"] == "expiry" and row["account"] == account)


_LONG = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("engine", "examples"),
    [
        ("redis_url", 60),
        ("real_redis_url", 15),  # skipped where there is no redis-server
        pytest.param("redis_url", 2000, marks=_LONG),
        pytest.param("real_redis_url", 2000, marks=_LONG),
    ],
)
def test_balances_and_grants_equal_the_model_after_any_interleaving(
    request: pytest.FixtureRequest, engine: str, examples: int
) -> None:
    """On the Valkey of all tests, and on a real Redis."""
    machine = type("Machine", (BillingMachine,), {"redis_url": request.getfixturevalue(engine)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
