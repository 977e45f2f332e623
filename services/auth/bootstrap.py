"""The composition root of auth: the one place that constructs. Every argument is replaceable in tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from lumen.ledger import keyspace
from lumen.platform import nats as platform_nats
from lumen.platform import redis as platform_redis
from lumen.platform.grpc import bind, create_server
from lumen.platform.lifecycle import Lifecycle
from lumen.platform.nats import ensure_bucket
from lumen.platform.ops_server import OpsServer
from lumen.platform.tracing import start_tracing
from protos import auth_pb2_grpc
from services.auth import alerts as alert_settings
from services.auth import sessions as console_sessions
from services.auth.accounts import Accounts
from services.auth.admin_tokens import AdminTokens
from services.auth.alerts import Alerts
from services.auth.audit_log import AuditLog
from services.auth.directory import Directory
from services.auth.errors import GRPC_CODES
from services.auth.grants import Grants
from services.auth.grpc_admin import AuthAdmin
from services.auth.grpc_api import AuthApi
from services.auth.grpc_console import AlertsApi, AuditApi
from services.auth.grpc_tokens import AdminTokensApi
from services.auth.grpc_users import UsersApi
from services.auth.keys import Keys
from services.auth.kv_objects import KvObjects
from services.auth.lease_store import CALLS_AT_ONCE_MAX, LeaseStore
from services.auth.limit_store import LimitStore
from services.auth.live_workers import LiveWorkers
from services.auth.metrics import AuthMetrics
from services.auth.passwords import Passwords
from services.auth.reaper import Reaper
from services.auth.redis_guard import RedisGuard
from services.auth.retirements import Retirements
from services.auth.sessions import Sessions
from services.auth.settings import AuthSettings
from services.auth.sign_in_throttle import SignInThrottle
from services.auth.users import Users
from services.auth.watch_hub import WatchHub

if TYPE_CHECKING:
    from lumen.platform.tracing.otel import Tracing

_STOP_GRACE_S = 2.0
_REDIS_TIMEOUT_S = 1.0
_SEEN_INTERVALS = 3  # a worker counts as live for this many renewal intervals
_ACCOUNT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Auth:
    """Everything one process runs."""

    nc: Client
    directory: Directory
    hub: WatchHub
    workers: LiveWorkers
    guard: RedisGuard
    store: LeaseStore
    grants: Grants
    reaper: Reaper
    retirements: Retirements
    api: AuthApi
    admin: AuthAdmin
    server: grpc.aio.Server
    registry: CollectorRegistry

    async def start(self, lifecycle: Lifecycle) -> None:
        """Everything but the gRPC port."""
        await self.nc.subscribe(keyspace.CREDIT_POSTED_SUBJECT, cb=self._on_credit)
        await self.nc.subscribe(keyspace.RECALL_SUBJECT, cb=self._on_recall)
        lifecycle.spawn(self.directory.follow(keyspace.KV_ACCOUNTS), name="auth-accounts")
        lifecycle.spawn(self.directory.follow(keyspace.KV_KEYS), name="auth-keys")
        lifecycle.spawn(self.guard.run(), name="auth-redis-guard")
        lifecycle.spawn(self.reaper.run(), name="auth-reaper")
        lifecycle.spawn(self.retirements.run(), name="auth-retirements")

    async def _on_credit(self, message: Msg) -> None:
        account = _account_in(message)
        self.hub.credit_arrived(account)
        self.grants.wake(account)

    async def _on_recall(self, message: Msg) -> None:
        self.hub.recall(_account_in(message))


def build(
    settings: AuthSettings,
    nc: Client,
    redis: Redis,
    *,
    clock: Callable[[], float] = time.monotonic,
    tracing: Tracing | None = None,
) -> Auth:
    """`clock`: monotonic seconds; leases' silence and the wait after a Redis restart are counted on it."""
    registry = CollectorRegistry()
    metrics = AuthMetrics(registry)
    directory = Directory(nc, metrics, kv_replicas=settings.kv_replicas)
    metrics.view_age.set_function(directory.age_s)
    hub = WatchHub(directory, metrics)
    store = LeaseStore(redis, replicas_min=settings.redis_replicas_min)
    workers = LiveWorkers(seen_for_s=_SEEN_INTERVALS * settings.renew_interval_s, watching=hub.leases, clock=clock)
    retirements = Retirements(
        nc, store, metrics, interval_s=settings.retire_interval_s, wait_s_max=settings.retire_wait_s_max
    )

    async def is_every_lease_vouched() -> bool:
        leases = {lease for _, lease in await store.beats()}
        return all(workers.has_heard(lease) or retirements.is_retired(lease) for lease in leases)

    guard = RedisGuard(
        redis,
        metrics,
        wait_s=settings.renew_interval_s + settings.renew_margin_s,
        check_interval_s=settings.redis_check_interval_s,
        is_every_lease_vouched=is_every_lease_vouched,
        clock=clock,
    )
    grants = Grants(nc, store, guard, workers, hub, metrics, recall_wait_s_max=settings.recall_wait_s_max)
    reaper = Reaper(
        store,
        workers,
        metrics,
        scan_interval_s=settings.lease_scan_interval_s,
        idle_free_s=settings.lease_idle_free_s,
        request_free_s=settings.lease_request_s_max + settings.lease_request_margin_s,
        clock=clock,
    )
    accounts = Accounts(nc, directory)
    api = AuthApi(
        directory,
        hub,
        grants,
        retirements,
        LimitStore(redis),
        workers,
        metrics,
        heartbeat_s=settings.heartbeat_s,
    )
    admin = AuthAdmin(directory, accounts, Keys(nc, directory, accounts))
    if tracing is not None:
        tracing.register(registry)
    server = create_server(GRPC_CODES, [tracing.interceptor()] if tracing is not None else [])
    auth_pb2_grpc.add_AuthServicer_to_server(api, server)
    auth_pb2_grpc.add_AuthAdminServicer_to_server(admin, server)
    _add_console_services(server, settings, nc, accounts, metrics, clock)
    return Auth(nc, directory, hub, workers, guard, store, grants, reaper, retirements, api, admin, server, registry)


