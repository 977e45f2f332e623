"""`python -m services.billing` as an operator sees it: ready, killed with -9 in mid-load, started again, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from lumen.catalog.parse import catalog_to_json, parse_catalog
from lumen.catalog.revisions import encode_revision
from lumen.ledger import keyspace
from lumen.platform.kv_view import kv_put
from tests.integration.billing.conftest import World, eventually
from tests.unit.billing.test_rating import CATALOG

PRICE = (10 * 5_000 + 5 * 25_000) * 35 // 100  # of one entry of World.use


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Process:
    def __init__(self, world: World) -> None:
        self.ops_url = f"http://127.0.0.1:{(ops_port := free_port())}"
        self._environment = {
            **os.environ,
            "LUMEN_NATS_URL": world.settings.nats_url,
            "LUMEN_REDIS_URL": world.settings.redis_url,
            "LUMEN_CLICKHOUSE_URL": world.settings.clickhouse_url,
            "LUMEN_BILLING_PORT": str(free_port()),
            "LUMEN_BILLING_OPS_PORT": str(ops_port),
        }
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.running = subprocess.Popen(
            [sys.executable, "-m", "services.billing"], env=self._environment, stderr=subprocess.DEVNULL
        )

    def end(self, number: signal.Signals) -> int:
        assert self.running is not None
        self.running.send_signal(number)
        return self.running.wait(timeout=20)

    def kill(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.kill()
            self.running.wait()

    async def is_ready(self) -> bool:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{self.ops_url}/readyz", timeout=2)).status_code == 200
            except httpx.TransportError:
                return False


@pytest.fixture
def process(world: World) -> Iterator[Process]:
    process = Process(world)
    yield process
    process.kill()


async def test_killed_in_mid_load_and_started_again(world: World, process: Process) -> None:
    catalog = encode_revision(catalog_to_json(parse_catalog(CATALOG, "test")), created_at_s=1, note="")
    await kv_put(world.nc, keyspace.KV_CATALOG, "rev.2", catalog)
    process.start()
    await eventually(process.is_ready)
    accounts = [f"acc-{number}" for number in range(10)]
    for account in accounts:
        await world.credit(account, 10**12)

    is_enough = asyncio.Event()

    async def load() -> int:
        rounds = 0
        while not is_enough.is_set():
            for account in accounts:
                await world.use(account, count=5, catalog_revision=2)
            rounds += 1
        return rounds

    async def some_posted() -> bool:
        return await world.rows("SELECT count() > 0 FROM usage") == [(True,)]

    loading = asyncio.create_task(load())
    await eventually(some_posted)
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    process.start()
    await eventually(process.is_ready)
    is_enough.set()
    entries = await loading * 5
    world.expected = dict.fromkeys(accounts, 10**12 - entries * PRICE)
    await eventually(world.balances_agree, timeout_s=30)
    total = entries * len(accounts)
    assert await world.rows("SELECT count(), uniqExact(request_id) FROM usage FINAL") == [(total, total)]
    assert process.end(signal.SIGTERM) == 0
