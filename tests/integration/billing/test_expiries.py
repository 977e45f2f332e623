"""Grants burn first and expire once, whatever happens to the billing that does it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from lumen.ledger import keyspace
from lumen.ledger.entries import CreditEntry
from lumen.money.pots import Pots, expiry_reference
from protos import billing_pb2
from services.billing.burning import Burning
from services.billing.clickhouse_sink import ClickHouseSink
from tests.integration.billing.conftest import NOON_US, RunningBilling, World, eventually

Start = Callable[..., RunningBilling]
PAST_S, FUTURE_S = 1_700_000_000, 4_000_000_000
COST = 7 * 15  # of one entry of World.use


async def expiries(world: World) -> list[tuple[object, ...]]:
    return await world.rows(
        "SELECT account, amount_nanousd, source FROM credits FINAL WHERE kind = 'expiry' ORDER BY account, sequence"
    )


async def balance(billing: RunningBilling, account: str) -> billing_pb2.Balance:
    request = billing_pb2.GetBalanceRequest(account_id=account)
    return await billing.parts.api.GetBalance(request, None)  # type: ignore[arg-type]


async def given(world: World, billing: RunningBilling, account: str = "acc") -> None:
    """5,000 paid, 1,000 granted until long ago, 2,000 until the future; three entries used."""
    await world.credit(account, 5_000)
    await world.grant(account, 2_000, FUTURE_S)
    await world.grant(account, 1_000, PAST_S)
    await world.use(account, count=3)
    await eventually(world.balances_agree)


async def test_the_unburnt_rest_expires_once(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await given(world, billing)
    before = (await balance(billing, "acc")).grants
    assert (before.grants_nanousd, before.next_expiry_at_s) == (3_000 - 3 * COST, PAST_S)
    assert before.next_expiry_nanousd == 1_000 - 3 * COST
    assert await billing.parts.expiries.expire_due() == 1
    world.expected["acc"] = 5_000 + 2_000  # the usage came out of the grant that expired
    await eventually(world.balances_agree)
    assert await billing.parts.expiries.expire_due() == 0
    assert await expiries(world) == [("acc", 3 * COST - 1_000, "grant")]
    after = (await balance(billing, "acc")).grants
    assert (after.grants_nanousd, after.next_expiry_at_s, after.next_expiry_nanousd) == (2_000, FUTURE_S, 2_000)
    report = await billing.parts.api.Reconcile(billing_pb2.ReconcileRequest(), None)  # type: ignore[arg-type]
    assert report.is_ok, [(check.name, list(check.drifts)) for check in report.checks]
    assert {check.name: check.examined for check in report.checks}["expiries_equal_rests"] == 1


async def test_what_billing_has_not_posted_yet_counts(world: World, start_billing: Start) -> None:
    """The amount is that of the place where the entry lands, not of ClickHouse's mark."""
    billing = start_billing()
    await given(world, billing)
    await billing.kill()
    await world.use("acc", count=2)
    await world.use("acc", count=1, is_billable=False)
    assert await billing.parts.expiries.expire_due() == 1
    again = start_billing()
    world.expected["acc"] = 5_000 + 2_000
    await eventually(world.balances_agree)
    assert await expiries(world) == [("acc", 5 * COST - 1_000, "grant")]
    assert await again.parts.expiries.expire_due() == 0


