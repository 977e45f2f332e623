"""The metering on a real nats-server: a ledger stream, outboxes in this process, and what the ledger holds of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamConfig
from prometheus_client import CollectorRegistry

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, UsageEntry, decode_batch
from lumen.money.usage import TokenUsage
from lumen.platform import nats as platform_nats
from lumen.platform.lifecycle import cancel_until_done
from lumen.platform.ordered_reader import OrderedReader
from services.edge.metering import ledger_client
from services.edge.metering.ledger_client import LedgerClient
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.outbox import Outbox
from tests.fixtures.engines import NatsServer

WORKER = "edge-test"
_ids = itertools.count()


def usage_entry(account: str, request_id: str = "") -> UsageEntry:
    return UsageEntry(
        request_id=request_id or f"r{next(_ids)}",
        account=account,
        key_id=f"key-{account}",
        group="default",
        model="m",
        channel="c",
        upstream_model="m-1",
        client_dialect="openai_chat",
        upstream_dialect="openai_chat",
        catalog_revision=1,
        started_at_us=1_793_534_400_000_000,
        duration_us=1_000,
        ttft_us=100,
        status=200,
        is_stream=True,
        finish_reason="stop",
        usage=TokenUsage(input=10, output=5),
        is_estimated=False,
        is_billable=True,
        hold_nanousd=100,
        lease_boot=1,
    )


async def eventually(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """Wait until the condition holds; fails the test after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        await asyncio.sleep(0.01)


async def create_ledger(nc: Client, **overrides: object) -> None:
    config = StreamConfig(
        name=keyspace.STREAM, subjects=[keyspace.STREAM_SUBJECTS], discard=DiscardPolicy.NEW, allow_direct=True
    )
    await nc.jetstream().add_stream(config.evolve(**overrides))


async def ledger_batches(url: str) -> list[Batch]:
    """All of the ledger, in stream order."""
    nc = await platform_nats.connect(url, name="ledger-reader")
    reader = OrderedReader(nc, keyspace.STREAM, [keyspace.STREAM_SUBJECTS], start_sequence=1)
    try:
        total = (await nc.jetstream().stream_info(keyspace.STREAM)).state.messages
        await reader.start()
        batches: list[Batch] = []
        while len(batches) < total:
            batches += [decode_batch(message.data) for message in await reader.read(timeout_s=10)]
        return batches
    finally:
        await reader.stop()
        await nc.close()


def request_ids(batches: list[Batch]) -> list[str]:
    """Also checks what billing requires: numbers 1, 2, 3 ... per (producer, partition), each once, in order."""
    numbers: dict[tuple[str, int], int] = defaultdict(int)
    found = []
    for batch in batches:
        numbers[batch.producer, batch.partition] += 1
        assert batch.number == numbers[batch.producer, batch.partition], (batch.partition, batch.number)
        for entry in batch.entries:
            assert isinstance(entry, UsageEntry)
            found.append(entry.request_id)
    return found


class RunningOutbox:
    """One outbox as a process would run it. `kill()` is abrupt."""

    def __init__(self, nc: LedgerClient, state_dir: Path, **options: object) -> None:
        self.registry = CollectorRegistry()
        state_dir.mkdir(parents=True, exist_ok=True)
        self.outbox = Outbox(nc, WORKER, state_dir, MeteringMetrics(self.registry), **options)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.outbox.run())

    async def kill(self) -> None:
        await cancel_until_done([self.task])

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"lumen_edge_{name}", labels) or 0.0


Start = Callable[..., Awaitable[RunningOutbox]]


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], Awaitable[LedgerClient]]]:
    clients: list[LedgerClient] = []

    async def open_client(url: str) -> LedgerClient:
        clients.append(await ledger_client.connect(url, name="metering-tests"))
        return clients[-1]

    yield open_client
    for client in clients:
        await client.close()


@pytest.fixture
async def start_outbox(tmp_path: Path, connect: Callable[[str], Awaitable[LedgerClient]]) -> AsyncIterator[Start]:
    """`await start_outbox(url, **options)`: running and ready (unless `is_ready=False`)."""
    running: list[RunningOutbox] = []

    async def start(url: str, *, is_ready: bool = True, **options: object) -> RunningOutbox:
        running.append(RunningOutbox(await connect(url), tmp_path / "state", **options))
        if is_ready:
            await eventually(lambda: running[-1].outbox.problem() is None or running[-1].task.done())
            assert not running[-1].task.done(), running[-1].task.exception()
        return running[-1]

    yield start
    for outbox in running:
        await outbox.kill()


@pytest.fixture(params=[False, True], ids=["unsynced", "synced"])
async def ledger(
    request: pytest.FixtureRequest,
    new_nats: Callable[..., NatsServer],
    connect: Callable[[str], Awaitable[LedgerClient]],
) -> NatsServer:
    """A nats-server of one's own, with an empty ledger."""
    server = new_nats(is_synced=request.param)
    await create_ledger(await connect(server.url))
    return server
