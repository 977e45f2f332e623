"""kill -9 under load: every answer whose end a client saw is recorded and charged exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.chaos.load import Load
from tests.fixtures.stack import Stack, until

_ENDED_BEFORE = 60
_ENDED_AFTER = 60


@pytest.mark.parametrize("process", ["edge", "billing", "nats", "valkey"])
def test_kill_under_load_loses_and_doubles_nothing(new_stack: Callable[..., Stack], process: str) -> None:
    stack = new_stack()
    customer = stack.customer("1000")
    load = Load(stack.base_url, customer.key, connections=8)
    try:
        load.until_ended(_ENDED_BEFORE)
        stack.kill(process)
        stack.until_ready()
        load.until_ended(_ENDED_AFTER)
    finally:
        load.stop()
    report = until(lambda: _report(stack), "reconcile is clean", 90)
    charged = customer.credits_nanousd - stack.balance_nanousd(customer.account)
    assert load.least_nanousd <= charged <= load.most_nanousd
    assert stack.usage(customer.account)["total"]["cost_nanousd"] == charged
    assert report["entries"] >= load.ended


def _report(stack: Stack) -> Any:
    """The clean report, or None while a store is away or figures are still on their way."""
    try:
        report = stack.admin("GET", "/reconcile")
    except httpx.HTTPError:
        return None
    return report if report["is_ok"] else None
