"""When billing says that balances are live: at once when it is there, and still when it lags by no more than 3 s."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lumen.ledger.keyspace import PARTITIONS
from services.billing.groups import Group, SinkMarks
from services.billing.ledger_stream import Bounds
from services.billing.marks import Mark
from services.billing.metrics import BillingMetrics
from services.billing.recovery import StartPlan
from services.billing.tail import Tail


class Following:
    """A tail whose clock, ledger and balances the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, partitions: int = PARTITIONS) -> None:
        self.now = 1000.0
        self.last = 0  # of the ledger
        self.is_away = False
        self.drained_at = 0.0
        self.touched: list[float] = []
        monkeypatch.setattr("services.billing.tail.time.monotonic", lambda: self.now)
        stores: Any = self
        self.tail = Tail(
            stores, stores, stores, stores, generation=lambda: 0, metrics=BillingMetrics(CollectorRegistry())
        )
        marks = {partition: Mark(1, 0, "") for partition in range(partitions)}
        plan = StartPlan(start_sequence=1, followed=SinkMarks(marks, marks))
        self.tail.begin(plan, lambda: 0, lambda since: since < self.drained_at)

    async def bounds(self) -> Bounds:
        if self.is_away:
            raise TimeoutError
        return Bounds(1, self.last)

    async def touch(self, _: dict[int, Mark]) -> None:
        self.touched.append(self.now)

    async def after(self, wait_s: float) -> int:
        """How often `live` was set until now."""
        self.now += wait_s
        await self.tail.keep_live()
        return len(self.touched)


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Following:
    return Following(monkeypatch)


async def test_whoever_has_caught_up_is_live_at_the_next_look_and_looks_seldom_from_then_on(
    following: Following,
) -> None:
    following.last = 5
    assert await following.after(0) == 0
    following.tail.advance(Group(last_sequence=5))
    assert await following.after(following.tail.interval_s) == 1
    assert following.tail.interval_s > 1
    assert await following.after(following.tail.interval_s / 2) == 1
    assert await following.after(following.tail.interval_s) == 2


@pytest.mark.parametrize(("lag_s", "is_live"), [(2.5, True), (3.5, False)])
async def test_a_steady_lag_is_live_up_to_three_seconds(following: Following, lag_s: float, is_live: bool) -> None:
    """One message per tenth of a second, each posted `lag_s` later."""
    for step in range(1, 100):
        following.last = step
        following.tail.advance(Group(last_sequence=step - int(lag_s * 10)))
        await following.after(0.1)
    assert (len(following.touched) > 1) is is_live


async def test_a_ledger_that_does_not_answer_is_not_asked_in_haste(following: Following) -> None:
    following.is_away = True
    assert await following.after(0) == 0
    assert following.tail.interval_s > 1


async def test_an_owner_of_some_partitions_is_there_when_all_was_posted_that_was_there_at_one_of_its_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    following = Following(monkeypatch, partitions=3)
    following.last = 7  # others' messages
    looked_at = following.now
    for _ in range(4):
        assert await following.after(0.1) == 0
    following.drained_at = looked_at + 0.15  # after the first of four
    assert await following.after(0.1) == 1
