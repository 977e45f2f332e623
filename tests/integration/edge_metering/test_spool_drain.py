"""The job that publishes what a removed edge had spooled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lumen.platform.lifecycle import Lifecycle, cancel_until_done
from services.edge.metering.identity import StateDirInUse, WorkerIdentity
from services.edge.metering.ledger_client import LedgerClient
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.outbox import Outbox
from services.edge.spool_drain import SpoolDrainSettings, drain
from tests.fixtures.engines import NatsServer
from tests.integration.edge_metering.conftest import eventually, ledger_batches, request_ids, usage_entry


def _settings(ledger: NatsServer, state: Path) -> SpoolDrainSettings:
    return SpoolDrainSettings(state_dir=state, nats_url=ledger.url, spool_drain_s_max=20)


async def test_an_orphaned_spool_is_published_once_and_running_it_again_publishes_nothing(
    ledger: NatsServer, tmp_path: Path, connect: Callable[[str], Awaitable[LedgerClient]]
) -> None:
    state = tmp_path / "state"
    identity = WorkerIdentity.acquire(state)
    nc = await connect(ledger.url)
    outbox = Outbox(nc, identity.worker_id, state, MeteringMetrics(CollectorRegistry()))
    running = asyncio.create_task(outbox.run())
    await eventually(lambda: outbox.problem() is None)
    await asyncio.to_thread(ledger.kill)
    await asyncio.gather(*(outbox.submit(usage_entry(f"acc-{n}", f"spooled-{n}")) for n in range(40)))
    await cancel_until_done([running])
    await nc.close()
    identity.close()
    await asyncio.to_thread(ledger.start)

    for _ in range(2):
        await drain(_settings(ledger, state), Lifecycle())

    found = request_ids(await ledger_batches(ledger.url))
    assert sorted(found) == sorted(f"spooled-{n}" for n in range(40))


async def test_a_state_directory_in_use_is_left_alone(ledger: NatsServer, tmp_path: Path) -> None:
    identity = WorkerIdentity.acquire(tmp_path)
    with pytest.raises(StateDirInUse):
        await drain(_settings(ledger, tmp_path), Lifecycle())
    identity.close()


async def test_a_directory_that_is_no_edges_is_refused(ledger: NatsServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no edge's state directory"):
        await drain(_settings(ledger, tmp_path), Lifecycle())
