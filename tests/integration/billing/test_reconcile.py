"""Reconcile finds nothing where nothing is wrong, and names what is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, encode_batch
from lumen.platform.clickhouse import ClickHouse, ClickHouseError
from services.billing.balance_check import BalanceCheck
from services.billing.burning import Burning
from services.billing.charge_check import ChargeCheck
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.grant_check import GrantCheck
from services.billing.health import Health
from services.billing.ledger_queries import LedgerQueries
from services.billing.ledger_stream import LedgerStream
from services.billing.metrics import BillingMetrics
from services.billing.rating import RateBook
from services.billing.reconcile import ContinuousCheck, Reconciler, Report
from services.billing.redis_sink import RedisSink
from services.billing.rollups import Rollups
from services.billing.row_checks import RowChecks
from tests.integration.billing.conftest import RunningBilling, World, compile_flat_rates, eventually, usage_entry

Start = Callable[..., RunningBilling]
Build = Callable[..., Reconciler]


@pytest.fixture
def reconciler(world: World) -> Build:
    async def revision(_: int) -> bytes:
        return json.dumps({"price": world.price}).encode()

    def build(billing: RunningBilling, catch_up_s_max: float = 20.0) -> Reconciler:
        sink = ClickHouseSink(world.clickhouse)
        return Reconciler(
            range(keyspace.PARTITIONS),
            ledger=LedgerStream(world.nc),
            clickhouse=sink,
            redis=RedisSink(world.redis),
            balances=BalanceCheck(world.clickhouse, LedgerQueries(world.clickhouse), world.redis),
            rows=RowChecks(world.clickhouse, sink, billing.parts.rollups),
            charges=ChargeCheck(world.clickhouse, RateBook(revision, compile_flat_rates)),
            grants=GrantCheck(Burning(world.clickhouse), now_us=lambda: time.time_ns() // 1000),
            catch_up_s_max=catch_up_s_max,
        )

    return build


def failed(report: Report) -> dict[str, list[str]]:
    return {check.name: check.drifts for check in report.checks if not check.is_ok}


async def used(world: World, start_billing: Start) -> RunningBilling:
    billing = start_billing()
    for number in range(8):
        await world.credit(f"acc-{number}", 1_000_000)
        await world.use(f"acc-{number}", count=3, key_has_spend_limit=True)
        await world.use(f"acc-{number}", is_billable=False)
    await eventually(world.balances_agree)
    return billing


async def test_a_healthy_ledger_is_clean(world: World, start_billing: Start, reconciler: Build) -> None:
    billing = await used(world, start_billing)
    report = await reconciler(billing).run()
    assert report.is_ok, failed(report)
    assert report.entries == 8 * 5
    assert {check.name: check.examined for check in report.checks}["balances_equal_ledger"] == 16
    assert (await reconciler(billing).run("acc-3")).is_ok


async def test_entries_arriving_meanwhile_do_not_disturb_it(
    world: World, start_billing: Start, reconciler: Build
) -> None:
    billing = await used(world, start_billing)

    async def keep_using() -> None:
        while True:
            await world.use("acc-1", count=2)
            await asyncio.sleep(0.01)  # a steady trickle: a flood would only measure the machine

    using = asyncio.create_task(keep_using())
    for _ in range(3):
        report = await reconciler(billing).run()
        assert report.is_ok, failed(report)
    using.cancel()
    await asyncio.gather(using, return_exceptions=True)


async def test_a_balance_that_moved_by_itself_is_named_with_the_likeliest_entries(
    world: World, start_billing: Start, reconciler: Build
) -> None:
    billing = await used(world, start_billing)
    key = keyspace.account_key(keyspace.partition_of("acc-2"), "acc-2")
    await world.redis.hincrby(key, "balance", -105)
    report = await reconciler(billing).run()
    assert list(failed(report)) == ["balances_equal_ledger"]
    (drift,) = failed(report)["balances_equal_ledger"]
    assert "account acc-2" in drift
    assert "difference -105" in drift
    assert "entries of that amount" in drift


async def test_a_key_counter_that_moved_is_named(world: World, start_billing: Start, reconciler: Build) -> None:
    billing = await used(world, start_billing)
    key = keyspace.spend_key(keyspace.partition_of("acc-2"), "key-acc-2")
    await world.redis.hincrby(key, "p:edge-1.1", 1)
    (drift,) = failed(await reconciler(billing).run())["balances_equal_ledger"]
    assert "key key-acc-2" in drift
    assert "edge-1.1" in drift


async def test_a_missing_batch_and_a_doubled_request_are_named(
    world: World, start_billing: Start, reconciler: Build
) -> None:
    billing = await used(world, start_billing)
    partition = keyspace.partition_of("acc-2")
    for number in (1, 3):
        batch = Batch("edge-9", partition, number, [usage_entry("acc-2", "twice")])
        await world.nc.jetstream().publish(keyspace.subject(partition, "edge-9"), encode_batch(batch))
        world.expected["acc-2"] -= 105
    await eventually(world.balances_agree)
    found = failed(await reconciler(billing).run())
    assert set(found) == {"batch_numbers_contiguous", "request_ids_unique"}
    assert "edge-9" in found["batch_numbers_contiguous"][0]
    assert "twice" in found["request_ids_unique"][0]


async def test_a_rollup_that_is_not_its_rows_is_named(world: World, start_billing: Start, reconciler: Build) -> None:
    billing = await used(world, start_billing)
    await billing.parts.rollups.flush()
    await world.clickhouse.command(
        "INSERT INTO usage_hourly (hour, `partition`, account, model, requests, version)"
        " VALUES ('2026-11-01 12:00:00', 1, 'acc-2', 'invented', 1, 1)"
    )
    found = failed(await reconciler(billing).run())
    assert list(found) == ["rollups_equal_rows"]
    assert "2026-11-01 12:00:00" in found["rollups_equal_rows"][0]


async def test_a_ledger_not_posted_is_named(world: World, start_billing: Start, reconciler: Build) -> None:
    billing = await used(world, start_billing)
    await billing.kill()
    await world.use("acc-1")
    (first, *_) = failed(await reconciler(billing, catch_up_s_max=1.0).run())["ledger_posted"]
    assert "behind the ledger" in first


async def test_rollups_due_when_a_process_died_are_found_by_the_next(world: World, start_billing: Start) -> None:
    billing = await used(world, start_billing)
    await billing.kill()
    await world.clickhouse.command("TRUNCATE TABLE usage_hourly")
    await world.clickhouse.command("ALTER TABLE marks DELETE WHERE sink = 'rollup' SETTINGS mutations_sync = 1")
    start_billing()

    async def rolled_up() -> bool:
        return await world.rows("SELECT sum(requests) FROM usage_hourly FINAL") == [(32,)]

    await eventually(rolled_up)


async def test_the_continuous_check_exports_drift(world: World, start_billing: Start) -> None:
    await used(world, start_billing)
    metrics = BillingMetrics(registry := CollectorRegistry())
    balances = BalanceCheck(world.clickhouse, LedgerQueries(world.clickhouse), world.redis)
    check = ContinuousCheck(range(keyspace.PARTITIONS), balances, metrics, partitions_per_round=32)
    await world.redis.hincrby(keyspace.account_key(keyspace.partition_of("acc-5"), "acc-5"), "balance", 7)
    for _ in range(2):
        await check.check_round()
    assert registry.get_sample_value("lumen_billing_drift_accounts") == 1
    assert registry.get_sample_value("lumen_billing_drift_nanousd") == 7
    await world.redis.hincrby(keyspace.account_key(keyspace.partition_of("acc-5"), "acc-5"), "balance", -7)
    for _ in range(2):
        await check.check_round()
    assert registry.get_sample_value("lumen_billing_drift_accounts") == 0


async def test_a_rollup_flush_that_fails_keeps_everything_due() -> None:
    away = ClickHouse("http://default:@127.0.0.1:1/nowhere", connect_timeout_s=0.2)
    metrics = BillingMetrics(registry := CollectorRegistry())
    rollups = Rollups(away, ClickHouseSink(away), metrics, Health())
    rollups.mark_due([(1, 498_204)], {})
    with pytest.raises(ClickHouseError):
        await rollups.flush()
    assert registry.get_sample_value("lumen_billing_rollup_pending_hours") == 1
    await away.close()


async def test_a_reservation_of_a_lease_that_is_not_open_is_named(
    world: World, start_billing: Start, reconciler: Build
) -> None:
    billing = await used(world, start_billing)
    partition = keyspace.partition_of("acc-2")
    await world.redis.hset(keyspace.account_key(partition, "acc-2"), "g:edge-7.1", 500)
    (drift,) = failed(await reconciler(billing).run())["reserved_equals_open_leases"]
    assert "account acc-2, lease edge-7.1: reserves 500 and is not open" in drift
    await world.redis.hset(keyspace.beats_key(partition), "edge-7.1", "beat")
    assert (await reconciler(billing).run()).is_ok


async def test_the_continuous_proof_exports_every_check(world: World, start_billing: Start) -> None:
    billing = await used(world, start_billing)
    await billing.parts.proof.prove()
    checks = ("balances_equal_ledger", "reserved_equals_open_leases", "batch_numbers_contiguous", "rollups_equal_rows")
    assert [billing.metric("lumen_billing_proof_drifts", check=check) for check in checks] == [0, 0, 0, 0]
    batch = Batch("edge-9", partition := keyspace.partition_of("acc-2"), 2, [usage_entry("acc-2", "gap")])
    await world.nc.jetstream().publish(keyspace.subject(partition, "edge-9"), encode_batch(batch))
    world.expected["acc-2"] -= 105
    await eventually(world.balances_agree)
    await billing.parts.proof.prove()
    assert billing.metric("lumen_billing_proof_drifts", check="batch_numbers_contiguous") == 1
    assert billing.metric("lumen_billing_proof_timestamp_seconds") > 0


async def test_a_charge_that_its_prices_do_not_make_is_named(
    world: World, start_billing: Start, reconciler: Build
) -> None:
    billing = await used(world, start_billing)
    await world.clickhouse.command(
        "ALTER TABLE usage UPDATE upstream_cost_nanousd = upstream_cost_nanousd - 2 WHERE account = 'acc-5'"
        " AND is_billable SETTINGS mutations_sync = 1"
    )
    drifts = failed(await reconciler(billing).run("acc-5"))["charges_equal_prices"]
    assert len(drifts) == 3
    assert "charged 105 (upstream 50), rated 105 (upstream 52)" in drifts[0]
