"""Every process of every service replaced, one by one, under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.rolling import TODAY, fleet, roll
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]  # ten processes start, one after the other


def test_a_rolling_change_fails_no_request_and_loses_no_entry(
    chaos_stack: Stack, tmp_path: Path, requests: int
) -> None:
    """Hypothesis: with two replicas of each service, an orderly end of any one is seen by no client but as refused
    connections of an edge. Pass: no answer fails, each is charged once, and nothing else is recorded."""
    with fleet(chaos_stack, TODAY, tmp_path) as running:
        steps = roll(chaos_stack, running, chaos_stack.customer("1000"), TODAY, requests, print)
    assert [step.service for step in steps] == ["billing", "auth", "router", "edge"]
