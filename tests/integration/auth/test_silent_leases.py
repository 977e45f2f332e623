"""What silent, retired and returning workers reserve; what a restarted Redis costs."""

from __future__ import annotations

import contextlib

import grpc
import pytest
from nats.js.api import StreamConfig
from redis.asyncio import Redis

from lumen.ledger import keyspace
from lumen.platform.nats import ensure_stream
from protos import auth_pb2
from services.auth.errors import Unavailable
from tests.fixtures.engines import RedisServer
from tests.integration.auth.conftest import Account, Replica, StartReplica, Worker, until


async def silence(replica: Replica, seconds: float) -> None:
    """Let time pass for auth, which looks in between."""
    replica.clock.now += seconds
    await replica.auth.reaper.scan()


async def test_idle_part_is_freed_after_150_s_and_the_rest_after_the_longest_request(
    replica: Replica, account: Account
) -> None:
    worker = Worker(replica, account.id, "w1.1", key_id="key_1", limit=500_000)
    await worker.grant(1000, 100_000)
    worker.in_use = worker.key_in_use = 30_000
    await worker.renew()
    await silence(replica, 0)
    await silence(replica, 149)
    assert await account.reserved() == 100_000
    await silence(replica, 1)
    assert await account.reserved() == 30_000
    assert await replica.redis.hget(keyspace.spend_key(account.partition, "key_1"), "r:w1.1") == b"70000"
    await silence(replica, 3600 + 149)
    assert await account.reserved() == 30_000
    await silence(replica, 1)
    assert await account.reserved() == 0
    for key in (
        keyspace.beats_key(account.partition),
        keyspace.lease_accounts_key(account.partition, "w1.1"),
        keyspace.in_use_key(account.partition, "w1.1"),
    ):
        assert not await replica.redis.exists(key)


async def test_hold_of_the_last_grant_is_not_idle_before_a_renewal_says_so(replica: Replica, account: Account) -> None:
    await Worker(replica, account.id, "w1.1").grant(1000, 100_000)
    await silence(replica, 0)
    await silence(replica, 150)
    assert await account.reserved() == 1000


async def test_what_is_posted_is_not_freed_twice(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1000, 100_000)
    worker.in_use = 30_000
    await worker.renew()
    await replica.redis.hincrby(account.redis_key, "p:w1.1", 40_000)
    await silence(replica, 0)
    await silence(replica, 5000)
    assert await replica.redis.hget(account.redis_key, "r:w1.1") == b"60000"
    assert await account.reserved() == 0


async def test_worker_that_was_freed_learns_it_when_it_returns(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1000, 100_000)
    worker.in_use = 30_000
    await worker.renew()
    await silence(replica, 0)
    await silence(replica, 200)
    await worker.renew()
    assert (worker.granted, worker.released) == (100_000, 70_000)


async def test_renewal_seen_by_another_replica_keeps_the_lease(start_replica: StartReplica) -> None:
    here, there = await start_replica(), await start_replica()
    await until(lambda: bool(here.auth.guard.vetted_run_id))
    account = Account(here.redis)
    await account.credit(1_000_000)
    worker = Worker(here, account.id, "w1.1")
    await worker.grant(1000, 100_000)
    await silence(there, 0)
    await silence(there, 149)
    await worker.renew()  # answered by the first replica
    await silence(there, 149)
    assert await account.reserved() == 100_000


async def test_worker_that_is_heard_of_in_between_is_not_freed(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1000, 100_000)
    ((place, beat),) = (await replica.auth.store.beats()).items()
    await worker.renew()
    assert await replica.auth.store.free(*place, beat, is_idle_only=False) is None
    assert await account.reserved() == 100_000


