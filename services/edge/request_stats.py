"""The per-request metrics as plain numbers, turned into Prometheus families at a scrape.

prometheus_client's own counters take a lock and a label lookup for each step, which at several steps per request cost
more than the admission does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class _Latency:
    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        cumulative = 0
        buckets = []
        for bound, count in zip((*LATENCY_BUCKETS_S, float("inf")), self.counts, strict=True):
            cumulative += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(cumulative)))
        return buckets


class RequestStats(Collector):
    """Only for the event loop's thread, as everything of the request path is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests: dict[tuple[str, int], int] = {}
        self._durations: dict[str, _Latency] = {}
        self._ttfts: dict[str, _Latency] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        registry.register(self)

    def answered(self, client_dialect: str, status: int, duration_s: float) -> None:
        """One model request has been answered (499: its client had gone)."""
        key = (client_dialect, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        latency = self._durations.get(client_dialect)
        if latency is None:
            latency = self._durations[client_dialect] = _Latency()
        latency.observe(duration_s)

    def first_byte(self, client_dialect: str, ttft_s: float) -> None:
        latency = self._ttfts.get(client_dialect)
        if latency is None:
            latency = self._ttfts[client_dialect] = _Latency()
        latency.observe(ttft_s)

    def attempted(self, channel: str, reason: str) -> None:
        key = (channel, reason)
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def collect(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "lumen_edge_requests", "Answered model requests.", labels=["client_dialect", "status"]
        )
        for (dialect, status), count in self._requests.items():
            requests.add_metric([dialect, str(status)], count)
        attempts = CounterMetricFamily("lumen_edge_attempts", "Calls to providers.", labels=["channel", "reason"])
        for labels, count in self._attempts.items():
            attempts.add_metric(list(labels), count)
        return [
            requests,
            attempts,
            _family(
                "lumen_edge_request_duration_seconds",
                "From the request's head to the answer's last byte.",
                self._durations,
            ),
            _family(
                "lumen_edge_time_to_first_token_seconds",
                "From the request's head to the answer's first byte.",
                self._ttfts,
            ),
        ]


def _family(name: str, text: str, latencies: dict[str, _Latency]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=["client_dialect"])
    for dialect, latency in latencies.items():
        family.add_metric([dialect], latency.buckets(), latency.sum_s)
    return family
