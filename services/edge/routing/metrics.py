"""Every metric of the edge's routing.

Alert on `lumen_edge_channel_account_faults_total` and on breakers that stay open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from services.edge.routing.health import Trouble
    from services.edge.routing.retry_budget import RetryBudget

_STATE_VALUES = {"closed": 0, "half_open": 1, "open": 2}


class RoutingMetrics(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self.transitions = Counter(
            "lumen_edge_breaker_transitions_total",
            "Breakers opened and closed by what this edge saw.",
            ["channel", "change"],
            registry=registry,
        )
        self.probes = Counter(
            "lumen_edge_breaker_probes_total", "Requests sent to see whether it works again.", ["channel"],
            registry=registry,
        )  # fmt: skip
        self.active_probes = Counter(
            "lumen_edge_active_probes_total",
            "Probes of channels that ask for them, by what was found: ok, or why not.",
            ["channel", "result"],
            registry=registry,
        )
        self.account_faults = Counter(
            "lumen_edge_channel_account_faults_total",
            "Times a channel was disabled because its provider refused our account (401, 402, 403).",
            ["channel"],
            registry=registry,
        )
        self.last_resorts = Counter(
            "lumen_edge_last_resorts_total",
            "Requests for which no healthy channel was left, tried on a failing one.",
            registry=registry,
        )
        self.fallbacks = Counter(
            "lumen_edge_fallbacks_total",
            "Requests answered by another model than the one asked for.",
            ["model", "served"],
            registry=registry,
        )
        self.affinity_hits = 0  # conversations that went where they belong
        self.affinity_misses = 0
        self._troubles: Callable[[], Iterable[Trouble]] = lambda: ()
        self._budget: RetryBudget | None = None
        registry.register(self)

    def read_health(self, troubles: Callable[[], Iterable[Trouble]]) -> None:
        self._troubles = troubles

    def read_budget(self, budget: RetryBudget) -> None:
        self._budget = budget

    def collect(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "lumen_edge_breaker_state",
            "2: open, 1: half-open; absent: closed. model empty: the whole channel.",
            labels=["channel", "model"],
        )
        for trouble in self._troubles():
            state.add_metric([trouble.channel, trouble.model], _STATE_VALUES[trouble.state.value])
        yield state
        pinned = CounterMetricFamily(
            "lumen_edge_affinity", "Requests by whether they went where their conversation belongs.", labels=["result"]
        )
        pinned.add_metric(["hit"], self.affinity_hits)
        pinned.add_metric(["miss"], self.affinity_misses)
        yield pinned
        retries = CounterMetricFamily(
            "lumen_edge_retries", "Further attempts, by whether the retry budget allowed them.", labels=["result"]
        )
        retries.add_metric(["made"], self._budget.taken if self._budget else 0)
        retries.add_metric(["refused"], self._budget.refused if self._budget else 0)
        yield retries
