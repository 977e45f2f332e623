"""The service as a process: settings from the environment, ready, drained on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from lumen.platform.grpc import create_channel
from protos import router_pb2, router_pb2_grpc
from tests.integration.router.catalogs import catalog_text
from tests.integration.router.conftest import NatsProcess, until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def router_process(nats_url: str, port: int, ops_port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.router",
        env=os.environ
        | {
            "LUMEN_NATS_URL": nats_url,
            "LUMEN_ROUTER_PORT": str(port),
            "LUMEN_ROUTER_OPS_PORT": str(ops_port),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


async def test_process_gets_ready_serves_and_stops_on_sigterm_with_an_edge_watching(
    nats_process: NatsProcess, ports: tuple[int, int]
) -> None:
    port, ops_port = ports

    def is_ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{ops_port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    async with router_process(nats_process.url, port, ops_port) as process:
        await until(is_ready)
        channel = create_channel(f"127.0.0.1:{port}")
        watch = router_pb2_grpc.RouterStub(channel).Watch(router_pb2.WatchRequest(worker_id="w"))
        applied = await router_pb2_grpc.RouterAdminStub(channel).Apply(router_pb2.ApplyRequest(source=catalog_text()))
        assert applied.revision == 1
        metrics = await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{ops_port}/metrics")
        assert "lumen_router_catalog_revision 1.0" in metrics.text
        assert 'lumen_router_applies_total{outcome="created"} 1.0' in metrics.text
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while await watch.read():
            pass
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert time.monotonic() - started < 5
        await channel.close(None)


async def test_port_taken_by_somebody_else_is_a_clear_error(nats_process: NatsProcess, ports: tuple[int, int]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        async with router_process(nats_process.url, *ports) as process:
            _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert f"Failed to bind to address 127.0.0.1:{ports[0]}".encode() in stderr
