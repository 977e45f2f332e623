"""Credit leases: how much a grant is, what it never exceeds, and how lost answers and emptied stores heal."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from lumen.ledger import keyspace
from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from protos import auth_pb2
from tests.fixtures.engines import RedisServer
from tests.integration.auth.conftest import Account, Replica, StartReplica, Worker, until


async def test_grant_is_what_is_wanted_while_it_is_a_small_share(replica: Replica, account: Account) -> None:
    answer = await Worker(replica, account.id, "w1.1").grant(100, 5000)
    assert answer.outcome == auth_pb2.GRANTED
    assert (answer.account_granted_nanousd, answer.available_nanousd) == (5000, 995_000)
    assert await account.reserved() == 5000
    members = await replica.redis.smembers(keyspace.lease_accounts_key(account.partition, "w1.1"))
    assert members == {account.id.encode()}


async def test_one_worker_takes_a_quarter_and_two_share_an_eighth_each(replica: Replica, account: Account) -> None:
    first, second = Worker(replica, account.id, "w1.1"), Worker(replica, account.id, "w2.1")
    assert (await first.grant(1, 10**9)).account_granted_nanousd == 250_000
    assert (await second.grant(1, 10**9)).account_granted_nanousd == 750_000 // 8


async def test_worker_that_is_silent_for_three_intervals_leaves_its_share(replica: Replica, account: Account) -> None:
    await Worker(replica, account.id, "w1.1").grant(1, 100_000)
    replica.clock.now += 31
    assert (await Worker(replica, account.id, "w2.1").grant(1, 10**9)).account_granted_nanousd == 900_000 // 4


async def test_large_hold_gets_more_than_the_share_up_to_all_there_is(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    assert (await worker.grant(900_000)).account_granted_nanousd == 900_000
    refused = await worker.grant(100_001)
    assert (refused.outcome, refused.available_nanousd) == (auth_pb2.INSUFFICIENT_CREDITS, 100_000)
    assert refused.account_granted_nanousd == 900_000
    assert (await worker.grant(100_000)).outcome == auth_pb2.GRANTED


async def test_unknown_account_has_no_credit_and_leaves_nothing_behind(replica: Replica) -> None:
    account = Account(replica.redis)
    await account.credit(0)
    await replica.redis.delete(account.redis_key)
    assert (await Worker(replica, account.id, "w1.1").grant(1)).outcome == auth_pb2.INSUFFICIENT_CREDITS
    assert not await replica.redis.exists(account.redis_key)


async def test_partition_that_is_not_live_grants_nothing(replica: Replica, account: Account) -> None:
    await replica.redis.delete(keyspace.live_key(account.partition))
    assert (await Worker(replica, account.id, "w1.1").grant(1)).outcome == auth_pb2.NOT_LIVE
    assert await account.reserved() == 0


async def test_overdrawn_account_is_refused(replica: Replica, account: Account) -> None:
    await account.credit(-1_000_001)
    answer = await Worker(replica, account.id, "w1.1").grant(1)
    assert (answer.outcome, answer.available_nanousd) == (auth_pb2.INSUFFICIENT_CREDITS, -1)


async def test_key_with_a_limit_leases_from_its_own_counter_and_the_accounts(
    replica: Replica, account: Account
) -> None:
    worker = Worker(replica, account.id, "w1.1", key_id="key_1", limit=10_000)
    answer = await worker.grant(100, 50_000)
    assert (answer.account_granted_nanousd, answer.key_granted_nanousd) == (2500, 2500)
    refused = await worker.grant(7501)
    assert refused.outcome == auth_pb2.KEY_SPEND_LIMIT_REACHED
    assert (await worker.grant(7500)).key_granted_nanousd == 10_000
    other = Worker(replica, account.id, "w1.1", granted=worker.granted)
    assert (await other.grant(1000)).outcome == auth_pb2.GRANTED  # the account is not at its end


async def test_what_a_key_has_spent_counts_against_its_limit(replica: Replica, account: Account) -> None:
    await replica.redis.hset(keyspace.spend_key(account.partition, "key_1"), "spent", 9_500)
    worker = Worker(replica, account.id, "w1.1", key_id="key_1", limit=10_000)
    assert (await worker.grant(501)).outcome == auth_pb2.KEY_SPEND_LIMIT_REACHED
    assert (await worker.grant(500)).outcome == auth_pb2.GRANTED


async def test_empty_account_is_named_before_the_keys_limit(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1", key_id="key_1", limit=100)
    assert (await worker.grant(1_000_001)).outcome == auth_pb2.INSUFFICIENT_CREDITS


async def test_order_that_can_do_with_less_gets_all_there_is(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(999_000)
    full = await worker.grant(900, least=100)
    assert (full.outcome, full.limited_by) == (auth_pb2.GRANTED, auth_pb2.GRANT_OUTCOME_UNSPECIFIED)
    reduced = await worker.grant(900, least=100)
    assert (reduced.outcome, reduced.limited_by) == (auth_pb2.GRANTED, auth_pb2.INSUFFICIENT_CREDITS)
    assert (reduced.account_granted_nanousd, reduced.available_nanousd) == (1_000_000, 0)
    assert (await worker.grant(900, least=1)).outcome == auth_pb2.INSUFFICIENT_CREDITS


async def test_order_that_can_do_with_less_is_refused_below_its_least(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(999_901)
    refused = await worker.grant(900, least=100)
    assert (refused.outcome, refused.account_granted_nanousd) == (auth_pb2.INSUFFICIENT_CREDITS, 999_901)


async def test_what_is_left_of_a_keys_limit_reduces_a_grant_too(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1", key_id="key_1", limit=10_000)
    answer = await worker.grant(12_000, least=100)
    assert (answer.outcome, answer.limited_by) == (auth_pb2.GRANTED, auth_pb2.KEY_SPEND_LIMIT_REACHED)
    assert (answer.account_granted_nanousd, answer.key_granted_nanousd) == (10_000, 10_000)


async def test_worker_that_overran_can_still_lease_the_last_nano_dollar(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1_000)
    await replica.redis.hincrby(account.redis_key, "p:w1.1", 1_500)  # 500 beyond its lease
    await account.credit(-1_500)
    everything = await worker.grant(998_500 + 500)  # its books miss the overrun on top
    assert everything.outcome == auth_pb2.GRANTED
    assert await account.reserved() == 998_500 == await account.balance()
    assert (await worker.grant(1)).outcome == auth_pb2.INSUFFICIENT_CREDITS


async def test_part_recalled_while_its_owner_asks_for_more_is_granted_again_as_one(
    replica: Replica, account: Account
) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(400_000)
    asked_before_the_recall = worker.totals()[0]
    worker.released = 400_000
    await worker.renew()
    answer = await replica.edge.Grant(  # 300,000 beyond the 400,000 it still counted on
        auth_pb2.GrantRequest(
            lease_id="w1.1", account=asked_before_the_recall, hold_nanousd=300_000, want_nanousd=300_000
        )
    )
    assert answer.account_granted_nanousd - answer.account_released_nanousd == 700_000 == await account.reserved()


async def test_figures_are_exact_at_the_largest_amount(replica: Replica) -> None:
    account = Account(replica.redis)
    largest = AMOUNT_NANOUSD_MAX - 1
    await account.credit(largest)
    worker = Worker(replica, account.id, "w1.1")
    first = await worker.grant(1, largest)
    assert first.account_granted_nanousd == largest // 4
    rest = largest - largest // 4
    assert (await worker.grant(rest)).account_granted_nanousd == largest
    assert await replica.redis.hget(account.redis_key, "g:w1.1") == str(largest).encode()
    worker.released = largest - 3
    renewed = await worker.renew()
    assert renewed.totals[0].released_nanousd == largest - 3
    assert await replica.redis.hget(account.redis_key, "r:w1.1") == str(largest - 3).encode()
    assert await account.reserved() == 3


async def test_concurrent_grants_of_two_workers_never_reserve_more_than_there_is(
    replica: Replica, account: Account
) -> None:
    workers = [Worker(replica, account.id, f"w{number}.1") for number in range(2)]

    async def take_all(worker: Worker) -> int:
        holds = 0
        while (await worker.grant(7_000, 30_000)).outcome == auth_pb2.GRANTED:
            holds += 1
        return holds

    holds = await asyncio.gather(*(take_all(workers[number % 2]) for number in range(6)))
    assert await account.reserved() <= await account.balance()
    assert await account.reserved() > 1_000_000 - 7_000
    assert sum(holds) <= 2 * 1_000_000 // 7_000
    assert workers[0].granted + workers[1].granted == await account.reserved()


async def test_answer_that_was_lost_heals_when_the_worker_asks_again(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(600_000, is_answer_lost=True)
    assert worker.granted == 0
    again = await worker.grant(600_000)  # 400,000 are left: only the lost grant can answer this
    assert (again.outcome, again.account_granted_nanousd) == (auth_pb2.GRANTED, 600_000)
    assert await account.reserved() == 600_000


async def test_answer_that_was_lost_heals_with_the_next_renewal(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1000, is_answer_lost=True)
    await worker.renew()
    assert worker.granted == 1000


async def test_renewal_after_redis_was_emptied_restores_what_is_reserved(
    replica: Replica, account: Account, fresh_redis: RedisServer
) -> None:
    worker = Worker(replica, account.id, "w1.1", key_id="key_1", limit=400_000)
    await worker.grant(1000, 50_000)
    worker.in_use = worker.key_in_use = 700
    fresh_redis.flush()
    await worker.renew()
    assert await account.reserved() == 50_000
    key_hash = await replica.redis.hgetall(keyspace.spend_key(account.partition, "key_1"))
    assert key_hash == {b"g:w1.1": b"50000"}
    in_use = await replica.redis.hgetall(keyspace.in_use_key(account.partition, "w1.1"))
    assert in_use == {account.id.encode(): b"700", f"key:{account.id}:key_1".encode(): b"700"}


async def test_totals_never_shrink_whatever_a_worker_asserts(replica: Replica, account: Account) -> None:
    await Worker(replica, account.id, "w1.1", granted=500, released=100).renew()
    answer = await Worker(replica, account.id, "w1.1", granted=400, released=50).renew()
    assert (answer.totals[0].granted_nanousd, answer.totals[0].released_nanousd) == (500, 100)


async def test_one_renewal_covers_accounts_of_many_partitions_in_order(replica: Replica) -> None:
    totals = [auth_pb2.LeaseTotals(account_id=f"acct_{number}", granted_nanousd=number + 1) for number in range(1000)]
    answer = await replica.edge.Renew(auth_pb2.RenewRequest(lease_id="w1.1", totals=totals))
    assert [(found.account_id, found.granted_nanousd) for found in answer.totals] == [
        (asked.account_id, asked.granted_nanousd) for asked in totals
    ]


@pytest.mark.parametrize(
    "request_",
    [
        auth_pb2.GrantRequest(lease_id="w1", account=auth_pb2.LeaseTotals(account_id="a")),
        auth_pb2.GrantRequest(lease_id="w.1"),
        auth_pb2.GrantRequest(
            lease_id="w.1", account=auth_pb2.LeaseTotals(account_id="a"), hold_nanousd=1, hold_min_nanousd=2
        ),
        auth_pb2.GrantRequest(lease_id="w.1", account=auth_pb2.LeaseTotals(account_id="a"), hold_nanousd=-1),
        auth_pb2.GrantRequest(
            lease_id="w.1", account=auth_pb2.LeaseTotals(account_id="a"), want_nanousd=AMOUNT_NANOUSD_MAX
        ),
        auth_pb2.GrantRequest(
            lease_id="w.1",
            account=auth_pb2.LeaseTotals(account_id="a"),
            key=auth_pb2.LeaseTotals(account_id="b", key_id="k"),
        ),
    ],
)
async def test_senseless_grant_request_is_an_invalid_argument(
    replica: Replica, request_: auth_pb2.GrantRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await replica.edge.Grant(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_redis_away_is_unavailable(replica: Replica, account: Account, fresh_redis: RedisServer) -> None:
    fresh_redis.kill()
    worker = Worker(replica, account.id, "w1.1")
    for call in (worker.grant(1), worker.renew()):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await until(lambda: replica.auth.guard.problem() == "Redis is not reachable")


async def test_grant_that_too_few_replicas_hold_is_not_answered(start_replica: StartReplica) -> None:
    replica = await start_replica(redis_replicas_min=1)
    await until(lambda: bool(replica.auth.guard.vetted_run_id))
    account = Account(replica.redis)
    await account.credit(1000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await Worker(replica, account.id, "w1.1").grant(1)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
