"""Processes that die, stop, or run twice, under load. Pass line of all: every answer whose end a client saw has exactly
one charge of exactly its price, nothing is charged twice, and reconcile is clean over everything."""

from __future__ import annotations

import time

import pytest
import redis

from lumen.ledger import keyspace
from tests.chaos.conftest import Scenario
from tests.chaos.faults import kill_group, metric, paused, second_billing
from tests.fixtures.stack import until

LONG = pytest.mark.long
_TAKEOVER_S_MAX = 15.0


@pytest.mark.parametrize(
    "process",
    [
        "edge",
        "billing",
        "nats",
        "valkey",
        *(pytest.param(name, marks=LONG) for name in ("clickhouse", "auth", "router")),
    ],
)
def test_kill(scenario: Scenario, process: str) -> None:
    """Hypothesis: kill -9 of any one process loses and doubles nothing, and answers come again by themselves."""
    scenario.stack.kill(process)
    scenario.stack.until_ready()
    scenario.load.until_ended(scenario.requests)
    scenario.prove(f"kill -9 {process}")


@pytest.mark.slow
def test_doubled_billing_with_a_zombie_owner(scenario: Scenario) -> None:
    """Hypothesis: two billings of the same partitions, one of them stopped in mid-work and woken after the other has
    taken over, double nothing; the other takes over within seconds."""
    stack = scenario.stack
    with second_billing(stack) as second:
        scenario.load.until_ended(scenario.requests)
        for owner in (stack.pid("billing"), second):
            with paused(owner):
                started = time.monotonic()
                until(lambda: _is_charging(scenario), "the other one has taken over", _TAKEOVER_S_MAX)
                assert time.monotonic() - started < _TAKEOVER_S_MAX
                scenario.load.until_ended(scenario.requests)
        scenario.load.until_ended(scenario.requests)
        kill_group(second)
    scenario.prove("two billings, each once a zombie")


def _is_charging(scenario: Scenario) -> bool:
    """The balance moves although an owner is stopped."""
    before = _balance(scenario)
    scenario.load.until_ended(5)
    return before is not None and (after := _balance(scenario)) is not None and after < before


def _balance(scenario: Scenario) -> int | None:
    """From Redis itself: the stack's billing, which would answer for it, may be the one that is stopped."""
    account = scenario.customer.account
    with redis.Redis.from_url(scenario.stack.env["LUMEN_REDIS_URL"]) as client:
        value = client.hget(keyspace.account_key(keyspace.partition_of(account), account), "balance")
    return None if value is None else int(value)


@pytest.mark.parametrize("process", [pytest.param(name, marks=LONG) for name in ("billing", "valkey", "auth")])
def test_paused(scenario: Scenario, process: str) -> None:
    """Hypothesis: a process that hangs for seconds (SIGSTOP) and wakes up again loses and doubles nothing; clients are
    served from leases meanwhile."""
    with paused(scenario.stack.pid(process)):
        scenario.load.until_ended(min(scenario.requests, 500))
        time.sleep(2.5)  # longer than the waits of those who call it: the length of the pause is the fault
    scenario.load.until_ended(scenario.requests)
    scenario.prove(f"SIGSTOP {process}, SIGCONT")


@pytest.mark.slow
def test_clickhouse_slower_than_any_wait(scenario: Scenario) -> None:
    """Hypothesis: a ClickHouse that takes inserts and answers after billing has given up (again and again) ends up with
    each row once; it costs lag, and balances are posted when it is back."""
    stack = scenario.stack
    retries = metric(stack, "billing", "lumen_billing_retries_total")
    with paused(stack.pid("clickhouse")):
        until(
            lambda: metric(stack, "billing", "lumen_billing_retries_total") >= retries + 2,
            "billing has given up twice",
            30,
        )
    scenario.load.until_ended(scenario.requests)
    scenario.prove("ClickHouse slower than any wait")
