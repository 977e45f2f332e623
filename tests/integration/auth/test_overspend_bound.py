"""Edges' lease clients and auth over gRPC, NATS and Valkey: what is admitted never exceeds what there is."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lumen.ledger import keyspace
from lumen.protocols.errors import ErrorKind
from protos import auth_pb2
from services.edge.metering.lease_book import Hold
from services.edge.metering.lease_client import LeaseClient
from services.edge.metering.lease_errors import CreditsUnavailable, InsufficientCredits
from services.edge.metering.metrics import MeteringMetrics
from services.edge.model_endpoint import _refusal
from tests.fixtures.engines import RedisServer
from tests.integration.auth.conftest import Account, Replica, until

HOLD = 10_000


@dataclass(frozen=True)
class Key:
    account_id: str
    key_id: str = "key"
    spend_limit_nanousd: int = 0


@dataclass
class Edge:
    """A worker's leases, with the watch stream that tells it of recalls and credits."""

    lease: str
    leases: LeaseClient
    key: Key
    registry: CollectorRegistry

    async def watch(self, replica: Replica) -> None:
        call: Any = replica.edge.Watch(auth_pb2.WatchRequest(lease_id=self.lease))
        try:
            while True:
                event = await call.read()
                if event.WhichOneof("event") == "recall":
                    self.leases.on_recall(event.recall.account_id)
                elif event.WhichOneof("event") == "credit_arrived":
                    self.leases.on_credit(event.credit_arrived.account_id)
        finally:
            call.cancel()


StartEdges = Callable[[int], Awaitable[list[Edge]]]


@asynccontextmanager
async def _edge(replica: Replica, account: str, number: int) -> AsyncIterator[Edge]:
    registry = CollectorRegistry()
    lease = f"w{number}.1"
    leases = LeaseClient(replica.edge, lease, MeteringMetrics(registry), renew_interval_s=0.5)
    edge = Edge(lease, leases, Key(account), registry)
    tasks = [asyncio.create_task(edge.watch(replica)), asyncio.create_task(leases.run())]
    try:
        yield edge
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def start_edges(replica: Replica, account: Account) -> AsyncIterator[StartEdges]:
    async with AsyncExitStack() as stack:

        async def start(count: int) -> list[Edge]:
            edges = [await stack.enter_async_context(_edge(replica, account.id, number)) for number in range(count)]
            await until(lambda: len(replica.auth.hub.leases()) == count)
            return edges

        yield start


@dataclass
class Money:
    """The truth beside the books: what is held and spent, and billing, which posts with a lag."""

    account: Account
    funds: int
    held: int = 0
    spent: int = 0
    excess: int = 0  # costs beyond their holds
    lowest: int = 0
    unposted: list[tuple[str, int]] = field(default_factory=list)

    def admitted(self, hold: Hold) -> None:
        self.held += hold.amount_nanousd
        self.lowest = min(self.lowest, self.funds - self.held - self.spent)

    def settled(self, edge: Edge, hold: Hold, cost: int) -> None:
        edge.leases.settle(hold, cost)
        self.held -= hold.amount_nanousd
        self.spent += cost
        self.excess += max(0, cost - hold.amount_nanousd)
        self.lowest = min(self.lowest, self.funds - self.held - self.spent)
        self.unposted.append((edge.lease, cost))

    async def post(self) -> None:
        """As post.lua: the balance and the lease's posted total together."""
        entries, self.unposted = self.unposted, []
        async with self.account.redis.pipeline(transaction=True) as pipeline:
            for lease, cost in entries:
                pipeline.hincrby(self.account.redis_key, "balance", -cost)
                pipeline.hincrby(self.account.redis_key, f"p:{lease}", cost)
            await pipeline.execute()

    async def post_for_ever(self) -> None:
        while True:
            await self.post()
            await asyncio.sleep(0.02)


async def money_of(account: Account, funds: int) -> Money:
    await account.credit(funds - await account.balance())
    return Money(account, funds)


async def spend_all(
    edge: Edge, money: Money, least: int | None, cost_of: Callable[[Hold], int], rng: random.Random
) -> int:
    """One client: request after request until it has no credits left; a 503 (a busy machine) it repeats, as SDKs do.
    Returns how many were admitted."""
    admitted = 0
    with contextlib.suppress(InsufficientCredits):
        while True:
            try:
                hold = await edge.leases.hold(edge.key, HOLD, least)
            except CreditsUnavailable:
                await asyncio.sleep(0.05)
                continue
            money.admitted(hold)
            admitted += 1
            await asyncio.sleep(rng.random() * 0.01)  # the answer takes its time
            money.settled(edge, hold, cost_of(hold))
    return admitted


async def run_clients(
    edges: list[Edge], money: Money, clients: int, least: int | None, cost_of: Callable[[Hold], int]
) -> int:
    rng = random.Random(7)
    posting = asyncio.create_task(money.post_for_ever())
    admitted = sum(
        await asyncio.gather(
            *(spend_all(edges[number % len(edges)], money, least, cost_of, rng) for number in range(clients))
        )
    )
    for edge in edges:  # what a refusal a moment ago has left
        await money.post()
        edge.leases.on_credit(money.account.id)
        admitted += await spend_all(edge, money, least, cost_of, rng)
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    await money.post()
    return admitted