async def test_a_burnt_up_grant_is_closed_by_an_expiry_of_nothing(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await world.grant("acc", 2 * COST, PAST_S)
    await world.credit("acc", 5_000)
    await world.use("acc", count=3)
    await eventually(world.balances_agree)
    assert await billing.parts.expiries.expire_due() == 1
    assert await _until_expired(world) == 0
    assert await billing.parts.expiries.expire_due() == 0


async def test_two_billings_at_once_expire_it_once(world: World, start_billing: Start) -> None:
    first, second = start_billing(), start_billing()
    for number in range(20):
        await world.grant(f"acc-{number}", 1_000, PAST_S)
        await world.use(f"acc-{number}")
    await eventually(world.balances_agree)
    rounds = [billing.parts.expiries.expire_due() for billing in (first, second) for _ in range(3)]
    assert sum(await asyncio.gather(*rounds)) == 20
    for account, reference in await world.rows("SELECT account, reference FROM credits FINAL WHERE kind = 'expiry'"):
        # and as by another one, whose look had found other credits due
        again = CreditEntry(str(account), 0, "expiry", "grant", str(reference), NOON_US, expires_at_s=PAST_S)
        await world.publish("expiry-again", keyspace.partition_of(str(account)), [again])
    world.expected = dict.fromkeys(world.expected, 0)
    await eventually(world.balances_agree)
    assert [amount for _, amount, _ in await expiries(world)] == [COST - 1_000] * 20


async def test_a_partition_that_moves_on_is_read_again(world: World, start_billing: Start) -> None:
    """Usage keeps flowing while the grant expires: whatever the split, it is the one of the ledger's order."""
    billing = start_billing()
    await world.credit("acc", 10**9)
    await world.grant("acc", 10**6, PAST_S)
    is_over = asyncio.Event()

    async def load() -> None:
        while not is_over.is_set():
            await world.use("acc")
            await asyncio.sleep(0.001)

    loading = asyncio.create_task(load())
    try:

        async def is_expired() -> bool:
            return bool(await billing.parts.expiries.expire_due() or await expiries(world))

        await eventually(is_expired)
    finally:
        is_over.set()
        await loading
    rows = await _until_expired(world)
    world.expected["acc"] += rows
    await eventually(world.balances_agree)
    report = await billing.parts.api.Reconcile(billing_pb2.ReconcileRequest(), None)  # type: ignore[arg-type]
    assert report.is_ok, [(check.name, list(check.drifts)) for check in report.checks]


async def _until_expired(world: World) -> int:
    async def is_posted() -> bool:
        return bool(await expiries(world))

    await eventually(is_posted)
    ((_, amount, _),) = await expiries(world)
    assert isinstance(amount, int)
    return amount


async def test_the_fold_of_clickhouse_is_the_fold_of_the_ledger(world: World, start_billing: Start) -> None:
    """The sums between two credits that ClickHouse makes, against every entry folded one by one."""
    numbers = random.Random(5)
    accounts = ["acc-1", "acc-2", "acc-3"]
    folded = {account: Pots() for account in accounts}
    billing = start_billing()
    for _ in range(120):
        account = numbers.choice(accounts)
        partition = keyspace.partition_of(account)
        if numbers.random() < 0.6:
            count = numbers.randrange(1, 5)
            await world.use(account, count=count)
            for _ in range(count):
                folded[account].charge(COST)
            continue
        kind = numbers.choice(["topup", "grant", "grant", "adjustment"])
        amount = numbers.randrange(1, 900) * (-1 if kind == "adjustment" else 1)
        source, expires_at_s = ("grant", numbers.choice([0, PAST_S, FUTURE_S])) if kind == "grant" else ("paid", 0)
        name = f"n{numbers.random()}"
        entry = CreditEntry(account, amount, kind, source, name, NOON_US, expires_at_s=expires_at_s)
        sequence = await world.publish(keyspace.credit_producer(account, name), partition, [entry])
        world.expected[account] = world.expected.get(account, 0) + amount
        folded[account].credit(expiry_reference(1, partition, sequence, 0), amount, kind, source, expires_at_s)
    await eventually(world.balances_agree)
    stored = await ClickHouseSink(world.clickhouse).load_marks()
    for account in accounts:
        partition = keyspace.partition_of(account)
        pots = (await Burning(world.clickhouse).pots({partition: stored[partition].mark}, [account]))[account]
        assert pots == folded[account]
        assert pots.balance_nanousd == world.expected[account]

    async def is_nothing_due() -> bool:
        await billing.parts.expiries.expire_due()
        return not await Burning(world.clickhouse).due(range(keyspace.PARTITIONS), PAST_S, pots_max=10)

    await eventually(is_nothing_due)
    rests = {account: sum(pot.left_nanousd for pot in pots.due(PAST_S)) for account, pots in folded.items()}
    expired = dict.fromkeys(accounts, 0)
    for owner, rest, _ in await expiries(world):
        assert isinstance(owner, str)
        assert isinstance(rest, int)
        expired[owner] -= rest
    assert expired == rests


async def test_a_ledger_that_is_not_ours_is_left_alone(world: World, start_billing: Start) -> None:
    """A partition that stopped because the ledger fell back gets no expiry on top of it."""
    billing = start_billing()
    await given(world, billing)
    await billing.kill()
    js = world.nc.jetstream()
    config = (await js.stream_info(keyspace.STREAM)).config
    await js.delete_stream(keyspace.STREAM)
    await js.add_stream(config)
    assert await billing.parts.expiries.expire_due() == 0
    assert (await js.stream_info(keyspace.STREAM)).state.messages == 0
