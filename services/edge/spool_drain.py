"""`python -m services.edge.spool_drain`: publishes what an edge that is gone had spooled, then exits.

For a state directory that was left behind by a scale-in, with those of the workers below it. It is the edge's own
outbox without clients, leases or providers; the directory's lock keeps it off one that is in use.
Exit code 0: everything is in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry
from pydantic import Field

from lumen.platform import nats as platform_nats
from lumen.platform.lifecycle import Lifecycle, run
from lumen.platform.logging import configure_logging
from lumen.platform.settings import ServiceSettings, service_config, shared
from services.edge.metering import ledger_client
from services.edge.metering.identity import WorkerIdentity
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.outbox import Outbox
from services.edge.worker_directories import left_behind

logger = logging.getLogger(__name__)

_PREFIX = "LUMEN_EDGE_"


class SpoolDrainSettings(ServiceSettings):
    model_config = service_config(_PREFIX)

    state_dir: Path
    nats_url: str = shared(_PREFIX, "nats_url")
    spool_drain_s_max: float = Field(default=3000.0, description="for the ledger to take everything")


async def drain(settings: SpoolDrainSettings, lifecycle: Lifecycle) -> None:
    """Raises StateDirInUse, FileNotFoundError (no state directory), TimeoutError."""
    if not (settings.state_dir / "worker_id").exists():
        raise FileNotFoundError(f"{settings.state_dir} is no edge's state directory")
    identity = WorkerIdentity.acquire(settings.state_dir)
    nc = await ledger_client.connect(settings.nats_url, name=identity.worker_id)
    outbox = Outbox(nc, identity.worker_id, settings.state_dir, MeteringMetrics(CollectorRegistry()))
    lifecycle.spawn(outbox.run(), name="outbox")
    recovered = asyncio.ensure_future(outbox.recovered.wait())
    stopping = asyncio.ensure_future(lifecycle.stopping.wait())
    try:
        async with asyncio.timeout(settings.spool_drain_s_max):
            await asyncio.wait({recovered, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not recovered.done():
            raise TimeoutError("stopped before everything was in the ledger; run it again")
        await outbox.close()
        logger.info("the spool is in the ledger", extra={"worker": identity.worker_id})
    finally:
        recovered.cancel()
        stopping.cancel()
        await lifecycle.cancel_tasks()
        await platform_nats.close(nc)
        identity.close()


def main() -> int:
    settings = SpoolDrainSettings()
    configure_logging("edge-spool-drain", settings.log_level)

    async def work(lifecycle: Lifecycle) -> None:
        for directory in [settings.state_dir, *left_behind(settings.state_dir, 1)]:
            await drain(settings.model_copy(update={"state_dir": directory}), lifecycle)

    return run(work)


if __name__ == "__main__":
    sys.exit(main())
