"""A real nats-server per test session, and router replicas on free ports."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
from nats.aio.client import Client

from lumen.platform import nats as platform_nats
from lumen.platform.grpc import bind, create_channel
from lumen.platform.lifecycle import Lifecycle
from protos import router_pb2_grpc
from services.router.bootstrap import Router, build
from services.router.settings import RouterSettings


class NatsProcess:
    """A nats-server that can be killed and started again on its port and data."""

    def __init__(self, data: Path) -> None:
        self._data = data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        found = Path(sys.executable).with_name("nats-server")
        binary = str(found) if found.exists() else shutil.which("nats-server")
        assert binary is not None
        self._process = subprocess.Popen(
            [binary, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


async def until(is_reached: Callable[[], bool], *, within_s: float = 20) -> None:
    """Poll a condition that another process or the broker brings about."""
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(is_reached):  # noqa: ASYNC110  # nothing here can signal it
            await asyncio.sleep(0.02)


@pytest.fixture
def nats_process(tmp_path: Path) -> Iterator[NatsProcess]:
    process = NatsProcess(tmp_path / "nats")
    process.start()
    yield process
    process.kill()


@dataclass(frozen=True)
class Replica:
    """One router with its clients."""

    router: Router
    edge: router_pb2_grpc.RouterAsyncStub
    admin: router_pb2_grpc.RouterAdminAsyncStub
    nc: Client


StartReplica = Callable[[], Awaitable[Replica]]


@asynccontextmanager
async def _replica(nats_url: str) -> AsyncIterator[Replica]:
    settings = RouterSettings(nats_url=nats_url, port=0, heartbeat_s=0.2)
    nc = await platform_nats.connect(nats_url, name="test-router")
    router = build(settings, nc)
    port = bind(router.server, settings.host, settings.port)
    lifecycle = Lifecycle()
    lifecycle.spawn(router.store.run(), name="store")
    await router.verdicts.start()
    await router.server.start()
    channel: grpc.aio.Channel = create_channel(f"127.0.0.1:{port}")
    await asyncio.wait_for(router.store.ready.wait(), 10)
    edge = router_pb2_grpc.RouterStub(channel)
    admin = router_pb2_grpc.RouterAdminStub(channel)
    try:
        yield Replica(router, edge, admin, nc)
    finally:
        router.api.stop()
        await channel.close(None)
        await router.server.stop(1)
        await lifecycle.cancel_tasks()
        await nc.close()
        assert lifecycle.failure is None


@pytest.fixture
async def start_replica(nats_process: NatsProcess) -> AsyncIterator[StartReplica]:
    async with AsyncExitStack() as stack:

        async def start() -> Replica:
            return await stack.enter_async_context(_replica(nats_process.url))

        yield start


@pytest.fixture
async def replica(start_replica: StartReplica) -> Replica:
    return await start_replica()