def _add_console_services(
    server: grpc.aio.Server,
    settings: AuthSettings,
    nc: Client,
    accounts: Accounts,
    metrics: AuthMetrics,
    clock: Callable[[], float],
) -> None:
    """Users, sessions, admin tokens, the audit log and alerts: all that only the console asks for."""
    replicas = settings.kv_replicas

    def objects(bucket: str) -> KvObjects:
        return KvObjects(nc, bucket, lambda: ensure_bucket(nc, bucket, replicas=replicas))

    passwords = Passwords()
    metrics.pending_passwords.set_function(lambda: passwords.pending)
    throttle = SignInThrottle(clock=clock)
    metrics.throttled_names.set_function(lambda: len(throttle))
    users = Users(
        objects(keyspace.KV_USERS),
        accounts,
        passwords,
        invitation_s=settings.invitation_s,
    )
    sessions = Sessions(
        KvObjects(
            nc,
            console_sessions.BUCKET,
            lambda: console_sessions.ensure_sessions(nc, session_s=settings.session_s, replicas=replicas),
        ),
        users,
        passwords,
        throttle,
        metrics,
        session_s=settings.session_s,
    )
    alerts = Alerts(objects(alert_settings.BUCKET), accounts)
    tokens = AdminTokens(objects(keyspace.KV_ADMIN_TOKENS))
    auth_pb2_grpc.add_AdminTokensServicer_to_server(AdminTokensApi(tokens), server)
    auth_pb2_grpc.add_UsersServicer_to_server(UsersApi(users, sessions), server)
    auth_pb2_grpc.add_AuditServicer_to_server(AuditApi(AuditLog(nc, replicas=replicas)), server)
    auth_pb2_grpc.add_AlertsServicer_to_server(AlertsApi(alerts), server)


def connect_redis(url: str) -> Redis:
    return platform_redis.connect(url, timeout_s=_REDIS_TIMEOUT_S, connections_max=CALLS_AT_ONCE_MAX + 4)


async def serve(settings: AuthSettings, lifecycle: Lifecycle) -> None:
    """Run until the lifecycle stops; then watch streams end before the port closes."""
    nc = await platform_nats.connect(settings.nats_url, name="lumen-auth", connect_timeout_s=settings.start_wait_s_max)
    redis = connect_redis(settings.redis_url)
    tracing = start_tracing("auth", settings)
    auth = build(settings, nc, redis, tracing=tracing)
    bind(auth.server, settings.host, settings.port)
    checks = {"directory": auth.directory.problem, "redis": auth.guard.problem}
    ops = OpsServer(auth.registry, checks, settings.ops_host, settings.ops_port)
    await ops.start()
    try:
        await auth.start(lifecycle)
        await auth.server.start()
        await lifecycle.stopping.wait()
        auth.api.stop()
        await auth.server.stop(_STOP_GRACE_S)
    finally:
        await ops.stop()
        await lifecycle.cancel_tasks()
        await redis.aclose()
        await platform_nats.close(nc)
        if tracing is not None:
            tracing.close()


def _account_in(message: Msg) -> str:
    return message.data[:_ACCOUNT_CHARS_MAX].decode(errors="replace")
