"""Stores that are away, emptied, put back older than they were, or that answer too late, under load. Pass line of all:
every answer whose end a client saw has exactly one charge of exactly its price, nothing is charged twice, and reconcile
is clean over everything."""

from __future__ import annotations

import time

import pytest

from tests.chaos.conftest import Scenario
from tests.chaos.faults import back_up, flush_redis, held_down, kill_group, metric, paused, put_back
from tests.chaos.load import Load
from tests.fixtures.stack import until

LONG = pytest.mark.long


def test_edge_killed_while_nats_is_away(scenario: Scenario) -> None:
    """Hypothesis: with NATS down answers go on by the spool; an edge killed then leaves its entries on disk, and its
    next start drains them first, in order, once."""
    stack = scenario.stack
    edge = stack.pid("edge")
    with held_down(stack, "nats"):
        scenario.load.until_ended(min(scenario.requests, 500))
        assert metric(stack, "edge", "lumen_edge_spool_batches") > 0
        kill_group(edge)
    until(lambda: stack.pid("edge") != edge, "the edge has been started again")
    stack.until_ready()
    scenario.load.until_ended(scenario.requests)
    until(lambda: metric(stack, "edge", "lumen_edge_spool_batches") == 0, "the spool is drained")
    scenario.prove("edge killed while NATS is away")


@pytest.mark.parametrize("away_s", [3.0, pytest.param(150.0, marks=[LONG, pytest.mark.timeout(600)])])
@pytest.mark.slow
def test_acks_lost_and_spool_drained_later(scenario: Scenario, away_s: float) -> None:
    """Hypothesis: a NATS that hangs takes what is in its sockets when it wakes, long after the edge has spooled the
    same batches; no window of time (NATS' own is two minutes) is needed to keep one copy of each."""
    stack = scenario.stack
    with paused(stack.pid("nats")):
        scenario.load.until_ended(min(scenario.requests, 500))
        assert metric(stack, "edge", "lumen_edge_spool_batches") > 0
        time.sleep(away_s)  # the length of the outage is the fault
    scenario.load.until_ended(scenario.requests)
    until(lambda: metric(stack, "edge", "lumen_edge_spool_batches") == 0, "the spool is drained", 60)
    scenario.prove(f"acks lost, spool drained {away_s:.0f} s later")


@LONG
def test_clickhouse_away(scenario: Scenario) -> None:
    """Hypothesis: without ClickHouse nothing is posted and nothing is lost: answers go on, charges follow."""
    with held_down(scenario.stack, "clickhouse"):
        scenario.load.until_ended(scenario.requests)
    scenario.load.until_ended(scenario.requests)
    scenario.prove("ClickHouse away")


@pytest.mark.slow
def test_redis_emptied_while_billing_is_in_mid_batch(scenario: Scenario) -> None:
    """Hypothesis: FLUSHALL at any moment, again and again under load, is rebuilt from ClickHouse and the ledger."""
    rebuilt = metric(scenario.stack, "billing", "lumen_billing_rebuilt_partitions_total")
    for _ in range(3):
        flush_redis(scenario.stack)
        scenario.load.until_ended(max(20, scenario.requests // 3))
    scenario.prove("FLUSHALL in mid-batch, three times")
    assert metric(scenario.stack, "billing", "lumen_billing_rebuilt_partitions_total") > rebuilt


@LONG
def test_redis_restored_from_an_older_copy(scenario: Scenario) -> None:
    """Hypothesis: a Redis that comes back as it was some thousand entries ago catches up from the ledger."""
    stack = scenario.stack
    copy = back_up(stack, "valkey")
    scenario.load.until_ended(scenario.requests)
    with held_down(stack, "valkey"):
        put_back(stack, "valkey", copy)
    scenario.load.until_ended(scenario.requests)
    scenario.prove("Redis restored from an older copy")


@LONG
def test_redis_loses_its_last_moments_right_after_a_grant(scenario: Scenario) -> None:
    """Hypothesis: a failover that loses a grant the edge already spends from loses no charge: what is spent is posted,
    and the edge asserts its lease again."""
    stack = scenario.stack
    late = stack.customer("10")
    copy = back_up(stack, "valkey")
    load = Load(stack.base_url, late.key, connections=2)
    try:
        load.until_ended(5)  # there was a grant, after the copy
        with held_down(stack, "valkey"):
            put_back(stack, "valkey", copy)
        load.until_ended(min(scenario.requests, 200))
    finally:
        load.stop()
    scenario.prove("Redis fails over right after a grant (others)")
    scenario.customer, scenario.load = late, load
    scenario.prove("Redis fails over right after a grant")
