"""The composition root of console: the one place that constructs. Every argument is replaceable in tests."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from lumen.platform.clickhouse import ClickHouse
from lumen.platform.lifecycle import Lifecycle
from lumen.platform.ops_server import EmbeddedServer, OpsServer
from services.console.authorization import Authorization
from services.console.backends import Backends
from services.console.explanations import Explanations
from services.console.finance.exports import Exports
from services.console.finance.liabilities import Liabilities
from services.console.finance.queries import FinanceQueries
from services.console.http_api import create_app
from services.console.metrics import ConsoleMetrics
from services.console.parts import Parts
from services.console.request_log import RequestLog
from services.console.settings import ConsoleSettings
from services.console.statements import Statements
from services.console.usage_queries import UsageQueries
from services.console.web.queries import PageQueries
from services.console.webhooks import AlertDeliveries

_STOP_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Console:
    """Everything one process runs."""

    app: ASGIApp
    backends: Backends
    clickhouse: ClickHouse
    streams: ClickHouse  # exports': a timeout of its own
    deliveries: AlertDeliveries
    registry: CollectorRegistry

    def readiness(self) -> dict[str, Callable[[], str | None]]:
        return {backend.name: backend.problem for backend in self.backends.all}

    async def close(self) -> None:
        await self.deliveries.close()
        await self.backends.close()
        await self.clickhouse.close()
        await self.streams.close()


def build(settings: ConsoleSettings, *, now_s: Callable[[], int] = lambda: int(time.time())) -> Console:
    """Must be called in the event loop that serves: gRPC channels belong to it."""
    registry = CollectorRegistry()
    metrics = ConsoleMetrics(registry)
    backends = Backends(
        settings.auth_address,
        settings.router_address,
        settings.billing_address,
        timeout_s=settings.call_timeout_s,
        reconcile_timeout_s=settings.reconcile_timeout_s,
    )
    clickhouse = ClickHouse(settings.clickhouse_url, timeout_s=settings.call_timeout_s)
    streams = ClickHouse(settings.clickhouse_url, timeout_s=settings.export_chunk_s_max)
    finance = FinanceQueries(clickhouse)
    parts = Parts(
        backends=backends,
        usage=UsageQueries(clickhouse),
        requests=RequestLog(clickhouse),
        explanations=Explanations(clickhouse),
        statements=Statements(clickhouse),
        finance=finance,
        liabilities=Liabilities(finance),
        exports=Exports(streams, metrics, at_once_max=settings.exports_at_once_max, seconds_max=settings.export_s_max),
        issuer=settings.issuer_name,
        now_s=now_s,
        pages=PageQueries(clickhouse),
        public_url=settings.public_url.rstrip("/"),
        api_url=settings.api_url.rstrip("/"),
        webhooks_allow_private=settings.webhooks_allow_private,
    )
    app = create_app(
        parts,
        metrics,
        authorization=Authorization(settings.admin_token.get_secret_value(), backends),
        body_bytes_max=settings.body_bytes_max,
        cors_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
    )
    deliveries = AlertDeliveries(
        backends,
        metrics,
        interval_s=settings.alert_interval_s,
        allows_private=settings.webhooks_allow_private,
        now_s=now_s,
    )
    return Console(app, backends, clickhouse, streams, deliveries, registry)


def listen(host: str, port: int) -> socket.socket:
    """Raises RuntimeError when somebody else has the port."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise RuntimeError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


async def serve(settings: ConsoleSettings, lifecycle: Lifecycle) -> None:
    """Run until the lifecycle stops; requests in flight get a few seconds to end."""
    listener = listen(settings.host, settings.port)
    console = build(settings)
    ops = OpsServer(console.registry, console.readiness(), settings.ops_host, settings.ops_port)
    await ops.start()
    server = EmbeddedServer(
        uvicorn.Config(
            console.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=_STOP_GRACE_S,
        )
    )
    try:
        for backend in console.backends.all:
            lifecycle.spawn(backend.keep_connected(), name=f"console-{backend.name}")
        lifecycle.spawn(console.deliveries.run(), name="console-alerts")
        serving = lifecycle.spawn(server.serve(sockets=[listener]), name="console-http")
        await lifecycle.stopping.wait()
        server.should_exit = True
        await serving
    finally:
        await lifecycle.cancel_tasks()
        await ops.stop()
        await console.close()
