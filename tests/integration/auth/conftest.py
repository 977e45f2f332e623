"""auth on real engines: replicas on free ports, with short intervals and a clock for what takes minutes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import pytest
from redis.asyncio import Redis

from lumen.ledger import keyspace
from lumen.platform import nats as platform_nats
from lumen.platform.grpc import bind, create_channel
from lumen.platform.lifecycle import Lifecycle
from protos import auth_pb2, auth_pb2_grpc
from services.auth.bootstrap import Auth, build, connect_redis
from services.auth.settings import AuthSettings
from tests.fixtures.engines import RedisServer

WITHIN_S = 20.0


@dataclass
class Clock:
    """Monotonic seconds that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Replica:
    """One auth with its clients."""

    auth: Auth
    edge: auth_pb2_grpc.AuthAsyncStub
    admin: auth_pb2_grpc.AuthAdminAsyncStub
    redis: Redis
    clock: Clock
    address: str
    channel: grpc.aio.Channel


StartReplica = Callable[..., Awaitable[Replica]]


async def until(is_reached: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Poll a condition that another process or task brings about."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            reached: Any = is_reached()
            if await reached if asyncio.iscoroutine(reached) else reached:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_replica(nats_url: str, redis_url: str, **options: Any) -> AsyncIterator[Replica]:
    settings = AuthSettings(
        nats_url=nats_url,
        redis_url=redis_url,
        port=0,
        **{
            "heartbeat_s": 0.2,
            "redis_check_interval_s": 0.05,
            "lease_scan_interval_s": 10_000,
            "retire_interval_s": 0.05,
        }
        | options,
    )
    clock = Clock()
    nc = await platform_nats.connect(nats_url, name="test-auth")
    redis = connect_redis(redis_url)
    auth = build(settings, nc, redis, clock=clock)
    port = bind(auth.server, settings.host, settings.port)
    lifecycle = Lifecycle()
    await auth.start(lifecycle)
    await auth.server.start()
    channel = create_channel(f"127.0.0.1:{port}")
    await asyncio.wait_for(auth.directory.wait_ready(), WITHIN_S)
    try:
        yield Replica(
            auth,
            auth_pb2_grpc.AuthStub(channel),
            auth_pb2_grpc.AuthAdminStub(channel),
            redis,
            clock,
            f"127.0.0.1:{port}",
            channel,
        )
    finally:
        auth.api.stop()
        await channel.close(None)
        await auth.server.stop(1)
        await lifecycle.cancel_tasks()
        await redis.aclose()
        await nc.close()
        assert lifecycle.failure is None


@pytest.fixture
def fresh_redis(new_redis: Callable[..., RedisServer]) -> RedisServer:
    return new_redis()


@pytest.fixture
async def start_replica(nats_url: str, fresh_redis: RedisServer) -> AsyncIterator[StartReplica]:
    """`start_replica(nats_url=..., **settings)`; ready to grant when it returns."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Replica:
            urls = {"nats_url": nats_url, "redis_url": fresh_redis.url} | options
            return await stack.enter_async_context(running_replica(**urls))

        yield start


@pytest.fixture
async def replica(start_replica: StartReplica) -> Replica:
    started = await start_replica()
    await until(lambda: bool(started.auth.guard.vetted_run_id))
    return started


@dataclass
class Worker:
    """A worker's side of its leases: it asserts its own books and learns the larger totals."""

    replica: Replica
    account: str
    lease: str
    key_id: str = ""
    limit: int = 0
    granted: int = 0
    released: int = 0
    in_use: int = 0
    key_granted: int = 0
    key_in_use: int = 0
    lost: list[auth_pb2.GrantResponse] = field(default_factory=list)

    def totals(self) -> list[auth_pb2.LeaseTotals]:
        found = [
            auth_pb2.LeaseTotals(
                account_id=self.account,
                granted_nanousd=self.granted,
                released_nanousd=self.released,
                in_use_nanousd=self.in_use,
            )
        ]
        if self.key_id:
            found.append(
                auth_pb2.LeaseTotals(
                    account_id=self.account,
                    key_id=self.key_id,
                    granted_nanousd=self.key_granted,
                    in_use_nanousd=self.key_in_use,
                )
            )
        return found

    async def grant(
        self, hold: int, want: int = 0, *, least: int = 0, is_answer_lost: bool = False
    ) -> auth_pb2.GrantResponse:
        totals = self.totals()
        request = auth_pb2.GrantRequest(
            lease_id=self.lease,
            account=totals[0],
            hold_nanousd=hold,
            want_nanousd=want or hold,
            hold_min_nanousd=least,
        )
        if self.key_id:
            request.key.CopyFrom(totals[1])
            request.key_spend_limit_nanousd = self.limit
        response = await self.replica.edge.Grant(request, timeout=5)
        if not is_answer_lost:
            self.granted = max(self.granted, response.account_granted_nanousd)
            self.key_granted = max(self.key_granted, response.key_granted_nanousd)
        return response

    async def renew(self) -> auth_pb2.RenewResponse:
        response = await self.replica.edge.Renew(
            auth_pb2.RenewRequest(lease_id=self.lease, totals=self.totals()), timeout=5
        )
        self.granted = max(self.granted, response.totals[0].granted_nanousd)
        self.released = max(self.released, response.totals[0].released_nanousd)
        return response


@dataclass
class Account:
    """An account in Redis, as billing would keep it."""

    redis: Redis
    id: str = field(default_factory=lambda: f"acct_{secrets.token_hex(6)}")

    @property
    def partition(self) -> int:
        return keyspace.partition_of(self.id)

    @property
    def redis_key(self) -> str:
        return keyspace.account_key(self.partition, self.id)

    async def credit(self, amount: int) -> None:
        await self.redis.hincrby(self.redis_key, "balance", amount)
        await self.redis.set(keyspace.live_key(self.partition), "1")

    async def reserved(self) -> int:
        fields: dict[Any, Any] = await self.redis.hgetall(self.redis_key)
        leases = {name[2:] for name in fields if name[:2] in (b"g:", b"r:", b"p:")}
        return sum(
            max(0, int(fields.get(b"g:" + at, 0)) - int(fields.get(b"r:" + at, 0)) - int(fields.get(b"p:" + at, 0)))
            for at in leases
        )

    async def balance(self) -> int:
        return int(await self.redis.hget(self.redis_key, "balance") or 0)


@pytest.fixture
async def account(replica: Replica) -> Account:
    found = Account(replica.redis)
    await found.credit(1_000_000)
    return found