async def test_time_in_which_redis_could_not_be_seen_is_nobodys_silence(
    start_replica: StartReplica, fresh_redis: RedisServer
) -> None:
    replica = await start_replica(lease_scan_interval_s=0.02)
    await until(lambda: bool(replica.auth.guard.vetted_run_id))
    account = Account(replica.redis)
    await account.credit(1_000_000)
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1, 100_000)
    worker.in_use = 1
    await worker.renew()
    fresh_redis.kill()
    await until(lambda: replica.auth.guard.problem() is not None)
    with pytest.raises(Unavailable):
        await replica.auth.store.beats()
    replica.clock.now += 100_000
    fresh_redis.start()
    await until(lambda: replica.auth.guard.problem() is None)
    await replica.auth.reaper.scan()
    await replica.auth.reaper.scan()
    assert await account.reserved() in (0, 100_000)  # the last second may be lost, never freed
    assert replica.auth.registry.get_sample_value("lumen_auth_freed_leases_total", {"reason": "idle"}) is None


async def test_retired_boot_is_freed_once_billing_has_posted_its_entries(replica: Replica, account: Account) -> None:
    await ensure_stream(replica.auth.nc, StreamConfig(name=keyspace.STREAM, subjects=[keyspace.STREAM_SUBJECTS]))
    old, other = Worker(replica, account.id, "w1.3"), Worker(replica, account.id, "w10.1")
    new = Worker(replica, account.id, "w1.4")
    await old.grant(40_000)
    await other.grant(7_000)
    await new.grant(500)
    subject = keyspace.subject(account.partition, "w1")
    recorded = await replica.auth.nc.jetstream().publish(subject, b"entries of the old boot")
    mark = keyspace.mark_key(account.partition)
    await replica.redis.set(mark, f"1:{recorded.seq - 1}:abc")
    await replica.edge.Retire(auth_pb2.RetireRequest(worker_id="w1", current_boot=4))
    await until(lambda: replica.auth.retirements.waiting_for(account.partition) == recorded.seq)
    assert await account.reserved() == 47_500
    await replica.redis.hincrby(account.redis_key, "p:w1.3", 15_000)
    await replica.redis.hincrby(account.redis_key, "balance", -15_000)
    await replica.redis.set(mark, f"1:{recorded.seq}:abc")

    async def is_freed() -> bool:
        return await account.reserved() == 7_500

    await until(is_freed)
    assert await replica.redis.hget(account.redis_key, "r:w1.3") == b"25000"


async def test_restarted_redis_grants_nothing_until_workers_have_had_an_interval_to_reassert(
    replica: Replica, account: Account, fresh_redis: RedisServer
) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1000)
    fresh_redis.restart()
    async with Redis.from_url(fresh_redis.url) as redis:
        await Account(redis, account.id).credit(1_000_000)

    async def first_answer() -> bool:
        with contextlib.suppress(grpc.aio.AioRpcError):  # UNAVAILABLE: the old connections
            assert (await worker.grant(1)).outcome == auth_pb2.NOT_LIVE  # whether the restart was noticed or not
            return True
        return False

    await until(first_answer)
    await until(lambda: replica.auth.registry.get_sample_value("lumen_auth_redis_restarts_total") == 1)
    replica.clock.now += 11.9
    await replica.auth.guard.check()
    assert (await worker.grant(1)).outcome == auth_pb2.NOT_LIVE
    assert await account.reserved() >= 1000  # what the worker asserts is taken note of meanwhile
    replica.clock.now += 0.2
    await replica.auth.guard.check()
    assert (await worker.grant(1)).outcome == auth_pb2.GRANTED


async def test_emptied_redis_grants_nothing_for_an_interval(
    replica: Replica, account: Account, fresh_redis: RedisServer
) -> None:
    fresh_redis.flush()
    await until(lambda: not replica.auth.guard.vetted_run_id)
    await account.credit(1000)
    worker = Worker(replica, account.id, "w1.1")
    assert (await worker.grant(1)).outcome == auth_pb2.NOT_LIVE
    replica.clock.now += 12
    await replica.auth.guard.check()
    assert (await worker.grant(1)).outcome == auth_pb2.GRANTED


