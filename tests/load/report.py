"""The bench's result as a table for people and as JSON for scripts."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.load.goals import Verdict, verdicts
from tests.load.latency import Latency
from tests.load.rounds import CaseResult

_NOTES = """\
CPU in milliseconds per answer, user and system, medians of alternating rounds. Each ratio is taken side by side within
one round; the median counts, (lowest-highest) of the rounds stand beside it. nginx: a plain reverse proxy, one process,
in front of the same upstream. edge: its one process. system: edge, auth, router, billing, console, NATS, Valkey and
ClickHouse, with what they still work off after the load; without simulator and supervisor. Everything of Lumen is on:
authentication, holds, routing, metering, ledger, metrics, logs. Absolute figures are this machine's; ratios travel."""


@dataclass(frozen=True, slots=True)
class Report:
    """`memory_mb`: the edge's RSS by moment. `delta_us`: CPU of a text delta by its way.

    `reconcile`: the verdict on all that the bench made the account spend.
    `lease_rpcs_per_1000`: Grant and Renew calls of the edge per thousand requests, over all cases; None without one.
    """

    machine: Mapping[str, str]
    settings: Mapping[str, Any]
    cases: Sequence[CaseResult]
    latency: Mapping[str, Latency]
    memory_mb: Mapping[str, float]
    idle_cores: float
    delta_us: Mapping[str, float]
    reconcile: str
    lease_rpcs_per_1000: float | None = None

    def text(self) -> str:
        parts = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            ", ".join(f"{name} {value}" for name, value in self.settings.items()),
            table(_case_rows(self.cases)),
        ]
        parts.append("\n".join(_breakdown(result) for result in self.cases))
        if self.latency:
            parts.append(table(_latency_rows(self.latency)))
        parts.append(table(_delta_rows(self.delta_us)))
        if self.memory_mb:
            memory = ", ".join(f"{value:.0f} MB {moment}" for moment, value in self.memory_mb.items())
            parts.append(f"edge RSS: {memory}; system idle: {self.idle_cores:.3f} cores; reconcile: {self.reconcile}")
        if self.lease_rpcs_per_1000 is not None:
            parts.append(f"lease RPCs per 1,000 requests: {self.lease_rpcs_per_1000:.2f} (goal: under 20)")
        if self.verdicts:
            parts.append(table(verdict_rows(self.verdicts)))
        return "\n\n".join([*parts, _NOTES])

    @property
    def verdicts(self) -> list[Verdict]:
        return verdicts(self.cases, self.latency, self.memory_mb, self.lease_rpcs_per_1000)

    def store(self, path: Path) -> None:
        document = {
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "cases": {result.case.name: _case_document(result) for result in self.cases},
            "latency": {name: asdict(latency) for name, latency in self.latency.items()},
            "edge_rss_mb": dict(self.memory_mb),
            "system_idle_cores": self.idle_cores,
            "text_delta_us": dict(self.delta_us),
            "reconcile": self.reconcile,
            "lease_rpcs_per_1000": self.lease_rpcs_per_1000,
            "goals": [asdict(verdict) | {"is_met": verdict.is_met} for verdict in self.verdicts],
        }
        path.write_text(json.dumps(document, indent=1) + "\n")


def _case_document(result: CaseResult) -> dict[str, Any]:
    document: dict[str, Any] = {"connections": result.case.connections, "frames": result.case.frames}
    if result.has_edge:
        document["edge_to_nginx"] = statistics.median(result.edge_to_nginx())
        document["system_to_edge"] = statistics.median(result.system_to_edge())
    document["rounds"] = [{name: asdict(sample) for name, sample in samples.items()} for samples in result.rounds]
    return document


def _breakdown(result: CaseResult) -> str:
    """Where the system's CPU goes, and whether others were using the machine."""
    samples = [samples.get("edge") or samples["nginx"] for samples in result.rounds]
    names = sorted(samples[0].by_process_ms, key=lambda name: -samples[0].by_process_ms[name])
    shares = ", ".join(f"{name} {statistics.median(s.by_process_ms[name] for s in samples):.3f}" for name in names)
    others = statistics.median(sample.others_cores for each in result.rounds for sample in each.values())
    return f"{result.case.name}: {shares} ms; meanwhile processes of others used {others:.2f} cores"


def _case_rows(results: Sequence[CaseResult]) -> list[list[str]]:
    rows = [
        ["CASE", "CONNS", "NGINX ms", "EDGE ms", "EDGE/NGINX", "SYSTEM ms", "SYSTEM/EDGE", "nginx req/s", "edge req/s"]
    ]
    for result in results:
        row = [result.case.name, str(result.case.connections), f"{result.median('nginx', 'own_ms'):.3f}"]
        nginx_rate = f"{result.median('nginx', 'requests_per_s'):.0f}"
        if result.has_edge:
            row += [
                f"{result.median('edge', 'own_ms'):.3f}",
                _ratio(result.edge_to_nginx()),
                f"{result.median('edge', 'system_ms'):.3f}",
                _ratio(result.system_to_edge()),
                nginx_rate,
                f"{result.median('edge', 'requests_per_s'):.0f}",
            ]
        else:
            row += ["-", "-", "-", "-", nginx_rate, "-"]
        rows.append(row)
    return rows


def _latency_rows(latencies: Mapping[str, Latency]) -> list[list[str]]:
    """The added time is the difference of the percentiles."""
    rows = [["ONE CONNECTION, ms", "ttft p50", "p99", "added p50", "p99", "single p50", "p99", "added p50", "p99"]]
    direct = latencies["direct"]
    for name, each in latencies.items():
        row = [name]
        for figure in ("ttft", "single"):
            for kind in ("p50", "p99"):
                row.append(f"{getattr(each, f'{figure}_{kind}_ms'):.2f}")
            for kind in ("p50", "p99"):
                added = getattr(each, f"{figure}_{kind}_ms") - getattr(direct, f"{figure}_{kind}_ms")
                row.append("-" if name == "direct" else f"{added:+.2f}")
        rows.append(row)
    return rows


def verdict_rows(found: Sequence[Verdict]) -> list[list[str]]:
    rows = [["GOALS", "measured", "at most", ""]]
    for verdict in found:
        measured, goal = f"{verdict.value:.2f}{verdict.unit}", f"{verdict.goal:.2f}{verdict.unit}"
        rows.append([verdict.name, measured, goal, "met" if verdict.is_met else "missed"])
    return rows


def _delta_rows(costs: Mapping[str, float]) -> list[list[str]]:
    return [["ONE TEXT DELTA", "CPU us"], *([way, f"{cost:.2f}"] for way, cost in costs.items())]


def _ratio(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
