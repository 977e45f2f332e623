"""A worker that starves gets what others do not use."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from lumen.ledger import keyspace
from protos import auth_pb2
from tests.integration.auth.conftest import Account, Replica, StartReplica, Worker, until


async def returns_when_recalled(worker: Worker) -> None:
    """What an edge does: watch, and answer a recall by giving back what is idle."""
    watch: Any = worker.replica.edge.Watch(auth_pb2.WatchRequest(lease_id=worker.lease))
    try:
        while True:
            event = await watch.read()
            if event.WhichOneof("event") == "recall" and event.recall.account_id == worker.account:
                worker.released = worker.granted - worker.in_use
                await worker.renew()
    finally:
        watch.cancel()


async def test_recall_gives_a_starving_worker_what_another_holds_idle(replica: Replica, account: Account) -> None:
    rich, poor = Worker(replica, account.id, "w1.1"), Worker(replica, account.id, "w2.1")
    await rich.grant(1_000_000)
    rich.in_use = 300_000
    task = asyncio.create_task(returns_when_recalled(rich))
    await until(lambda: "w1.1" in replica.auth.hub.leases())
    answer = await poor.grant(600_000)
    task.cancel()
    assert answer.outcome == auth_pb2.GRANTED
    assert await account.reserved() <= 1_000_000
    assert rich.released == 700_000


async def test_recall_reaches_edges_of_other_replicas(start_replica: StartReplica) -> None:
    here, there = await start_replica(), await start_replica()
    for replica in (here, there):
        await until(lambda replica=replica: bool(replica.auth.guard.vetted_run_id))
    account = Account(here.redis)
    await account.credit(1000)
    rich, poor = Worker(there, account.id, "w1.1"), Worker(here, account.id, "w2.1")
    await rich.grant(1000)
    task = asyncio.create_task(returns_when_recalled(rich))
    await until(lambda: "w1.1" in there.auth.hub.leases())
    answer = await poor.grant(10)
    task.cancel()
    assert answer.outcome == auth_pb2.GRANTED


async def test_refused_after_the_wait_when_nobody_gives_back(replica: Replica, account: Account) -> None:
    await Worker(replica, account.id, "w1.1").grant(1_000_000)
    started = time.monotonic()
    answer = await Worker(replica, account.id, "w2.1").grant(10)
    assert answer.outcome == auth_pb2.INSUFFICIENT_CREDITS
    assert 0.3 <= time.monotonic() - started < 2


async def test_nobody_is_asked_when_no_other_lease_reserves_anything(replica: Replica, account: Account) -> None:
    worker = Worker(replica, account.id, "w1.1")
    await worker.grant(1_000_000)
    assert (await worker.grant(10)).outcome == auth_pb2.INSUFFICIENT_CREDITS
    recalls = replica.auth.registry.get_sample_value("lumen_auth_recalls_total")
    assert recalls == 0


async def test_credit_that_arrives_meanwhile_ends_the_wait(replica: Replica, account: Account) -> None:
    await Worker(replica, account.id, "w1.1").grant(1_000_000)
    asking = asyncio.create_task(Worker(replica, account.id, "w2.1").grant(10))
    await until(lambda: replica.auth.registry.get_sample_value("lumen_auth_recalls_total") == 1)
    await account.credit(100)
    await replica.auth.nc.publish(keyspace.CREDIT_POSTED_SUBJECT, account.id.encode())
    assert (await asking).outcome == auth_pb2.GRANTED
