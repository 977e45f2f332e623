"""How many further attempts an outage may cause."""

from __future__ import annotations

from services.edge.routing.retry_budget import RetryBudget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_not_multiplied() -> None:
    clock = Clock()
    budget = RetryBudget(share=0.2, floor_per_s=1.0, tokens_max=50.0, clock=clock)
    made = 0
    for _ in range(10_000):  # 100 requests per second, all failing
        clock.now += 0.01
        budget.requests += 1
        made += budget.try_retry()
    assert made == budget.taken
    assert 2_000 <= made <= 50 + 2_000 + 100 + 1
    assert budget.refused == 10_000 - made


def test_a_quiet_edge_may_always_retry_a_little() -> None:
    clock = Clock()
    budget = RetryBudget(share=0.2, floor_per_s=1.0, tokens_max=2.0, clock=clock)
    assert [budget.try_retry() for _ in range(4)] == [True, True, False, False]
    clock.now = 1.5
    assert [budget.try_retry() for _ in range(2)] == [True, False]


def test_savings_are_bounded() -> None:
    clock = Clock()
    budget = RetryBudget(tokens_max=3.0, clock=clock)
    clock.now = 1e6
    budget.requests = 10**6
    assert sum(budget.try_retry() for _ in range(100)) == 3
