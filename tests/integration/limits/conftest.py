"""A real auth over real engines, and edges' limits that ask it over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from lumen.catalog.document import Group, GroupLimits
from lumen.platform.grpc import create_channel
from protos.auth_pb2_grpc import AuthStub
from services.edge.key_cache import ApiKey, KeyLimits
from services.edge.limits.client import LimitClient
from services.edge.limits.limiter import Gate, Limiter, Ticket
from services.edge.limits.metrics import LimitMetrics
from tests.fixtures.engines import RedisServer
from tests.integration.auth.conftest import Replica, running_replica, until


@dataclass
class EdgeLimits:
    """The limits of one edge process."""

    client: LimitClient
    limiter: Limiter
    registry: CollectorRegistry

    def gate(self, key: ApiKey, group: Group) -> Gate:
        found = self.limiter.gate(key, group)
        assert found is not None
        return found

    async def admit(self, key: ApiKey, group: Group, tokens: int = 0) -> Ticket:
        return await self.limiter.admit(self.gate(key, group), tokens)

    def calls(self, result: str = "answered") -> float:
        return self.registry.get_sample_value("lumen_edge_limit_calls_total", {"result": result}) or 0.0


def api_key(key_id: str, *, of_account: KeyLimits | None = None, **limits: int) -> ApiKey:
    names = ("requests_per_minute", "tokens_per_minute", "concurrency", "spend_day_nanousd", "spend_month_nanousd")
    own = KeyLimits(*(limits.get(name, 0) for name in names)) if limits else None
    return ApiKey(key_id, f"acct-{key_id}", "g", False, False, 0, frozenset(), (), 0, own, of_account)


def group(**limits: int) -> Group:
    return Group(name="g", limits=GroupLimits(**limits) if limits else None)


@pytest.fixture
def own_redis(new_redis: Callable[..., RedisServer]) -> RedisServer:
    return new_redis()


@pytest.fixture
async def auth(nats_url: str, own_redis: RedisServer) -> AsyncIterator[Replica]:
    async with running_replica(nats_url, own_redis.url) as replica:
        await until(lambda: bool(replica.auth.guard.vetted_run_id))
        yield replica


@asynccontextmanager
async def edge_limits(address: str, number: int, *, is_leased: bool = True) -> AsyncIterator[EdgeLimits]:
    registry = CollectorRegistry()
    metrics = LimitMetrics(registry)
    channel = create_channel(address)
    client = LimitClient(AuthStub(channel), f"w{number}.1", metrics, is_leased=is_leased)
    running = asyncio.create_task(client.run())
    try:
        yield EdgeLimits(client, Limiter(client, metrics, gates_max=100), registry)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await channel.close(None)
