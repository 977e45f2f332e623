"""The arithmetic of goals and of the soak."""

from __future__ import annotations

from tests.load.calls import make_call
from tests.load.goals import verdicts
from tests.load.latency import Latency
from tests.load.rounds import Case, CaseResult
from tests.load.soak import growth_mb, is_growing
from tests.unit.load.test_bench_report import sample


def result(name: str, nginx_ms: float, edge_ms: float, system_ms: float, goal: float | None = None) -> CaseResult:
    case = Case(name, make_call(is_stream=False), 16, goal=goal)
    rounds = [{"nginx": sample("nginx", nginx_ms, nginx_ms), "edge": sample("edge", edge_ms, system_ms)}]
    return CaseResult(case, rounds)


def test_each_goal_is_judged_by_what_was_measured() -> None:
    cases = [
        result("chat-single", 0.01, 0.04, 0.08, goal=4.5),
        result("many-connections", 0.01, 0.05, 0.06),
    ]
    latency = {"direct": Latency(0.1, 0.2, 0.1, 0.2, 9), "edge": Latency(0.7, 1.2, 0.9, 2.0, 9)}
    found = verdicts(cases, latency, {"at idle": 80.0}, 21.0)
    assert [(round(each.value, 6), each.goal, each.is_met) for each in found] == [
        (4.0, 4.5, True),  # edge in nginx
        (2.0, 1.6, False),  # system in edge
        (1.25, 1.15, False),  # 512 connections
        (0.6, 0.5, False),  # ttft p50
        (1.0, 3.0, True),  # p99
        (80.0, 90.0, True),
        (21.0, 20.0, False),
    ]


def test_a_large_body_may_cost_a_parse_more() -> None:
    (verdict,) = verdicts([result("large-body", 1.0, 1.4, 2.0)], {}, {}, None)
    assert verdict.goal > 1.5
    assert verdict.is_met


def test_growth_is_the_slope_of_the_second_half_and_odd_samples_do_not_move_it() -> None:
    warm_up = [(float(second), 50.0 + 10 * second) for second in range(10)]
    flat = [(float(second), 150.0) for second in range(10, 20)]
    flat[4] = (14.0, 400.0)
    assert growth_mb(warm_up + flat) == 0.0
    assert not is_growing(warm_up + flat)
    assert is_growing([(float(second), 100.0 + second) for second in range(40)])
