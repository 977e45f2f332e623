"""Crashes, outages, doubled owners and stores that fell back: lag, never loss, never twice."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable

import pytest
from nats.js.api import StreamConfig

from lumen.ledger import keyspace
from lumen.platform import redis as platform_redis
from lumen.platform.clickhouse import ClickHouse
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.marks import START
from tests.integration.billing.conftest import RunningBilling, World, eventually
from tests.integration.billing.tcp_proxy import TcpProxy

Start = Callable[..., RunningBilling]
ACCOUNTS = [f"acc-{number}" for number in range(12)]


async def load(world: World, rounds: int = 5) -> None:
    for account in ACCOUNTS:
        await world.credit(account, 1_000_000)
    for _ in range(rounds):
        for account in ACCOUNTS:
            await world.use(account, count=4, key_has_spend_limit=True)


async def rows_are_single(world: World, entries: int) -> None:
    assert await world.rows("SELECT count(), uniqExact(request_id) FROM usage FINAL") == [(entries, entries)]


async def test_killed_again_and_again_while_entries_flow(world: World, start_billing: Start) -> None:
    loading = asyncio.create_task(load(world, rounds=20))
    for pause_s in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
        billing = start_billing()
        await asyncio.sleep(pause_s)  # the point in time is the input: somewhere between read and posted
        await billing.kill()
    await loading
    start_billing()
    await eventually(world.balances_agree)
    await rows_are_single(world, 12 * 4 * 20)


async def test_redis_emptied_in_the_middle_of_a_batch(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await load(world, rounds=2)
    await eventually(world.balances_agree)
    loading = asyncio.create_task(load(world, rounds=10))
    for _ in range(5):
        await asyncio.sleep(0.05)
        await world.redis.flushall()
    await loading
    await eventually(world.balances_agree)
    await rows_are_single(world, 12 * 4 * 12)
    assert billing.metric("lumen_billing_rebuilt_partitions_total") > 64


async def test_two_owners_of_everything_do_not_double_anything(world: World, start_billing: Start) -> None:
    start_billing()
    start_billing()
    await load(world, rounds=10)
    await eventually(world.balances_agree)
    await rows_are_single(world, 12 * 4 * 10)


async def test_a_trimmed_ledger_and_an_empty_redis_are_rebuilt_from_clickhouse(
    world: World, start_billing: Start
) -> None:
    billing = start_billing()
    await load(world)
    await eventually(world.balances_agree)
    await billing.kill()
    marks = {p: stored.mark for p, stored in (await ClickHouseSink(world.clickhouse).load_marks()).items()}
    last = (await world.nc.jetstream().stream_info(keyspace.STREAM)).state.last_seq
    await ClickHouseSink(world.clickhouse).store_marks(marks, through=last)
    await world.nc.jetstream().purge_stream(keyspace.STREAM)
    await world.redis.flushall()
    start_billing()
    await eventually(world.balances_agree)
    await load(world, rounds=1)
    await eventually(world.balances_agree)


async def test_entries_trimmed_before_they_were_posted_stop_their_partition(world: World, start_billing: Start) -> None:
    await world.credit("acc", 1000)
    await world.nc.jetstream().purge_stream(keyspace.STREAM)
    billing = start_billing()

    async def stopped() -> bool:
        return billing.metric("lumen_billing_stopped_partitions", cause="ledger_trimmed") == keyspace.PARTITIONS

    await eventually(stopped)
    assert billing.parts.health.problem("ledger") is not None


async def test_an_older_ledger_stops_the_partitions_that_know_better(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await load(world, rounds=1)
    await eventually(world.balances_agree)
    mark = await world.redis.get(keyspace.mark_key(keyspace.partition_of("acc-0")))
    js = world.nc.jetstream()
    config = (await js.stream_info(keyspace.STREAM)).config
    await js.delete_stream(keyspace.STREAM)
    await js.add_stream(StreamConfig(name=config.name, subjects=config.subjects, allow_direct=True))
    for _ in range(40):  # sequences are used again, by other messages
        await world.use("acc-0", producer="edge-after-restore")

    used = len({keyspace.partition_of(account) for account in ACCOUNTS})

    async def stopped() -> bool:
        return billing.metric("lumen_billing_stopped_partitions", cause="ledger_regressed") == used

    await eventually(stopped)
    assert await world.redis.get(keyspace.mark_key(keyspace.partition_of("acc-0"))) == mark
    assert await world.redis.exists(keyspace.live_key(keyspace.partition_of("acc-0"))) == 0
    problem = billing.parts.health.problem("ledger")
    assert problem is not None
    assert "ledger_regressed" in problem


async def test_an_unused_partition_starts_at_the_start_mark(world: World, start_billing: Start) -> None:
    start_billing()
    await world.credit("acc", 5)
    await eventually(world.balances_agree)
    marks = await ClickHouseSink(world.clickhouse).load_marks()
    idle = next(p for p in range(keyspace.PARTITIONS) if p != keyspace.partition_of("acc"))
    assert marks[idle].mark == START


@pytest.fixture
async def cut_off(world: World) -> AsyncIterator[tuple[World, TcpProxy, TcpProxy]]:
    """The world with Redis and ClickHouse behind proxies."""
    async with TcpProxy(world.settings.redis_url) as redis_line, TcpProxy(world.settings.clickhouse_url) as rows_line:
        redis = platform_redis.connect(redis_line.url)
        clickhouse = ClickHouse(rows_line.url)
        yield dataclasses.replace(world, redis=redis, clickhouse=clickhouse), redis_line, rows_line
        await redis.aclose()
        await clickhouse.close()


async def test_stores_cut_off_under_load_mean_lag_and_nothing_else(
    world: World, cut_off: tuple[World, TcpProxy, TcpProxy]
) -> None:
    behind_proxies, redis_line, rows_line = cut_off
    billing = RunningBilling(behind_proxies, range(keyspace.PARTITIONS))
    loading = asyncio.create_task(load(world, rounds=30))

    def noticed() -> float:
        retries = (
            billing.metric("lumen_billing_retries_total", stage=stage)
            for stage in ("clickhouse", "clickhouse_marks", "redis")
        )
        return sum(retries) + billing.metric("lumen_billing_restarts_total", cause="store_away")

    try:
        for line in (redis_line, rows_line, redis_line, rows_line):
            before = noticed()
            line.cut()
            await world.use("acc-0")  # at least this one meets the cut line

            async def is_noticed(before: float = before) -> bool:
                return noticed() > before

            await eventually(is_noticed, timeout_s=30)
            line.mend()
        await loading
        await eventually(world.balances_agree, timeout_s=40)
    finally:
        await billing.kill()
    await rows_are_single(world, 12 * 4 * 30 + 4)


async def test_nothing_is_live_while_clickhouse_is_away(
    world: World, cut_off: tuple[World, TcpProxy, TcpProxy]
) -> None:
    behind_proxies, _, rows_line = cut_off
    billing = RunningBilling(behind_proxies, range(keyspace.PARTITIONS))
    try:
        await world.credit("acc", 1000)
        await eventually(world.balances_agree)
        rows_line.cut()
        await world.use("acc")
        live = keyspace.live_key(keyspace.partition_of("acc"))

        async def is_dark() -> bool:
            return await world.redis.exists(live) == 0

        await eventually(is_dark)
        assert billing.parts.health.problem("clickhouse") is not None
        rows_line.mend()
        await eventually(world.balances_agree)
        assert billing.parts.health.problem("clickhouse") is None
    finally:
        await billing.kill()
