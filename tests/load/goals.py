"""What the bench's figures are measured against, and whether they reach it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tests.load.latency import Latency
from tests.load.rounds import CaseResult

_SYSTEM_TO_EDGE = 1.6
_FLATNESS = 1.15
_LARGE_BODY = 1.5  # of nginx, plus one JSON parse of the body
_TTFT_P50_MS, _TTFT_P99_MS = 0.5, 3.0
_RSS_MB = 90.0
_LEASE_RPCS = 20.0
_BASE_CASE = "chat-single"
_FLAT_CASES = {
    "many-connections": "CPU at 512 connections, in that at 16",
    "many-keys": "CPU with many keys, in that with 1",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    name: str
    value: float
    goal: float  # at most
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.value <= self.goal


def verdicts(
    cases: Sequence[CaseResult],
    latency: Mapping[str, Latency],
    memory_mb: Mapping[str, float],
    lease_rpcs_per_1000: float | None,
) -> list[Verdict]:
    """Of whatever was measured."""
    found = [*_of_cases(cases), *_of_latency(latency)]
    if "at idle" in memory_mb:
        found.append(Verdict("edge RSS at idle", memory_mb["at idle"], _RSS_MB, " MB"))
    if lease_rpcs_per_1000 is not None:
        found.append(Verdict("lease RPCs per 1,000 requests", lease_rpcs_per_1000, _LEASE_RPCS))
    return found


def _of_cases(results: Sequence[CaseResult]) -> Iterator[Verdict]:
    by_name = {result.case.name: result for result in results if result.has_edge}
    for name, result in by_name.items():
        if result.case.goal is not None:
            yield Verdict(f"{name}: edge in nginx", statistics.median(result.edge_to_nginx()), result.case.goal, " x")
    for name, result in by_name.items():
        if result.case.goal is not None and result.case.plain is None:
            yield Verdict(f"{name}: system in edge", statistics.median(result.system_to_edge()), _SYSTEM_TO_EDGE, " x")
    base = by_name.get(_BASE_CASE)
    for name, text in _FLAT_CASES.items():
        if base is not None and name in by_name:
            yield Verdict(text, by_name[name].median("edge", "own_ms") / base.median("edge", "own_ms"), _FLATNESS, " x")
    large = by_name.get("large-body")
    if large is not None:
        goal = _LARGE_BODY * large.median("nginx", "own_ms") + json_parse_ms(large.case.call.body)
        yield Verdict("large-body: edge, against 1.5 nginx + a JSON parse", large.median("edge", "own_ms"), goal, " ms")


def _of_latency(latency: Mapping[str, Latency]) -> Iterator[Verdict]:
    if "edge" in latency and "direct" in latency:
        edge, direct = latency["edge"], latency["direct"]
        yield Verdict("added time to first byte, p50", edge.ttft_p50_ms - direct.ttft_p50_ms, _TTFT_P50_MS, " ms")
        yield Verdict("added time to first byte, p99", edge.ttft_p99_ms - direct.ttft_p99_ms, _TTFT_P99_MS, " ms")


def json_parse_ms(body: bytes, rounds: int = 20) -> float:
    """CPU of decoding `body` once, the least of some rounds."""
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        msgspec.json.decode(body)
        spent.append(time.process_time() - started)
    return min(spent) * 1e3