async def test_balances_rebuilt_before_anyone_looked_open_no_gap(
    start_replica: StartReplica, fresh_redis: RedisServer
) -> None:
    replica = await start_replica(redis_check_interval_s=1000)  # it looks when the test says so
    account = Account(replica.redis)
    await account.credit(1000)
    await Worker(replica, account.id, "w1.1").grant(1000)
    fresh_redis.flush()
    await account.credit(1000)  # billing was fast, and no worker has re-asserted yet
    other = Worker(replica, account.id, "w2.1")
    assert (await other.grant(1)).outcome == auth_pb2.NOT_LIVE
    await replica.auth.guard.check()
    assert (await other.grant(1)).outcome == auth_pb2.NOT_LIVE
    replica.clock.now += 12
    await replica.auth.guard.check()
    assert (await other.grant(1)).outcome == auth_pb2.GRANTED


async def test_grant_tells_a_returning_worker_what_was_freed(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1000, 100_000)
    worker.in_use = 30_000
    await worker.renew()
    await silence(replica, 0)
    await silence(replica, 200)
    answer = await worker.grant(10)
    assert answer.account_released_nanousd == 70_000
    # it asked for 10 on top of 100,000 that it believes to have, and gets what makes that true
    assert answer.account_granted_nanousd - answer.account_released_nanousd >= 100_010


async def test_auth_that_merely_starts_or_joins_does_not_wait(
    start_replica: StartReplica, fresh_redis: RedisServer
) -> None:
    first = await start_replica()
    await until(lambda: bool(first.auth.guard.vetted_run_id))
    async with Redis.from_url(fresh_redis.url) as redis:
        assert await redis.get(keyspace.RUN_ID_KEY) == first.auth.guard.vetted_run_id.encode()
    second = await start_replica()
    await until(lambda: bool(second.auth.guard.vetted_run_id))
    assert second.auth.registry.get_sample_value("lumen_auth_redis_restarts_total") == 0


async def test_auth_that_starts_after_a_restart_nobody_saw_waits(
    start_replica: StartReplica, fresh_redis: RedisServer
) -> None:
    async with Redis.from_url(fresh_redis.url) as redis:
        await redis.set(keyspace.RUN_ID_KEY, "of an earlier process")
        await redis.hset(keyspace.beats_key(7), "w1.1", "beat")
    third = await start_replica()
    await until(lambda: third.auth.guard.problem() is None)
    assert third.auth.guard.vetted_run_id == ""
    third.clock.now += 12
    await until(lambda: bool(third.auth.guard.vetted_run_id))


async def test_that_wait_ends_when_every_lease_known_has_been_asserted_again(
    start_replica: StartReplica, fresh_redis: RedisServer
) -> None:
    async with Redis.from_url(fresh_redis.url) as redis:
        await redis.set(keyspace.RUN_ID_KEY, "of an earlier process")
        await redis.hset(keyspace.beats_key(7), mapping={"w1.1": "beat", "w2.5": "beat"})
    third = await start_replica()
    await until(lambda: third.auth.guard.problem() is None)
    await Worker(third, "acct_1", "w1.1").renew()
    await third.auth.guard.check()
    assert third.auth.guard.vetted_run_id == ""
    await third.auth.retirements.retire("w2", 6)
    await third.auth.guard.check()
    assert third.auth.guard.vetted_run_id


async def test_auth_that_starts_on_a_redis_with_leases_nobody_vouches_for_waits(
    start_replica: StartReplica, fresh_redis: RedisServer
) -> None:
    async with Redis.from_url(fresh_redis.url) as redis:
        await redis.hset(keyspace.beats_key(7), "w1.1", "beat")
    third = await start_replica()
    await until(lambda: third.auth.guard.problem() is None)
    assert third.auth.guard.vetted_run_id == ""