async def test_four_workers_and_64_clients_spend_a_strict_balance_to_its_end_and_never_beyond(
    account: Account, start_edges: StartEdges
) -> None:
    edges = await start_edges(4)
    money = await money_of(account, 100 * HOLD)
    least = HOLD // 10
    admitted = await run_clients(edges, money, 64, least, lambda hold: hold.amount_nanousd)
    assert money.lowest >= 0  # at every moment: worst case of all that was admitted
    assert 0 <= await account.balance() == money.funds - money.spent < least
    assert admitted >= 100
    assert sum(edge.leases.books.account(account.id).spent for edge in edges) == money.spent


async def test_an_estimated_balance_falls_at_most_by_what_requests_cost_beyond_their_holds(
    account: Account, start_edges: StartEdges
) -> None:
    edges = await start_edges(4)
    money = await money_of(account, 100 * HOLD)
    rng = random.Random(3)
    admitted = await run_clients(
        edges, money, 64, None, lambda hold: hold.amount_nanousd * rng.choice((20, 60, 100, 150)) // 100
    )
    assert money.excess > 0
    assert money.lowest >= -money.excess
    assert await account.balance() == money.funds - money.spent >= -money.excess
    assert money.funds - money.spent < HOLD
    overspent = sum(edge.registry.get_sample_value("lumen_edge_overspend_nanousd_total") or 0 for edge in edges)
    assert overspent == money.excess
    assert admitted > 100


async def test_ten_workers_and_a_balance_for_three_requests_admit_all_three(
    replica: Replica, account: Account, start_edges: StartEdges
) -> None:
    replica.auth.grants._recall_wait_s_max = 1.0  # ten edges in one process on a busy machine answer in their own time
    edges = await start_edges(10)
    money = await money_of(account, 3 * HOLD)
    for first in range(0, 10, 3):
        for edge in edges:  # each has an idle part, so nobody's own and the rest together cover a request at once
            with contextlib.suppress(InsufficientCredits):
                edge.leases.cancel(await edge.leases.hold(edge.key, 50))
            edge.leases.on_credit(account.id)  # refusals are forgotten
        assert sum(edge.leases.books.account(account.id).free > 0 for edge in edges) >= 5
        chosen = [edges[(first + number) % 10] for number in range(3)]
        holds = await asyncio.gather(*(edge.leases.hold(edge.key, HOLD) for edge in chosen))
        assert sum(hold.amount_nanousd for hold in holds) == money.funds == await account.reserved()
        with pytest.raises(InsufficientCredits):
            await edges[(first + 5) % 10].leases.hold(edges[0].key, 1)
        for edge, hold in zip(chosen, holds, strict=True):
            edge.leases.cancel(hold)
        for edge in edges:
            edge.leases.on_credit(account.id)  # refusals are forgotten


async def test_a_worker_shrinks_its_lease_as_the_account_runs_dry_and_gives_it_back_at_drain(
    account: Account, start_edges: StartEdges
) -> None:
    (edge,) = await start_edges(1)
    money = await money_of(account, 100 * HOLD)
    book = edge.leases.books.account(account.id)
    sizes = []
    for _ in range(95):
        hold = await edge.leases.hold(edge.key, HOLD)
        money.admitted(hold)
        sizes.append(book.free + book.held)
        money.settled(edge, hold, HOLD)
        await money.post()
    assert sizes[0] == money.funds // 4
    assert max(sizes[-10:]) < sizes[0] // 3
    await edge.leases.close()
    assert await account.reserved() == 0
    assert await account.balance() == 5 * HOLD


async def test_redis_away_and_the_lease_used_up_is_503_with_retry_after(
    account: Account, start_edges: StartEdges, fresh_redis: RedisServer
) -> None:
    (edge,) = await start_edges(1)
    await edge.leases.hold(edge.key, HOLD)
    fresh_redis.kill()
    for _ in range(edge.leases.books.account(account.id).free // HOLD):
        await edge.leases.hold(edge.key, HOLD)
    with pytest.raises(CreditsUnavailable) as caught:
        await edge.leases.hold(edge.key, HOLD)
    error = _refusal(caught.value)
    assert (error.kind, error.status, error.retry_after_s) == (ErrorKind.OVERLOADED, 503, 2)


async def test_a_balance_that_arrives_is_spent_at_once(
    replica: Replica, account: Account, start_edges: StartEdges
) -> None:
    first, second = await start_edges(2)
    money = await money_of(account, HOLD)
    hold = await first.leases.hold(first.key, HOLD)
    with pytest.raises(InsufficientCredits):
        await second.leases.hold(second.key, HOLD)
    await account.credit(HOLD)
    await replica.auth.nc.publish(keyspace.CREDIT_POSTED_SUBJECT, account.id.encode())

    async def is_admitted() -> bool:
        with contextlib.suppress(InsufficientCredits):
            await second.leases.hold(second.key, HOLD)
            return True
        return False

    await until(is_admitted)
    assert await account.reserved() == 2 * money.funds
    assert hold.is_open
