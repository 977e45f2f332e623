"""The composition root of billing: the one place that constructs. Every argument is replaceable in tests."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from lumen.catalog.revisions import revision_key
from lumen.ledger import keyspace
from lumen.platform import nats as platform_nats
from lumen.platform import redis as platform_redis
from lumen.platform.clickhouse import ClickHouse, ClickHouseError
from lumen.platform.grpc import bind, create_server
from lumen.platform.kv_view import kv_get
from lumen.platform.lifecycle import Lifecycle
from lumen.platform.ops_server import OpsServer
from lumen.platform.ordered_reader import OrderedReader
from lumen.platform.tracing import start_tracing
from protos import billing_pb2_grpc
from services.billing.account_queries import AccountQueries
from services.billing.adoption import Adoption
from services.billing.applier import Applier
from services.billing.balance_check import BalanceCheck
from services.billing.balance_rebuild import BalanceRebuild
from services.billing.balances import Balances
from services.billing.burning import Burning
from services.billing.charge_check import ChargeCheck
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.consumer import Consumer, GroupLimits
from services.billing.credits import Credits
from services.billing.dead_letters import DeadLetterPublisher
from services.billing.errors import GRPC_CODES
from services.billing.expiries import Expiries, ExpiryAmounts
from services.billing.grant_check import GrantCheck
from services.billing.grants_left import GrantsLeft
from services.billing.groups import Group
from services.billing.grpc_api import BillingAdmin
from services.billing.health import Health, Persistence
from services.billing.ledger_queries import LedgerQueries
from services.billing.ledger_stream import LedgerStream, ensure_streams
from services.billing.lost_batches import PostedBatches
from services.billing.metrics import BillingMetrics
from services.billing.migrations import load_migrations, migrate
from services.billing.ownership import Ownership
from services.billing.price_book import PriceBook
from services.billing.rating import RateBook, Rates
from services.billing.rebuild import Rebuilder
from services.billing.reconcile import ContinuousCheck, ContinuousProof, Reconciler
from services.billing.recovery import Recovery, StartPlan
from services.billing.redis_sink import RedisSink
from services.billing.replay import Replays
from services.billing.rollups import Rollups
from services.billing.row_checks import RowChecks
from services.billing.settings import BillingSettings
from services.billing.tail import Tail

if TYPE_CHECKING:
    from lumen.platform.tracing.otel import Tracing

_READY_PARTS = (
    "consumer",
    "ledger",
    "clickhouse",
    "clickhouse_marks",
    "expiries",
    "redis",
    "dead_letters",
    "catalog",
    "schema",
)
_NATS_AWAY = (NatsError, JetStreamError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Billing:
    """Everything one process runs."""

    consumer: Consumer
    rollups: Rollups
    price_book: PriceBook
    check: ContinuousCheck
    proof: ContinuousProof
    expiries: Expiries
    ownership: Ownership
    api: BillingAdmin
    queries: AccountQueries
    health: Health
    persistence: Persistence
    metrics: BillingMetrics
    registry: CollectorRegistry


def build(
    settings: BillingSettings,
    nc: Client,
    redis: Redis,
    clickhouse: ClickHouse,
    compile_rates: Callable[[bytes], Rates],
    *,
    partitions: Sequence[int] = range(keyspace.PARTITIONS),
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    tracing: Tracing | None = None,
) -> Billing:
    """Wire billing for the partitions this process owns."""
    registry = CollectorRegistry()
    new_applier: Callable[..., Applier] = Applier
    if tracing is not None:
        from services.billing.tracing import TracedApplier

        tracing.register(registry)
        new_applier = partial(TracedApplier, tracing)
    metrics = BillingMetrics(registry)
    health = Health()
    persistence = Persistence(health, metrics)

    ledger = LedgerStream(nc)
    rows = ClickHouseSink(clickhouse)
    balances_sink = RedisSink(redis)
    queries = LedgerQueries(clickhouse)
    burning = Burning(clickhouse)
    rollups = Rollups(clickhouse, rows, metrics, health, interval_s=settings.rollup_interval_s)
    recovery = Recovery(ledger, rows, balances_sink, Rebuilder(queries, redis))
    dead_letters = DeadLetterPublisher(nc)

    async def fetch_revision(revision: int) -> bytes | None:
        found = await kv_get(nc, keyspace.KV_CATALOG, revision_key(revision))
        return found[0] if found is not None else None

    async def announce(accounts: set[str]) -> None:
        for account in accounts:
            try:
                await nc.publish(keyspace.CREDIT_POSTED_SUBJECT, account.encode())
            except _NATS_AWAY:
                return  # a hint: a remembered refusal ends by itself within a second

    async def publish_dead_letters(group: Group) -> None:
        await dead_letters.publish(group.dead_letters)

    async def resume_rollups(plan: StartPlan) -> None:
        await rollups.resume(plan.followed.clickhouse)

    subjects = (
        [keyspace.STREAM_SUBJECTS]
        if len(partitions) == keyspace.PARTITIONS
        else [keyspace.partition_filter(partition) for partition in partitions]
    )
    rate_book = RateBook(fetch_revision, compile_rates, revisions_max=settings.catalog_revisions_max)
    consumer = Consumer(
        partitions,
        recovery=recovery,
        open_reader=lambda start: OrderedReader(nc, keyspace.STREAM, subjects, start_sequence=start),
        rate_book=rate_book,
        applier=new_applier(
            rows,
            ExpiryAmounts(burning).complete,
            publish_dead_letters,
            balances_sink,
            on_rows_stored=lambda group: rollups.mark_due(group.touched_hours, group.marks),
            on_credited=announce,
            persistence=persistence,
            metrics=metrics,
        ),
        tail=Tail(ledger, recovery, rows, balances_sink, generation=lambda: nc.stats["reconnects"], metrics=metrics),
        on_planned=resume_rollups,
        health=health,
        metrics=metrics,
        limits=GroupLimits(settings.group_messages_max, settings.group_bytes_max, settings.group_linger_s),
    )
    balances = Balances(redis)
    balance_check = BalanceCheck(clickhouse, queries, redis)
    reconciler = Reconciler(
        partitions,
        ledger=ledger,
        clickhouse=rows,
        redis=balances_sink,
        balances=balance_check,
        rows=RowChecks(clickhouse, rows, rollups),
        charges=ChargeCheck(clickhouse, rate_book),
        grants=GrantCheck(burning, now_us=now_us),
        catch_up_s_max=settings.reconcile_catch_up_s_max,
    )
    api = BillingAdmin(
        Credits(
            nc,
            ledger,
            clickhouse,
            balances,
            now_us=now_us,
            metrics=metrics,
            posted_wait_s_max=settings.credit_posted_wait_s_max,
        ),
        balances,
        GrantsLeft(burning),
        reconciler,
        Replays(nc, clickhouse),
        BalanceRebuild(redis, ledger, recovery, rows, balances_sink, partitions),
        Adoption(nc, ledger, recovery, rows, PostedBatches(clickhouse), partitions),
    )
    check = ContinuousCheck(
        partitions,
        balance_check,
        metrics,
        interval_s=settings.check_interval_s,
        partitions_per_round=settings.check_partitions,
    )
    price_book = PriceBook(nc, clickhouse, persistence)
    proof = ContinuousProof(reconciler, metrics, interval_s=settings.proof_interval_s)
    account_queries = AccountQueries(balances, clickhouse, metrics)
    expiries = Expiries(
        ledger,
        recovery,
        burning,
        partitions,
        now_us=now_us,
        metrics=metrics,
        interval_s=settings.expiry_interval_s,
    )
    ownership = Ownership(
        nc,
        f"{socket.gethostname()}:{settings.port}",
        secrets.token_hex(8),
        health=health,
        metrics=metrics,
        beat_s=settings.owner_beat_s,
        patience_s=settings.owner_patience_s,
    )
    return Billing(
        consumer,
        rollups,
        price_book,
        check,
        proof,
        expiries,
        ownership,
        api,
        account_queries,
        health,
        persistence,
        metrics,
        registry,
    )


async def prepare(settings: BillingSettings, nc: Client, clickhouse: ClickHouse, persistence: Persistence) -> None:
    """Streams and schema, waited for as long as it takes."""

    async def streams() -> None:
        await ensure_streams(
            nc,
            replicas=settings.stream_replicas,
            ledger_bytes_max=settings.ledger_bytes_max,
            message_bytes_max=settings.message_bytes_max,
        )
        await platform_nats.ensure_bucket(nc, keyspace.KV_BILLING, replicas=settings.stream_replicas)

    async def schema() -> None:
        server = ClickHouse(settings.clickhouse_url, timeout_s=settings.clickhouse_timeout_s, use_database=False)
        try:
            await migrate(
                server,
                clickhouse,
                load_migrations(),
                engine=settings.clickhouse_engine,
                cluster=settings.clickhouse_cluster,
            )
        finally:
            await server.close()

    await persistence.until_done("streams", streams, _NATS_AWAY)
    await persistence.until_done("schema", schema, (ClickHouseError,))


async def serve(settings: BillingSettings, compile_rates: Callable[[bytes], Rates], lifecycle: Lifecycle) -> None:
    """Run until the lifecycle stops: ops port first, then the stores, then following and the API."""
    nc = await platform_nats.connect(
        settings.nats_url, name="lumen-billing", connect_timeout_s=settings.start_wait_s_max
    )
    redis = platform_redis.connect(settings.redis_url)
    clickhouse = ClickHouse(settings.clickhouse_url, timeout_s=settings.clickhouse_timeout_s)
    tracing = start_tracing("billing", settings)
    billing = build(settings, nc, redis, clickhouse, compile_rates, tracing=tracing)
    ops = OpsServer(
        billing.registry,
        {part: _readiness(billing.health, part) for part in ("streams", *_READY_PARTS)},
        settings.ops_host,
        settings.ops_port,
    )
    interceptors = [tracing.interceptor()] if tracing is not None else []
    server = create_server(GRPC_CODES, interceptors)
    billing_pb2_grpc.add_BillingAdminServicer_to_server(billing.api, server)
    bind(server, settings.host, settings.port)
    queries_server = create_server(GRPC_CODES, interceptors)
    billing_pb2_grpc.add_AccountQueriesServicer_to_server(billing.queries, queries_server)
    if settings.queries_port:
        bind(queries_server, settings.host, settings.queries_port)
    await ops.start()
    try:
        preparing = lifecycle.spawn(prepare(settings, nc, clickhouse, billing.persistence), name="billing-prepare")
        stopping = asyncio.create_task(lifecycle.stopping.wait())
        await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if preparing.done() and not lifecycle.stopping.is_set():
            work = (
                billing.consumer,
                billing.rollups,
                billing.price_book,
                billing.check,
                billing.proof,
                billing.expiries,
            )
            lifecycle.spawn(billing.ownership.run([each.run for each in work]), name="billing-ownership")
            await server.start()
            if settings.queries_port:
                await queries_server.start()
        await stopping
    finally:
        await asyncio.gather(server.stop(grace=5), queries_server.stop(grace=1))
        await lifecycle.cancel_tasks()
        await billing.ownership.release()
        await ops.stop()
        await clickhouse.close()
        await redis.aclose()
        await platform_nats.close(nc)
        if tracing is not None:
            tracing.close()


def _readiness(health: Health, part: str) -> Callable[[], str | None]:
    return lambda: health.problem(part)
