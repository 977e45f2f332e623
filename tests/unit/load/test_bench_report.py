"""How the bench's figures are put together."""

from __future__ import annotations

import json
from pathlib import Path

from tests.load.calls import make_call
from tests.load.local_stack import LeaseCounts
from tests.load.report import Report
from tests.load.rounds import Case, CaseResult, Sample


def sample(server: str, own_ms: float, system_ms: float) -> Sample:
    return Sample(server, 1000, 250.0, own_ms, system_ms, {server: own_ms}, 0.5, 0.0, 700.0, 1.0, 2.0)


def report(*rounds: dict[str, Sample]) -> Report:
    case = Case("chat-single", make_call(is_stream=False), 16)
    return Report(
        {"cores": "2"},
        {"rounds": len(rounds)},
        [CaseResult(case, rounds)],
        {},
        {"at idle": 80.0},
        0.02,
        {"a -> b": 4.25},
        "ok",
    )


def test_ratios_are_taken_within_a_round_and_the_median_counts(tmp_path: Path) -> None:
    result = report(
        {"nginx": sample("nginx", 0.1, 0.1), "edge": sample("edge", 0.4, 0.6)},
        {"nginx": sample("nginx", 0.2, 0.2), "edge": sample("edge", 0.6, 0.9)},
        {"nginx": sample("nginx", 0.1, 0.1), "edge": sample("edge", 0.5, 1.0)},
    )
    result.store(tmp_path / "report.json")
    case = json.loads((tmp_path / "report.json").read_text())["cases"]["chat-single"]
    assert round(case["edge_to_nginx"], 9) == 4.0
    assert round(case["system_to_edge"], 9) == 1.5
    assert len(case["rounds"]) == 3
    assert "4.00 (3.00-5.00)" in result.text()
    assert "a -> b" in result.text()


def test_nginx_alone_has_a_table_too() -> None:
    assert "chat-single" in report({"nginx": sample("nginx", 0.1, 0.1)}).text()


def test_lease_calls_are_counted_per_thousand_requests_of_the_load() -> None:
    assert LeaseCounts(44, 12_500).since(LeaseCounts(4, 2_500)).rpcs_per_1000 == 4.0
