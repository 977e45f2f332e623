"""The service as a process: settings from the environment, ready, drained on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any

import httpx

from lumen.platform.grpc import create_channel
from protos import auth_pb2, auth_pb2_grpc
from tests.fixtures.engines import RedisServer, free_port
from tests.integration.auth.conftest import until


async def test_process_gets_ready_serves_and_stops_on_sigterm_with_an_edge_watching(
    nats_url: str, fresh_redis: RedisServer
) -> None:
    port, ops_port = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.auth",
        env=os.environ
        | {
            "LUMEN_NATS_URL": nats_url,
            "LUMEN_REDIS_URL": fresh_redis.url,
            "LUMEN_AUTH_PORT": str(port),
            "LUMEN_AUTH_OPS_PORT": str(ops_port),
        },
        stderr=asyncio.subprocess.PIPE,
    )

    async def is_ready() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://127.0.0.1:{ops_port}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        await until(is_ready)
        channel = create_channel(f"127.0.0.1:{port}")
        watch: Any = auth_pb2_grpc.AuthStub(channel).Watch(auth_pb2.WatchRequest(lease_id="w1.1"))
        assert (await watch.read()).WhichOneof("event") == "heartbeat"
        await auth_pb2_grpc.AuthAdminStub(channel).ListAccounts(auth_pb2.ListAccountsRequest())
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while await watch.read():
            pass
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert time.monotonic() - started < 5
        await channel.close(None)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
