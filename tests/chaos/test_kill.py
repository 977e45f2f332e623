"""kill -9 under load: every answer whose end a client saw is recorded and charged exactly once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from tests.chaos.load import Load, Seen
from tests.fixtures.stack import Customer, Stack, until

# Answers that ended before the kill, and after the restart.
_ENDED_BEFORE = 60
_ENDED_AFTER = 60


class _Running:
    """A load in a thread of its own, so that the test can drive the stack meanwhile."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._thread = threading.Thread(target=lambda: asyncio.run(load.run()), name="load")
        self._thread.start()

    def until_ended(self, count: int) -> None:
        until(lambda: len(self._load.seen.ended) >= count or not self._thread.is_alive(), f"{count} answers", 60)
        assert self._thread.is_alive(), "the load has stopped"

    @property
    def ended(self) -> int:
        return len(self._load.seen.ended)

    def stop(self) -> Seen:
        self._load.stop()
        self._thread.join(90)
        assert not self._thread.is_alive()
        return self._load.seen


def run_with_kill(stack: Stack, customer: Customer, process: str) -> Seen:
    running = _Running(Load(stack.base_url, customer.key, workers=8))
    try:
        running.until_ended(_ENDED_BEFORE)
        stack.kill(process)
        stack.until_ready()
        running.until_ended(running.ended + _ENDED_AFTER)
    finally:
        seen = running.stop()
    return seen


def expect_exact(stack: Stack, customer: Customer, seen: Seen) -> None:
    """Every answer seen to its end is charged once; the others at most once each."""
    report = until(lambda: _clean_report(stack), "reconcile is clean", 90)
    assert report["is_ok"]
    charged = customer.credits_nanousd - stack.balance_nanousd(customer.account)
    ended = sum(seen.ended.values())
    assert ended <= charged <= ended + seen.unseen_nanousd_max, (ended, charged, seen.unseen)
    rows = stack.usage(customer.account)
    assert rows["total"]["cost_nanousd"] == charged


def _clean_report(stack: Stack) -> dict[str, bool] | None:
    from tests.fixtures.stack import CommandFailed

    try:
        report: dict[str, bool] = stack.lumen("reconcile")
    except CommandFailed:
        return None
    return report


@pytest.mark.parametrize("process", ["edge", "billing", "nats", "valkey"])
def test_kill_under_load_loses_and_doubles_nothing(new_stack: Callable[..., Stack], process: str) -> None:
    stack = new_stack()
    customer = stack.customer("1000")
    seen = run_with_kill(stack, customer, process)
    assert len(seen.ended) >= _ENDED_BEFORE
    expect_exact(stack, customer, seen)
