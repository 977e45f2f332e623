"""A worker process to be killed: submits entries for ever, and notes in a file each one it was told is safe.

python -m tests.integration.edge_metering.worker <nats url> <state dir> <file of safe ids>
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.edge.metering import ledger_client
from services.edge.metering.identity import WorkerIdentity
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.outbox import Outbox
from tests.integration.edge_metering.conftest import eventually, usage_entry


async def main(url: str, state_dir: Path, safe_file: Path) -> None:
    identity = WorkerIdentity.acquire(state_dir)
    nc = await ledger_client.connect(url, name="worker")
    outbox = Outbox(nc, identity.worker_id, state_dir, MeteringMetrics(CollectorRegistry()))
    running = asyncio.create_task(outbox.run())
    await eventually(lambda: outbox.problem() is None)
    safe = os.open(safe_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def client(name: int) -> None:
        number = 0
        while True:
            entry = usage_entry(f"acc-{number % 11}", f"{identity.boot}-{name}-{number}")
            await outbox.submit(entry)
            os.write(safe, f"{entry.request_id}\n".encode())
            number += 1

    async with asyncio.TaskGroup() as group:
        for name in range(8):
            group.create_task(client(name))
    await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
