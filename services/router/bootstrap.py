"""The composition root of router: the one place that constructs. Every argument is replaceable in tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio
from nats.aio.client import Client
from prometheus_client import CollectorRegistry

from lumen.platform import nats as platform_nats
from lumen.platform.grpc import bind, create_server
from lumen.platform.lifecycle import Lifecycle
from lumen.platform.ops_server import OpsServer
from lumen.platform.tracing import start_tracing
from protos import router_pb2_grpc
from services.router.catalog_store import CatalogStore
from services.router.channel_reports import ChannelReports
from services.router.errors import GRPC_CODES
from services.router.explanations import Explanations
from services.router.grpc_api import RouterAdmin, RouterApi
from services.router.metrics import RouterMetrics
from services.router.settings import RouterSettings
from services.router.verdicts import Verdicts

if TYPE_CHECKING:
    from lumen.platform.tracing.otel import Tracing

_STOP_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Router:
    """Everything one process runs."""

    store: CatalogStore
    verdicts: Verdicts
    api: RouterApi
    admin: RouterAdmin
    server: grpc.aio.Server
    registry: CollectorRegistry


def build(settings: RouterSettings, nc: Client, tracing: Tracing | None = None) -> Router:
    registry = CollectorRegistry()
    metrics = RouterMetrics(registry)
    store = CatalogStore(nc, metrics, kv_replicas=settings.kv_replicas)
    metrics.view_age.set_function(store.age_s)
    reports = ChannelReports(expiry_s=settings.report_expiry_s)
    verdicts = Verdicts(nc, metrics)
    explanations = Explanations()
    api = RouterApi(store, reports, verdicts, explanations, metrics, heartbeat_s=settings.heartbeat_s)
    admin = RouterAdmin(store, reports, verdicts, explanations, metrics)
    if tracing is not None:
        tracing.register(registry)
    server = create_server(GRPC_CODES, [tracing.interceptor()] if tracing is not None else [])
    router_pb2_grpc.add_RouterServicer_to_server(api, server)
    router_pb2_grpc.add_RouterAdminServicer_to_server(admin, server)
    return Router(store, verdicts, api, admin, server, registry)


async def serve(settings: RouterSettings, lifecycle: Lifecycle) -> None:
    """Run until the lifecycle stops; then watch streams end before the port closes."""
    nc = await platform_nats.connect(
        settings.nats_url, name="lumen-router", connect_timeout_s=settings.start_wait_s_max
    )
    tracing = start_tracing("router", settings)
    router = build(settings, nc, tracing)
    bind(router.server, settings.host, settings.port)
    ops = OpsServer(router.registry, {"catalog": router.store.problem}, settings.ops_host, settings.ops_port)
    await ops.start()
    try:
        lifecycle.spawn(router.store.run(), name="router-catalog")
        await router.verdicts.start()
        await router.server.start()
        await lifecycle.stopping.wait()
        router.api.stop()
        await router.server.stop(_STOP_GRACE_S)
    finally:
        await ops.stop()
        await lifecycle.cancel_tasks()
        await platform_nats.close(nc)
        if tracing is not None:
            tracing.close()
