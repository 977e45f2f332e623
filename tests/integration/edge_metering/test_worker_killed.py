"""kill -9 of a worker in full flight: what it called safe is in the ledger once, after its next start."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lumen.platform.children import die_with_parent
from lumen.platform.lifecycle import cancel_until_done
from services.edge.metering.identity import WorkerIdentity
from services.edge.metering.ledger_client import LedgerClient
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.outbox import Outbox
from tests.fixtures.engines import NatsServer
from tests.integration.edge_metering.conftest import eventually, ledger_batches, request_ids

StartWorker = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def safe_file(tmp_path: Path) -> Path:
    path = tmp_path / "safe"
    path.touch()
    return path


@pytest.fixture
def start_worker(tmp_path: Path, safe_file: Path) -> Iterator[StartWorker]:
    workers: list[subprocess.Popen[bytes]] = []

    def start(url: str) -> subprocess.Popen[bytes]:
        argv = [
            sys.executable,
            "-m",
            "tests.integration.edge_metering.worker",
            url,
            str(tmp_path / "state"),
            str(safe_file),
        ]
        workers.append(subprocess.Popen(argv, preexec_fn=die_with_parent()))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait(10)


@pytest.mark.parametrize("is_nats_away", [False, True], ids=["nats up", "nats away"])
async def test_everything_called_safe_is_in_the_ledger_once(
    ledger: NatsServer,
    start_worker: StartWorker,
    safe_file: Path,
    tmp_path: Path,
    connect: Callable[[str], Awaitable[LedgerClient]],
    is_nats_away: bool,
) -> None:
    def safe() -> list[str]:
        return [line for line in safe_file.read_text().split("\n")[:-1] if line]

    for _ in range(3):
        before = len(safe())
        worker = await asyncio.to_thread(start_worker, ledger.url)
        await eventually(lambda before=before: len(safe()) > before + 300)  # type: ignore[misc]
        if is_nats_away:
            await asyncio.to_thread(ledger.kill)
            away = len(safe())
            await eventually(lambda away=away: len(safe()) > away + 50)  # type: ignore[misc]
        worker.kill()
        await asyncio.to_thread(worker.wait, 10)
        if is_nats_away:
            await asyncio.to_thread(ledger.start)

    identity = WorkerIdentity.acquire(tmp_path / "state")
    outbox = Outbox(
        await connect(ledger.url), identity.worker_id, tmp_path / "state", MeteringMetrics(CollectorRegistry())
    )
    running = asyncio.create_task(outbox.run())
    await asyncio.wait_for(outbox.recovered.wait(), 20)
    await cancel_until_done([running])
    identity.close()
    found = request_ids(await ledger_batches(ledger.url))
    assert len(found) == len(set(found))
    assert set(safe()) <= set(found)
