"""What billing posts, once, from an ordinary ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from lumen.ledger import keyspace
from lumen.ledger.entries import Entry
from lumen.platform.kv_view import kv_put
from services.billing.balances import Balances
from tests.integration.billing.conftest import RunningBilling, World, eventually, usage_entry

Start = Callable[..., RunningBilling]


async def test_an_idle_ledger_goes_live_on_every_partition(world: World, start_billing: Start) -> None:
    start_billing()

    async def all_live() -> bool:
        keys = [keyspace.live_key(p) for p in range(keyspace.PARTITIONS)]
        return await world.redis.exists(*keys) == keyspace.PARTITIONS

    await eventually(all_live)
    assert await world.redis.get(keyspace.mark_key(0)) == b"1:0:"


async def test_credits_and_usage_reach_balances_and_rows(world: World, start_billing: Start) -> None:
    start_billing()
    for number in range(20):
        await world.credit(f"acc-{number}", 1_000_000)
        await world.use(f"acc-{number}", count=3)
    await eventually(world.balances_agree)
    assert await world.rows("SELECT count(), sum(cost_nanousd), sum(upstream_cost_nanousd) FROM usage FINAL") == [
        (60, 60 * 105, 60 * 52)
    ]
    assert await world.rows("SELECT sum(amount_nanousd) FROM credits FINAL") == [(20_000_000,)]


async def test_posted_usage_lowers_the_lease_and_counts_against_the_key(world: World, start_billing: Start) -> None:
    start_billing()
    partition = keyspace.partition_of("acc")
    await world.redis.hset(keyspace.account_key(partition, "acc"), "g:edge-1.1", 1000)
    await world.credit("acc", 10_000)
    await world.use("acc", key_has_spend_limit=True)
    await eventually(world.balances_agree)
    balance = await Balances(world.redis).get("acc")
    assert (balance.balance_nanousd, balance.reserved_nanousd, balance.available_nanousd) == (9895, 895, 9000)
    key = await world.redis.hgetall(keyspace.spend_key(partition, "key-acc"))
    assert key == {b"spent": b"105", b"p:edge-1.1": b"105"}


async def test_a_failed_attempt_costs_us_and_not_the_account(world: World, start_billing: Start) -> None:
    start_billing()
    await world.credit("acc", 10_000)
    await world.use("acc", is_billable=False)
    await world.use("acc")
    await eventually(world.balances_agree)
    rows = await world.rows(
        "SELECT is_billable, cost_nanousd, upstream_cost_nanousd FROM usage FINAL ORDER BY is_billable"
    )
    assert rows == [(False, 0, 52), (True, 105, 52)]


async def test_an_unknown_revision_is_waited_for(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await world.credit("acc", 10_000)
    await eventually(world.balances_agree)
    world.price = 9
    await world.use("acc", catalog_revision=2)

    async def is_waiting() -> bool:
        return await world.redis.exists(keyspace.live_key(0)) == 0

    await eventually(is_waiting)
    await kv_put(world.nc, keyspace.KV_CATALOG, "rev.2", json.dumps({"price": 9}).encode())
    await eventually(world.balances_agree)
    assert billing.metric("lumen_billing_dead_letters_total", reason="not_ratable") == 0


async def test_more_revisions_in_one_group_than_the_cache_holds(world: World, start_billing: Start) -> None:
    for revision in range(2, 152):
        await kv_put(world.nc, keyspace.KV_CATALOG, f"rev.{revision}", json.dumps({"price": 7}).encode())
    await world.credit("acc", 10_000_000)
    for revision in range(1, 152):
        await world.use("acc", catalog_revision=revision)
    start_billing()
    await eventually(world.balances_agree)


async def test_hourly_rollups_equal_the_rows(world: World, start_billing: Start) -> None:
    start_billing()
    await world.credit("acc", 10_000_000)
    for hour in range(3):
        await world.use("acc", count=2, started_at_us=1_793_534_400_000_000 + hour * 3_600_000_000)
    await eventually(world.balances_agree)

    async def rolled_up() -> bool:
        rows = await world.rows("SELECT sum(requests), sum(cost_nanousd), count() FROM usage_hourly FINAL")
        return rows == [(6, 630, 3)]

    await eventually(rolled_up)
    await world.use("acc", count=1)

    async def recomputed() -> bool:
        return await world.rows("SELECT sum(requests), count() FROM usage_hourly FINAL") == [(7, 3)]

    await eventually(recomputed)


async def test_a_batch_across_midnight_at_a_months_end_lands_in_both_months(world: World, start_billing: Start) -> None:
    midnight_us = 1_796_083_200_000_000  # 2026-12-01 00:00 UTC
    start_billing()
    await world.credit("acc", 10_000)
    batch: list[Entry] = [usage_entry("acc", f"r{us}", started_at_us=midnight_us + us) for us in (-1, 0)]
    await world.publish("edge-1", keyspace.partition_of("acc"), batch)
    world.expected["acc"] -= 2 * 15 * world.price
    await eventually(world.balances_agree)
    rows = await world.rows("SELECT toString(hour), count() FROM usage FINAL GROUP BY hour ORDER BY hour")
    assert rows == [("2026-11-30 23:00:00", 1), ("2026-12-01 00:00:00", 1)]


async def test_an_owner_of_some_partitions_posts_and_goes_live_for_them_only(
    world: World, start_billing: Start
) -> None:
    mine = keyspace.partition_of("acc")
    other = next(f"other-{n}" for n in range(1000) if keyspace.partition_of(f"other-{n}") != mine)
    start_billing([mine])
    await world.credit("acc", 10_000)
    await eventually(world.balances_agree)
    await world.credit(other, 5)
    del world.expected[other]
    await world.use("acc")
    await eventually(world.balances_agree)
    await asyncio.sleep(0)
    assert await world.redis.get(keyspace.mark_key(keyspace.partition_of(other))) is None
