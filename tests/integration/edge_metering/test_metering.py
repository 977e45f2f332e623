"""The whole of it as the relay uses it: hold, record, drain; and the leases of earlier boots retired."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from lumen.platform.grpc import bind, create_channel, create_server
from lumen.platform.lifecycle import Lifecycle
from protos import auth_pb2_grpc
from services.edge.metering.identity import WorkerIdentity
from services.edge.metering.lease_client import LeaseClient
from services.edge.metering.ledger_client import LedgerClient
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.outbox import Outbox
from services.edge.metering.recorder import Metering
from tests.fixtures.engines import NatsServer
from tests.integration.edge_metering.conftest import eventually, ledger_batches, request_ids, usage_entry
from tests.integration.edge_metering.fake_auth import FakeAuth
from tests.integration.edge_metering.test_leases import Key


async def test_from_hold_to_drain(
    ledger: NatsServer, tmp_path: Path, connect: Callable[[str], Awaitable[LedgerClient]]
) -> None:
    auth = FakeAuth()
    auth.available["acc"] = 1_000_000
    server = create_server({})
    auth_pb2_grpc.add_AuthServicer_to_server(auth, server)
    port = bind(server, "127.0.0.1", 0)
    await server.start()
    channel = create_channel(f"127.0.0.1:{port}")
    identity = WorkerIdentity.acquire(tmp_path)
    metrics = MeteringMetrics(CollectorRegistry())
    metering = Metering(
        identity,
        Outbox(await connect(ledger.url), identity.worker_id, tmp_path, metrics),
        LeaseClient(auth_pb2_grpc.AuthStub(channel), identity.lease_id, metrics),
    )
    lifecycle = Lifecycle()
    assert metering.problem() is not None, "the ledger has not said yet where to continue"
    await metering.start(lifecycle)
    await eventually(lambda: metering.problem() is None)
    await eventually(lambda: auth.retired == [(identity.worker_id, 1)])

    hold = await metering.hold(Key(), 100)
    recorded = metering.record(usage_entry("acc", "answered"), hold, 60)
    assert not hold.is_open
    await recorded
    metering.record(usage_entry("acc", "a failed attempt's row"), None)
    waiter = asyncio.create_task(
        _wait(metering.record(usage_entry("acc", "cancelled"), await metering.hold(Key(), 9), 9))
    )
    await asyncio.sleep(0)
    waiter.cancel()
    metering.cancel(await metering.hold(Key(), 100))

    await metering.close()
    await lifecycle.cancel_tasks()
    assert lifecycle.failure is None
    assert request_ids(await ledger_batches(ledger.url)) == ["answered", "a failed attempt's row", "cancelled"]
    assert auth.available["acc"] == 1_000_000 - 69
    await channel.close(None)
    await server.stop(None)
    identity.close()


async def _wait(recorded: asyncio.Future[None]) -> None:
    await recorded
