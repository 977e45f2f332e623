"""The lease model's world, step by step: deaths, pauses and losses that have names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.edge.metering.lease_errors import CreditsUnavailable, InsufficientCredits
from tests.fixtures.engines import RedisServer
from tests.integration.leases.ledger import Credit
from tests.integration.leases.world import ACCOUNTS, KEYS, POTS, REQUEST_FREE_S, Edge, World

KEY, POT = KEYS[0], POTS[0]


@pytest.fixture
async def world(own_redis: RedisServer) -> AsyncIterator[World]:
    """Three edges; each account has 1,000 nano-USD."""
    async with Redis.from_url(own_redis.url) as redis:
        await redis.flushall()
        found = World(redis)
        await found.start(3)
        for account in ACCOUNTS:
            found.billing.append(Credit(account, 1_000))
        await bill(found)
        yield found
        for edge in found.edges:
            await edge.stop()


async def bill(world: World) -> None:
    for partition in world.billing.stream:
        await world.billing.post(partition, 1_000)
        await world.billing.touch(partition)


async def publish(world: World, edge: Edge) -> None:
    for entry in edge.outbox:
        world.billing.append(entry)
    edge.outbox.clear()
    await bill(world)


async def reserved(world: World) -> int:
    return (await world.figures(POT)).reserved


async def balance(world: World) -> int:
    return (await world.figures(POT)).main


async def test_a_paused_edges_late_entry_is_charged_although_its_lease_was_freed_whole(world: World) -> None:
    edge, other, _ = world.edges
    await edge.hold(KEY, 300)
    edge.pause()
    await world.pass_time(REQUEST_FREE_S + 30)
    assert await reserved(world) == 0
    await edge.resume()
    edge.end(edge.holds[0], 250)
    await publish(world, edge)
    assert await balance(world) == 750
    with pytest.raises(CreditsUnavailable):
        await edge.client.hold(KEY, 1)  # it has not been heard yet
    await world.pass_time(10)
    for each in (edge, other):  # the one that was declared dead can lease the last nano-dollar like any other
        world.grants._recall_wait_s_max = 1.0
        world.clock.now += 2
        each.client.cancel(await each.client.hold(KEY, 750))
        with pytest.raises(InsufficientCredits):
            await each.client.hold(KEY, 751)
    assert await reserved(world) == 750 == await balance(world)


async def test_a_dead_edges_idle_part_is_free_within_three_minutes(world: World) -> None:
    edge = world.edges[0]
    await edge.hold(KEY, 20)
    edge.end(edge.holds[0], None)
    await edge.idle()
    await world.pass_time(10)
    assert await reserved(world) > 0
    await world.kill(edge)
    await world.pass_time(170)
    assert await reserved(world) == 0


async def test_an_answer_read_after_a_pause_admits_nothing(world: World) -> None:
    edge, other, _ = world.edges
    edge.link.fault = "pause"
    await edge.hold(KEY, 600)
    assert not edge.is_running
    await world.pass_time(REQUEST_FREE_S + 30)
    await other.hold(KEY, 1_000)  # what was granted to it has been freed
    await edge.resume()
    assert edge.holds == []
    assert world.deficit(POT) == 0


async def test_a_failover_right_after_a_grant_costs_nobody_his_reservation(world: World) -> None:
    edge, other, _ = world.edges
    replica = await world.dump()
    await edge.hold(KEY, 700)
    await world.fail_over(replica)
    await bill(world)
    with pytest.raises(CreditsUnavailable):
        await other.client.hold(KEY, 700)
    await world.pass_time(30)
    with pytest.raises(InsufficientCredits):
        await other.client.hold(KEY, 700)
    await other.hold(KEY, 300)
    assert world.deficit(POT) == 0


async def test_a_lost_grant_is_given_back_by_an_edge_that_never_asks_again(world: World) -> None:
    edge = world.edges[0]
    edge.link.fault = "late"
    await edge.hold(KEY, 400)
    await world.in_transit.pop()()
    assert await reserved(world) == 400
    await world.pass_time(80)
    assert await reserved(world) == 0


async def test_two_edges_that_starve_for_each_others_idle_parts_do_not_both_go_without(world: World) -> None:
    world.grants._recall_wait_s_max = 1.0
    first, second, _ = world.edges
    for edge in (first, second):
        await edge.hold(KEY, 450)
        edge.end(edge.holds[0], None)
    assert await reserved(world) >= 900
    await first.hold(KEY, 800)
    assert len(first.holds) == 1
    await second.hold(KEY, 800)
    assert second.holds == []
    assert world.deficit(POT) <= 0
