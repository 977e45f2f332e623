"""Billing on real engines: one database, one emptied Redis and fresh streams per test; billing runs in this process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from redis.asyncio import Redis

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, CreditEntry, Entry, UsageEntry, encode_batch
from lumen.money.usage import TokenUsage
from lumen.platform import nats as platform_nats
from lumen.platform import redis as platform_redis
from lumen.platform.clickhouse import ClickHouse
from lumen.platform.kv_view import kv_put
from lumen.platform.lifecycle import cancel_until_done
from services.billing.balances import Balances
from services.billing.bootstrap import Billing, build, prepare
from services.billing.errors import Unavailable
from services.billing.rating import Charge, NotRatable
from services.billing.settings import BillingSettings

NOON_US = 1_793_534_400_000_000  # 2026-11-01 12:00 UTC


class FlatRates:
    """Rates of a test revision `{"price": nano-USD per token}`; model `unpriced` has none, but for `{"all": true}`."""

    def __init__(self, price: int, *, prices_all: bool = False) -> None:
        self._price = price
        self._prices_all = prices_all

    def charge(self, entry: UsageEntry) -> Charge:
        if entry.model == "unpriced" and not self._prices_all:
            raise NotRatable("no model 'unpriced' in this catalog revision")
        cost = self._price * ((entry.usage.input or 0) + (entry.usage.output or 0))
        return Charge(cost if entry.is_billable else 0, cost // 2)


def compile_flat_rates(content: bytes) -> FlatRates:
    document = json.loads(content)
    return FlatRates(document["price"], prices_all=document.get("all", False))


async def eventually(condition: Callable[[], Awaitable[object]], *, timeout_s: float = 15.0) -> None:
    """Wait until the condition holds; fails the test after `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110  # the condition lives in another process
            await asyncio.sleep(0.02)


def usage_entry(account: str, request_id: str, **overrides: object) -> UsageEntry:
    fields: dict[str, object] = {
        "request_id": request_id,
        "account": account,
        "key_id": f"key-{account}",
        "group": "default",
        "model": "m",
        "channel": "c",
        "upstream_model": "m-1",
        "client_dialect": "openai_chat",
        "upstream_dialect": "openai_chat",
        "catalog_revision": 1,
        "started_at_us": NOON_US,
        "duration_us": 1_000,
        "ttft_us": 100,
        "status": 200,
        "is_stream": True,
        "finish_reason": "stop",
        "usage": TokenUsage(input=10, output=5),
        "is_estimated": False,
        "is_billable": True,
        "hold_nanousd": 100,
        "lease_boot": 1,
    }
    return UsageEntry(**{**fields, **overrides})  # type: ignore[arg-type]


@dataclass
class World:
    """The stores, a producer of entries, and the reference: what every account should have."""

    settings: BillingSettings
    nc: Client
    redis: Redis
    clickhouse: ClickHouse
    price: int = 7
    expected: dict[str, int] = field(default_factory=dict)
    _numbers: dict[tuple[str, int], itertools.count[int]] = field(default_factory=dict)

    async def publish(self, producer: str, partition: int, entries: list[Entry]) -> int:
        number = next(self._numbers.setdefault((producer, partition), itertools.count(1)))
        payload = encode_batch(Batch(producer, partition, number, entries))
        ack = await self.nc.jetstream().publish(keyspace.subject(partition, producer), payload)
        return ack.seq

    async def credit(self, account: str, amount: int, reference: str = "") -> None:
        reference = reference or secrets.token_hex(4)
        producer = keyspace.credit_producer(account, reference)
        entry = CreditEntry(account, amount, "topup", "paid", reference, NOON_US)
        await self.publish(producer, keyspace.partition_of(account), [entry])
        self.expected[account] = self.expected.get(account, 0) + amount

    async def grant(self, account: str, amount: int, expires_at_s: int) -> None:
        """Expired ones, too: `expires_at_s` may be long ago."""
        reference = secrets.token_hex(4)
        producer = keyspace.credit_producer(account, reference)
        entry = CreditEntry(account, amount, "grant", "grant", reference, NOON_US, expires_at_s=expires_at_s)
        await self.publish(producer, keyspace.partition_of(account), [entry])
        self.expected[account] = self.expected.get(account, 0) + amount

    async def use(self, account: str, count: int = 1, producer: str = "edge-1", **overrides: object) -> int:
        """One batch of `count` entries of 15 tokens each. Returns its stream sequence."""
        entries: list[Entry] = [usage_entry(account, secrets.token_hex(8), **overrides) for _ in range(count)]
        for entry in entries:
            assert isinstance(entry, UsageEntry)
            if entry.is_billable and entry.model != "unpriced":
                self.expected[account] = self.expected.get(account, 0) - 15 * self.price
        return await self.publish(producer, keyspace.partition_of(account), entries)

    async def balances_agree(self) -> bool:
        balances = Balances(self.redis)
        for account, amount in self.expected.items():
            try:
                found = await balances.get(account)
            except Unavailable:
                return False  # a connection from before the store was killed
            if found.balance_nanousd != amount or not found.is_live:
                return False
        return True

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        return await self.clickhouse.rows(sql)


class RunningBilling:
    """One billing process, as tasks. `kill()` is abrupt: nothing is flushed."""

    def __init__(self, world: World, partitions: range | list[int]) -> None:
        self.parts: Billing = build(
            world.settings, world.nc, world.redis, world.clickhouse, compile_flat_rates, partitions=partitions
        )
        self._tasks = [
            asyncio.create_task(self.parts.consumer.run()),
            asyncio.create_task(self.parts.rollups.run()),
        ]

    async def kill(self) -> None:
        await cancel_until_done(self._tasks)
        for task in self._tasks:
            assert task.cancelled(), task.exception()

    def metric(self, name: str, **labels: str) -> float:
        return self.parts.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def world(nats_url: str, redis_url: str, clickhouse_url: str) -> AsyncIterator[World]:
    database_url = clickhouse_url.rsplit("/", 1)[0] + f"/billing_{secrets.token_hex(4)}"
    settings = BillingSettings(
        nats_url=nats_url,
        redis_url=redis_url,
        clickhouse_url=database_url,
        rollup_interval_s=0.2,
        group_linger_s=0.02,
    )
    nc = await platform_nats.connect(nats_url, name="billing-tests")
    redis = platform_redis.connect(redis_url)
    clickhouse = ClickHouse(database_url)
    buckets = (keyspace.KV_CATALOG, keyspace.KV_BILLING)
    for stream in (keyspace.STREAM, keyspace.DEAD_LETTER_STREAM, *map(platform_nats.kv_stream, buckets)):
        with contextlib.suppress(NotFoundError):
            await nc.jetstream().delete_stream(stream)
    await redis.flushdb()
    await platform_nats.ensure_bucket(nc, keyspace.KV_CATALOG)
    world = World(settings, nc, redis, clickhouse)
    preparing = build(settings, nc, redis, clickhouse, compile_flat_rates)
    await prepare(settings, nc, clickhouse, preparing.persistence)
    await kv_put(nc, keyspace.KV_CATALOG, "rev.1", json.dumps({"price": world.price}).encode())
    yield world
    await clickhouse.command(f"DROP DATABASE `{clickhouse.database}`")
    await clickhouse.close()
    await redis.aclose()
    await nc.close()


@pytest.fixture
async def start_billing(world: World) -> AsyncIterator[Callable[..., RunningBilling]]:
    running: list[RunningBilling] = []

    def start(partitions: range | list[int] | None = None) -> RunningBilling:
        running.append(RunningBilling(world, partitions or range(keyspace.PARTITIONS)))
        return running[-1]

    yield start
    for billing in running:
        await billing.kill()
