"""The composition root of the edge: the one place that constructs. Every argument is replaceable in tests."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import CollectorRegistry

from lumen.platform import nats as platform_nats
from lumen.platform.addresses import AddressPolicy
from lumen.platform.collector import spare_collector
from lumen.platform.grpc import create_channel
from lumen.platform.lifecycle import Lifecycle
from lumen.platform.ops_server import EmbeddedServer, OpsServer
from lumen.platform.tracing import start_tracing
from protos.auth_pb2_grpc import AuthStub
from protos.billing_pb2_grpc import AccountQueriesStub
from protos.router_pb2_grpc import RouterStub
from services.edge.account_api import AccountApi
from services.edge.admission import Admission
from services.edge.attempts import Attempts
from services.edge.bad_keys import BadKeys
from services.edge.client_address import ClientAddresses
from services.edge.cors import Cors
from services.edge.count_tokens import CountTokens
from services.edge.departures import Departures
from services.edge.http_api import EdgeApp, create_rest
from services.edge.http_protocol import limited
from services.edge.keepalive import Keepalives
from services.edge.key_cache import KeyCache
from services.edge.limits.channels import ChannelLimits
from services.edge.limits.client import LimitClient
from services.edge.limits.limiter import Limiter
from services.edge.limits.metrics import LimitMetrics
from services.edge.listening import listen
from services.edge.metering import ledger_client
from services.edge.metering.identity import WorkerIdentity
from services.edge.metering.lease_client import LeaseClient
from services.edge.metering.ledger_client import LedgerClient
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.outbox import Outbox
from services.edge.metering.recorder import Metering
from services.edge.metrics import EdgeMetrics
from services.edge.model_endpoint import ModelEndpoint
from services.edge.provider_workers.metrics import WorkerMetrics
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.recording import Recording
from services.edge.request_guard import RequestGuard
from services.edge.route_tables import RouteTables
from services.edge.routing.circuit import BreakerPolicy
from services.edge.routing.explain import Explainer
from services.edge.routing.fallbacks import Fallbacks
from services.edge.routing.health import Health
from services.edge.routing.metrics import RoutingMetrics
from services.edge.routing.probing import Prober
from services.edge.routing.retry_budget import RetryBudget
from services.edge.routing.selection import Selector
from services.edge.routing.sharing import VerdictSharing
from services.edge.settings import EdgeSettings
from services.edge.watches import AuthWatch, RouterWatch

if TYPE_CHECKING:
    from lumen.platform.tracing.otel import Tracing
    from protos.auth_pb2_grpc import AuthAsyncStub
    from protos.billing_pb2_grpc import AccountQueriesAsyncStub
    from protos.router_pb2_grpc import RouterAsyncStub

logger = logging.getLogger(__name__)

_BACKLOG = 4096
_FLUSH_S_MAX = 30.0
# What requests leave behind is freed by counting; cycles come from exceptions, which are rare.
_YOUNG_OBJECTS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Edge:
    """Everything one process runs."""

    app: EdgeApp
    metrics: EdgeMetrics
    metering: Metering
    limits: LimitClient
    keepalives: Keepalives
    tables: RouteTables
    workers: ProviderWorkers
    auth_watch: AuthWatch
    router_watch: RouterWatch
    sharing: VerdictSharing
    prober: Prober
    registry: CollectorRegistry


def build(
    settings: EdgeSettings,
    identity: WorkerIdentity,
    nc: LedgerClient,
    auth: AuthAsyncStub,
    router: RouterAsyncStub,
    account_queries: AccountQueriesAsyncStub | None = None,
    tracing: Tracing | None = None,
) -> Edge:
    registry = CollectorRegistry()
    new_endpoint: Callable[..., ModelEndpoint] = ModelEndpoint
    new_attempts, new_recording = Attempts, Recording
    if tracing is not None:
        from services.edge.tracing import TracedAttempts, TracedModelEndpoint, TracedRecording

        tracing.register(registry)
        new_endpoint = partial(TracedModelEndpoint, tracing, settings.tracing_to_providers)
        new_attempts, new_recording = TracedAttempts, TracedRecording
    metrics = EdgeMetrics(registry)
    metering_metrics = MeteringMetrics(registry)
    is_cached = settings.cache == "on"
    limit_metrics = LimitMetrics(registry)
    limits = LimitClient(auth, identity.lease_id, limit_metrics, is_leased=is_cached)
    channel_limits = ChannelLimits(limits)
    workers = ProviderWorkers(
        WorkerMetrics(registry),
        addresses=AddressPolicy.parse(settings.private_upstreams),
        rates_of=channel_limits.rates_of,
    )
    channel_limits.on_room = workers.has_room
    tables = RouteTables(
        router,
        workers,
        metrics,
        is_cached=is_cached,
        disk_copy=settings.state_dir / "route_table.json",
        rpc_timeout_s=settings.rpc_timeout_s,
    )
    keys = KeyCache(
        auth,
        is_cached=is_cached,
        entries_max=settings.key_cache_entries_max,
        stale_s_max=settings.stale_s_max,
        rpc_timeout_s=settings.rpc_timeout_s,
    )
    leases = LeaseClient(
        auth, identity.lease_id, metering_metrics, is_cached=is_cached, rpc_timeout_s=settings.rpc_timeout_s
    )
    outbox = Outbox(
        nc,
        identity.worker_id,
        settings.state_dir,
        metering_metrics,
        has_spool=settings.has_spool,
        spool_bytes_max=settings.spool_bytes_max,
    )
    metering = Metering(identity, outbox, leases)
    limiter = Limiter(limits, limit_metrics, gates_max=settings.key_cache_entries_max)
    admission = Admission(keys, tables, BadKeys(settings.bad_keys_per_minute, registry))
    addresses = ClientAddresses(settings.trusted_proxies)
    keepalives = Keepalives(settings.keepalive_interval_s, metrics)
    recording = new_recording(metering, channel_limits, identity.boot, metrics, record_s_max=settings.record_s_max)
    guard = RequestGuard(metrics, settings.requests_in_flight_max)
    metrics.in_flight.set_function(lambda: guard.in_flight)
    routing_metrics = RoutingMetrics(registry)
    health = Health(
        workers,
        routing_metrics,
        BreakerPolicy(failures_max=settings.breaker_failures_max, open_s=settings.breaker_open_s),
    )
    budget = RetryBudget()
    routing_metrics.read_budget(budget)
    selector = Selector(workers, health, routing_metrics, Random())
    prober = Prober(workers, health, limits, routing_metrics, Random())
    sharing = VerdictSharing(router, identity.worker_id, health, renewal_s=settings.verdict_renewal_s)
    attempts = new_attempts(
        workers,
        Departures(metrics, drain_s_max=settings.drain_disconnected_s_max, drain_max=settings.drain_disconnected_max),
        metrics,
        selector,
        health,
        budget,
        attempts_max=settings.attempts_max,
        attempts_s_max=settings.attempts_s_max,
        channel_wait_s_max=settings.channel_wait_s_max,
    )
    return Edge(
        app=EdgeApp(
            new_endpoint(
                guard,
                admission,
                limiter,
                attempts,
                Fallbacks(admission.resolve),
                metering,
                recording,
                keepalives,
                metrics,
                routing_metrics,
                settings,
            ),
            CountTokens(guard, admission, attempts, limiter, settings),
            create_rest(
                admission,
                tables,
                addresses,
                AccountApi(
                    account_queries,
                    metrics,
                    keys_max=settings.key_cache_entries_max,
                    timeout_s=settings.account_query_timeout_s,
                ),
            ),
            addresses,
            Cors(settings.cors_origins) if settings.cors_origins else None,
        ),
        metrics=metrics,
        metering=metering,
        limits=limits,
        keepalives=keepalives,
        tables=tables,
        workers=workers,
        auth_watch=AuthWatch(
            auth,
            identity.lease_id,
            keys,
            metrics,
            on_credit=leases.on_credit,
            on_recall=leases.on_recall,
        ),
        router_watch=RouterWatch(
            router,
            identity.worker_id,
            tables,
            metrics,
            sharing,
            Explainer(identity.worker_id, tables, workers, selector),
        ),
        sharing=sharing,
        prober=prober,
        registry=registry,
    )


def create_server(app: EdgeApp, settings: EdgeSettings, metrics: EdgeMetrics) -> EmbeddedServer:
    return EmbeddedServer(
        uvicorn.Config(
            app,
            http=limited(
                settings.header_bytes_max,
                settings.head_s_max,
                settings.client_stalled_s_max,
                metrics.stalled_clients.inc,
                app.short_ways(),
            ),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(settings.client_idle_s_max),
            timeout_graceful_shutdown=int(settings.shutdown_drain_s_max),
            backlog=_BACKLOG,
        )
    )


async def serve(settings: EdgeSettings, lifecycle: Lifecycle) -> None:
    """Run until the lifecycle stops; then finish the open requests, flush usage and give the leases back."""
    identity = WorkerIdentity.acquire(settings.state_dir)
    listener = listen(settings.host, settings.port, is_port_shared=settings.is_port_shared)
    nc = await ledger_client.connect(settings.nats_url, name=identity.worker_id)
    auth_channel, router_channel = create_channel(settings.auth_address), create_channel(settings.router_address)
    queries_channel = create_channel(settings.billing_queries_address) if settings.billing_queries_address else None
    queries: AccountQueriesAsyncStub | None = AccountQueriesStub(queries_channel) if queries_channel else None
    tracing = start_tracing("edge", settings, trust_clients=settings.tracing_trust_clients)
    edge = build(settings, identity, nc, AuthStub(auth_channel), RouterStub(router_channel), queries, tracing)
    edge.tables.load_disk_copy()
    ops = OpsServer(
        edge.registry,
        {
            "catalog": edge.tables.problem,
            "auth": edge.auth_watch.problem,
            "metering": edge.metering.problem,
            "lifecycle": lambda: "draining" if lifecycle.stopping.is_set() else None,
        },
        settings.ops_host,
        settings.ops_port,
        listener=None if settings.ops_fd is None else socket.socket(fileno=settings.ops_fd),
    )
    await ops.start()
    server = create_server(edge.app, settings, edge.metrics)
    try:
        await edge.metering.start(lifecycle)
        lifecycle.spawn(edge.limits.run(), name="limits")
        lifecycle.spawn(edge.auth_watch.run(), name="auth-watch")
        lifecycle.spawn(edge.router_watch.run(), name="router-watch")
        lifecycle.spawn(edge.router_watch.report_regularly(), name="channel-reports")
        lifecycle.spawn(edge.sharing.run(), name="breaker-verdicts")
        lifecycle.spawn(edge.prober.run(), name="active-probes")
        lifecycle.spawn(edge.keepalives.run(), name="keepalives")
        spare_collector(_YOUNG_OBJECTS_MAX)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http-server")
        await lifecycle.stopping.wait()
        server.should_exit = True
        await serving
        await edge.limits.close()
        await edge.metering.close(_FLUSH_S_MAX)
    finally:
        await lifecycle.cancel_tasks()
        await edge.workers.close()
        await ops.stop()
        await auth_channel.close(None)
        await router_channel.close(None)
        if queries_channel is not None:
            await queries_channel.close(None)
        await platform_nats.close(nc)
        identity.close()
        if tracing is not None:
            tracing.close()
