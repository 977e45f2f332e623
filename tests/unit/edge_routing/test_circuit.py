"""The breaker as a table: what happens in each state, and which state that leads to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.edge.routing.circuit import BreakerPolicy, Circuit, State

POLICY = BreakerPolicy(failures_max=3, open_s=5.0, open_s_max=20.0, account_open_s=300.0, probe_s_max=30.0)


def closed() -> tuple[Circuit, float]:
    return Circuit(POLICY), 100.0


def open_() -> tuple[Circuit, float]:
    circuit, now = closed()
    for _ in range(3):
        circuit.failed(now, now, "status 500", "m")
    return circuit, now + 1.0


def half_open() -> tuple[Circuit, float]:
    circuit, now = open_()
    return circuit, now + 5.0


def probing() -> tuple[Circuit, float]:
    circuit, now = half_open()
    assert circuit.lend_probe(now)
    return circuit, now + 0.1


def disabled() -> tuple[Circuit, float]:
    circuit, now = closed()
    circuit.disable(now, now, 300.0, "401")
    return circuit, now + 1.0


def remote() -> tuple[Circuit, float]:
    circuit, now = closed()
    circuit.opened_elsewhere(now, 30.0, "status 500")
    return circuit, now + 1.0


def fail(circuit: Circuit, now: float) -> bool:
    return circuit.failed(now, now, "status 500", "m")


def fail_of_before(circuit: Circuit, now: float) -> bool:
    return circuit.failed(now, now - 50.0, "status 500", "m")


def succeed(circuit: Circuit, now: float) -> bool:
    return circuit.succeeded(now)


def succeed_of_before(circuit: Circuit, now: float) -> bool:
    return circuit.succeeded(now - 50.0)


def aside(circuit: Circuit, now: float) -> bool:
    return circuit.set_aside(now, 7.0, "status 429")


def refuse_account(circuit: Circuit, now: float) -> bool:
    return circuit.disable(now, now, 300.0, "401")


def hear_closed(circuit: Circuit, now: float) -> bool:
    return circuit.closed_elsewhere()


def lend(circuit: Circuit, now: float) -> bool:
    return circuit.lend_probe(now)


CLOSED, OPEN, HALF = State.CLOSED, State.OPEN, State.HALF_OPEN


@pytest.mark.parametrize(
    ("given", "event", "is_news", "then", "open_for_s"),
    [
        (closed, fail, False, CLOSED, 0),
        (closed, succeed, False, CLOSED, 0),
        (closed, aside, True, OPEN, 7),
        (closed, refuse_account, True, OPEN, 300),
        (closed, lend, True, CLOSED, 0),
        (closed, hear_closed, False, CLOSED, 0),
        (open_, fail, False, OPEN, 4),  # a last resort that failed: nothing new
        (open_, fail_of_before, False, OPEN, 4),
        (open_, succeed, True, CLOSED, 0),  # a last resort that worked
        (open_, succeed_of_before, False, OPEN, 4),
        (open_, aside, True, OPEN, 7),
        (open_, lend, False, OPEN, 4),
        (open_, hear_closed, False, OPEN, 4),  # its own finding
        (half_open, lend, True, HALF, 0),
        (half_open, fail, True, OPEN, 10),
        (half_open, fail_of_before, False, HALF, 0),
        (half_open, succeed, True, CLOSED, 0),
        (half_open, succeed_of_before, False, HALF, 0),
        (half_open, refuse_account, True, OPEN, 300),
        (probing, lend, False, HALF, 0),
        (probing, fail, True, OPEN, 10),
        (probing, succeed, True, CLOSED, 0),
        (disabled, fail, False, OPEN, 299),
        (disabled, refuse_account, False, OPEN, 299),
        (disabled, succeed, True, CLOSED, 0),
        (remote, hear_closed, True, CLOSED, 0),
        (remote, succeed, True, CLOSED, 0),
        (remote, fail, False, OPEN, 29),
        (remote, lend, False, OPEN, 29),
    ],
)
def test_each_state_meets_each_event(
    given: Callable[[], tuple[Circuit, float]],
    event: Callable[[Circuit, float], bool],
    is_news: bool,
    then: State,
    open_for_s: float,
) -> None:
    circuit, now = given()
    assert event(circuit, now) is is_news
    assert circuit.state(now) is then
    if then is OPEN:
        assert circuit.until - now == pytest.approx(open_for_s)


def test_failures_in_a_row_open_it_and_a_success_starts_the_row_again() -> None:
    circuit, now = closed()
    assert [fail(circuit, now), fail(circuit, now), succeed(circuit, now)] == [False, False, False]
    assert [fail(circuit, now), fail(circuit, now), fail(circuit, now)] == [False, False, True]


def test_a_share_of_failures_opens_it_without_a_row() -> None:
    circuit, now = closed()
    outcomes = 0
    while not (fail(circuit, now) or fail(circuit, now)):
        circuit.succeeded(now)
        outcomes += 3
        assert outcomes < 100
    assert outcomes > 10


def test_a_third_of_failures_does_not_open_it() -> None:
    circuit, now = closed()
    for _ in range(500):
        fail(circuit, now)
        circuit.succeeded(now)
        circuit.succeeded(now)
    assert circuit.state(now) is CLOSED


def test_failures_a_memory_apart_are_strangers() -> None:
    circuit, now = closed()
    for minute in range(10):
        assert not fail(circuit, now + minute * 61.0)


def test_each_failed_probe_doubles_the_wait_up_to_a_limit() -> None:
    circuit, now = half_open()
    waits = []
    for _ in range(4):
        assert circuit.lend_probe(now)
        assert fail(circuit, now)
        waits.append(circuit.until - now)
        now = circuit.until
    assert waits == pytest.approx([10.0, 20.0, 20.0, 20.0])


def test_a_refused_account_is_looked_at_ever_less_often() -> None:
    circuit, now = disabled()
    waits = []
    for _ in range(5):
        now = circuit.until
        assert circuit.lend_probe(now)
        assert refuse_account(circuit, now)
        waits.append(circuit.until - now)
    assert waits == pytest.approx([600.0, 1200.0, 2400.0, 3600.0, 3600.0])


def test_one_probe_at_a_time_and_another_when_it_tells_nothing() -> None:
    circuit, now = half_open()
    assert [circuit.lend_probe(now) for _ in range(5)] == [True, False, False, False, False]
    circuit.return_probe()
    assert circuit.lend_probe(now)
    assert not circuit.lend_probe(now + 29.0)
    assert circuit.lend_probe(now + 31.0)  # not heard of any more


def test_what_another_edge_found_ends_by_itself_in_one_probe() -> None:
    circuit, now = remote()
    assert not circuit.lend_probe(now + 28.0)
    assert [circuit.lend_probe(now + 29.0), circuit.lend_probe(now + 29.0)] == [True, False]
    assert fail(circuit, now + 29.0)
    assert not circuit.is_remote  # its own finding now
