"""Holds from a lease that auth grants, tops up, recalls and forgets to answer for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from lumen.platform.grpc import bind, create_channel, create_server
from lumen.platform.lifecycle import cancel_until_done
from protos import auth_pb2_grpc
from services.edge.metering.lease_client import LeaseClient
from services.edge.metering.lease_errors import CreditsUnavailable, InsufficientCredits, KeySpendLimitReached
from services.edge.metering.metrics import MeteringMetrics
from tests.integration.edge_metering.conftest import eventually
from tests.integration.edge_metering.fake_auth import FakeAuth

LEASE = "edge-test.1"


@dataclass(frozen=True)
class Key:
    account_id: str = "acc"
    key_id: str = "key"
    spend_limit_nanousd: int = 0


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    auth: FakeAuth
    stub: auth_pb2_grpc.AuthAsyncStub
    clock: Clock = field(default_factory=Clock)

    def client(self, **options: bool | float) -> LeaseClient:
        metrics = MeteringMetrics(CollectorRegistry())
        return LeaseClient(self.stub, LEASE, metrics, now=self.clock, **options)  # type: ignore[arg-type]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    auth = FakeAuth()
    server = create_server({})
    auth_pb2_grpc.add_AuthServicer_to_server(auth, server)
    port = bind(server, "127.0.0.1", 0)
    await server.start()
    channel = create_channel(f"127.0.0.1:{port}")
    yield World(auth, auth_pb2_grpc.AuthStub(channel))
    await channel.close(None)
    await server.stop(None)


async def test_one_grant_serves_many_requests(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    for _ in range(20):
        leases.settle(await leases.hold(Key(), 100), 60)
    assert len(world.auth.grants) == 1
    assert world.auth.grants[0].want_nanousd == 3200  # 32 typical holds
    assert leases.books.account("acc").in_use == 20 * 60


async def test_those_short_of_credit_share_one_grant(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    world.auth.gate.clear()
    waiting = [asyncio.create_task(leases.hold(Key(), 100)) for _ in range(50)]
    await eventually(lambda: len(world.auth.grants) == 1)
    world.auth.gate.set()
    holds = await asyncio.gather(*waiting)
    assert leases.books.account("acc").held == 50 * 100 == sum(hold.amount_nanousd for hold in holds)
    assert len(world.auth.grants) <= 3  # the first asked for 32 holds; one more for the rest, one to top up


async def test_a_low_lease_is_topped_up_in_the_background(world: World) -> None:
    world.auth.available["acc"] = 10_000_000
    leases = world.client()
    await leases.hold(Key(), 100)
    while leases.books.account("acc").free >= 3200 // 4:
        assert leases.try_hold(Key(), 100) is not None
    await eventually(lambda: leases.books.account("acc").granted > 3200)
    assert len(world.auth.grants) == 2
    assert world.auth.grants[1].hold_nanousd == 0


async def test_an_empty_account_is_asked_about_once_a_second(world: World) -> None:
    leases = world.client()
    for _ in range(5):
        with pytest.raises(InsufficientCredits):
            await leases.hold(Key(), 100)
    assert len(world.auth.grants) == 1
    world.clock.now += 1.1
    with pytest.raises(InsufficientCredits):
        await leases.hold(Key(), 100)
    assert len(world.auth.grants) == 2


async def test_a_credit_ends_the_refusal_at_once(world: World) -> None:
    leases = world.client()
    with pytest.raises(InsufficientCredits):
        await leases.hold(Key(), 100)
    world.auth.available["acc"] = 500
    leases.on_credit("acc")
    assert (await leases.hold(Key(), 100)).amount_nanousd == 100


async def test_a_smaller_request_may_still_fit(world: World) -> None:
    world.auth.available["acc"] = 50
    leases = world.client()
    with pytest.raises(InsufficientCredits):
        await leases.hold(Key(), 100)
    assert (await leases.hold(Key(), 40)).amount_nanousd == 40


async def test_a_limited_key_leases_beside_its_account(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    limited = Key(spend_limit_nanousd=250)
    hold = await leases.hold(limited, 200)
    assert (hold.account_id, hold.key_id) == ("acc", "key")
    leases.settle(hold, 200)
    for _ in range(2):
        with pytest.raises(KeySpendLimitReached):
            await leases.hold(limited, 100)
    assert (await leases.hold(Key(key_id="other"), 100)).key_id == ""
    assert (await leases.hold(limited, 50)).amount_nanousd == 50


async def test_balances_behind_or_auth_away_mean_503_and_never_a_guess(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    world.auth.is_live = False
    with pytest.raises(CreditsUnavailable):
        await leases.hold(Key(), 100)
    world.auth.is_live, world.auth.is_away = True, True
    world.clock.now += 1
    with pytest.raises(CreditsUnavailable):
        await leases.hold(Key(), 100)
    world.auth.is_away = False
    world.clock.now += 1
    await leases.hold(Key(), 100)
    world.auth.is_away = True
    await leases.hold(Key(), 100)  # the lease covers it


async def test_a_lost_answer_heals_with_the_next_one(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    world.auth.is_answer_lost = True
    with pytest.raises(CreditsUnavailable):
        await leases.hold(Key(), 100)
    world.auth.is_answer_lost = False
    world.clock.now += 1
    await leases.hold(Key(), 100)
    assert leases.books.account("acc").granted == world.auth.granted["acc", ""] == 6400


async def test_a_renewal_teaches_either_side_the_larger_totals(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client(renew_interval_s=0.02)
    await leases.hold(Key(), 100)
    world.auth.granted["acc", ""] = 100  # Redis lost its last second
    world.auth.released["acc", ""] = 1000  # and freed an idle part
    running = asyncio.create_task(leases.run())
    await eventually(lambda: leases.books.account("acc").released == 1000)
    assert world.auth.granted["acc", ""] == 3200
    assert leases.books.account("acc").free == 3200 - 1000 - 100
    await cancel_until_done([running])


async def test_a_recall_gives_back_what_is_neither_spent_nor_held(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    leases.settle(await leases.hold(Key(), 100), 70)
    await leases.hold(Key(), 100)
    leases.on_recall("acc")
    leases.on_recall("stranger")
    await eventually(lambda: world.auth.released["acc", ""] == 3200 - 70 - 100)
    assert world.auth.renewals[0].totals[0].in_use_nanousd == 170


async def test_idle_leases_are_given_back_after_a_minute_and_all_at_drain(world: World) -> None:
    world.auth.available["acc"] = world.auth.available["busy"] = 1_000_000
    leases = world.client(renew_interval_s=0.02)
    leases.settle(await leases.hold(Key(), 100), 70)
    busy = await leases.hold(Key(account_id="busy"), 100)
    running = asyncio.create_task(leases.run())
    await eventually(lambda: len(world.auth.renewals) > 1)
    assert world.auth.released["acc", ""] == 0
    world.clock.now += 61
    await eventually(lambda: world.auth.released["acc", ""] == 3130)
    assert world.auth.released["busy", ""] == 0
    leases.cancel(busy)
    await cancel_until_done([running])
    await leases.close()
    assert world.auth.available["busy"] == 1_000_000
    assert world.auth.available["acc"] == 1_000_000 - 70


async def test_nothing_is_admitted_90_s_after_the_last_answered_renewal(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client(renew_interval_s=0.02)
    await leases.hold(Key(), 100)
    world.clock.now += 89
    await leases.hold(Key(), 100)
    world.clock.now += 2
    assert leases.problem() is not None
    with pytest.raises(CreditsUnavailable):
        await leases.hold(Key(), 100)
    running = asyncio.create_task(leases.run())
    await eventually(lambda: leases.problem() is None)
    await leases.hold(Key(), 100)
    await cancel_until_done([running])


async def test_without_a_cache_every_hold_is_a_grant_and_the_rest_goes_back(world: World) -> None:
    world.auth.available["acc"] = 1_000
    leases = world.client(is_cached=False)
    holds = await asyncio.gather(*(leases.hold(Key(), 100) for _ in range(5)))
    assert [(grant.hold_nanousd, grant.want_nanousd) for grant in world.auth.grants] == [(100, 100)] * 5
    for hold in holds:
        leases.settle(hold, 30)
    await eventually(lambda: world.auth.available["acc"] == 1_000 - 150)
    await leases.close()


async def test_earlier_boots_are_retired_once_auth_answers(world: World) -> None:
    leases = world.client()
    world.auth.is_away = True
    retiring = asyncio.create_task(leases.retire_earlier_boots("edge-test", 3))
    await asyncio.sleep(0)
    world.auth.is_away = False
    await retiring
    assert world.auth.retired == [("edge-test", 3)]


async def test_an_auth_that_is_away_for_a_minute_stops_nobody(world: World) -> None:
    world.auth.available["acc"] = 10**9
    leases = world.client()

    async def spend_for(seconds: int) -> None:
        """Ten requests a second, a renewal every ten seconds."""
        for number in range(seconds * 10):
            world.clock.now += 0.1
            leases.settle(await leases.hold(Key(), 100), 60)
            if number % 100 == 99:
                await leases._renewals.renew_all()
            await eventually(lambda: not leases._tasks)  # a top-up takes no time on this clock

    await spend_for(60)
    world.auth.is_away = True
    await spend_for(60)
    assert leases.books.account("acc").spent == 120 * 10 * 60


async def test_a_request_that_can_do_with_less_takes_all_that_is_left(world: World) -> None:
    world.auth.available["acc"] = 450
    leases = world.client()
    assert (await leases.hold(Key(), 400, 100)).amount_nanousd == 400
    assert (await leases.hold(Key(), 400, 50)).amount_nanousd == 50
    for least in (1, 50, 400):
        with pytest.raises(InsufficientCredits):
            await leases.hold(Key(), 400, least)


async def test_less_is_taken_only_when_there_is_no_more(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    holds = await asyncio.gather(*(leases.hold(Key(), 20_000, 1) for _ in range(40)))
    assert {hold.amount_nanousd for hold in holds} == {20_000}


async def test_less_is_taken_when_auth_is_away(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    await leases.hold(Key(), 100)  # 3200 leased
    world.auth.is_away = True
    assert (await leases.hold(Key(), 10_000, 500)).amount_nanousd == 3100
    with pytest.raises(CreditsUnavailable):
        await leases.hold(Key(), 10_000, 500)


async def test_a_limited_keys_rest_is_held_too(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    limited = Key(spend_limit_nanousd=250)
    assert (await leases.hold(limited, 400, 100)).amount_nanousd == 250
    with pytest.raises(KeySpendLimitReached):
        await leases.hold(limited, 400, 1)
    assert (await leases.hold(Key(key_id="other"), 400)).amount_nanousd == 400


async def test_a_grant_whose_answer_was_lost_is_learnt_by_renewal_and_given_back_when_idle(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    world.auth.is_answer_lost = True
    with pytest.raises(CreditsUnavailable):
        await leases.hold(Key(), 100)
    assert world.auth.granted["acc", ""] == 3200
    await leases._renewals.renew_all()
    assert leases.books.account("acc").free == 3200
    world.clock.now += 61
    await leases._renewals.renew_all()
    assert world.auth.available["acc"] == 1_000_000


async def test_a_worker_stopped_while_it_waited_does_not_use_the_answer(world: World) -> None:
    world.auth.available["acc"] = 1_000_000
    leases = world.client()
    world.auth.gate.clear()
    asking = asyncio.create_task(leases.hold(Key(), 100))
    await eventually(lambda: len(world.auth.grants) == 1)
    world.clock.now += 91  # its lease may have been freed meanwhile
    world.auth.gate.set()
    with pytest.raises(CreditsUnavailable):
        await asking
    assert leases.books.account("acc").held == 0


async def test_without_a_cache_less_is_held_too(world: World) -> None:
    world.auth.available["acc"] = 50
    leases = world.client(is_cached=False)
    hold = await leases.hold(Key(), 400, 20)
    assert hold.amount_nanousd == 50
    leases.settle(hold, 50)
    with pytest.raises(InsufficientCredits):
        await leases.hold(Key(), 400, 20)
    await leases.close()
