"""What Lumen may cost, and whether a run kept to it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.load.latency import Latency
from tests.load.rounds import CaseResult

SINGLE_TO_NGINX_MAX = 4.5
STREAM_TO_NGINX_MAX = 2.0
TRANSLATED_TO_NGINX_MAX = 4.5
LARGE_BODY_TO_NGINX_MAX = 1.5  # and the parse of its JSON on top
SYSTEM_TO_EDGE_MAX = 1.6
FLAT_MAX = 1.15
TTFT_ADDED_P50_MS_MAX = 0.5
TTFT_ADDED_P99_MS_MAX = 3.0
IDLE_RSS_MB_MAX = 90.0
LARGE_BODY = "body-1mb"
BASE = "chat-single"
_FLAT = {"chat-single-512": "from 16 to 512 connections", "chat-single-keys": "from 1 to many keys and accounts"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`measured` must be at least (`is_floor`) or at most `limit`; both in the unit that `goal` names."""

    goal: str
    measured: float
    limit: float
    is_floor: bool = False

    @property
    def is_met(self) -> bool:
        return self.measured >= self.limit if self.is_floor else self.measured <= self.limit

    def row(self) -> list[str]:
        sign = ">=" if self.is_floor else "<="
        return [self.goal, f"{self.measured:.2f}", f"{sign} {self.limit:g}", "met" if self.is_met else "MISSED"]


def judge(
    results: Sequence[CaseResult],
    latency: Mapping[str, Latency],
    idle_rss_mb: float | None,
    parse_ms: float,
) -> list[Verdict]:
    """Only of what was measured. `parse_ms`: CPU of one parse of the large body."""
    verdicts = list(_of_cases(results, parse_ms))
    if "edge" in latency:
        edge, direct = latency["edge"], latency["direct"]
        p50, p99 = edge.ttft_p50_ms - direct.ttft_p50_ms, edge.ttft_p99_ms - direct.ttft_p99_ms
        verdicts.append(Verdict("added time to first token, p50, ms", p50, TTFT_ADDED_P50_MS_MAX))
        verdicts.append(Verdict("added time to first token, p99, ms", p99, TTFT_ADDED_P99_MS_MAX))
    if idle_rss_mb is not None:
        verdicts.append(Verdict("edge RSS at idle, MB", idle_rss_mb, IDLE_RSS_MB_MAX))
    return verdicts


def _of_cases(results: Sequence[CaseResult], parse_ms: float) -> Iterator[Verdict]:
    by_name = {result.case.name: result for result in results if all("edge" in each for each in result.rounds)}
    for name, result in by_name.items():
        to_nginx = statistics.median(result.ratios(("edge", "own_ms"), ("nginx", "own_ms")))
        if name == LARGE_BODY:
            limit_ms = LARGE_BODY_TO_NGINX_MAX * result.median("nginx", "own_ms") + parse_ms
            goal = f"{name}: edge ms, {LARGE_BODY_TO_NGINX_MAX:g} x nginx and a parse ({parse_ms:.2f} ms)"
            yield Verdict(goal, result.median("edge", "own_ms"), round(limit_ms, 2))
        elif name in _FLAT:
            if BASE in by_name:
                flat = result.median("edge", "own_ms") / by_name[BASE].median("edge", "own_ms")
                yield Verdict(f"{name}: edge CPU {_FLAT[name]}", flat, FLAT_MAX)
        else:
            limit = STREAM_TO_NGINX_MAX if result.case.frames else SINGLE_TO_NGINX_MAX
            if result.case.upstream_call is not None:
                limit = TRANSLATED_TO_NGINX_MAX
            yield Verdict(f"{name}: edge to nginx", to_nginx, limit)
            to_edge = statistics.median(result.ratios(("edge", "system_ms"), ("edge", "own_ms")))
            yield Verdict(f"{name}: system to edge", to_edge, SYSTEM_TO_EDGE_MAX)
