"""Every metric of the provider workers. The workers count in plain integers; this collector reads them at a scrape, so
that a request costs no metric call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.edge.provider_workers.transport import ConnectionStats

_GAUGES = {
    "in_flight": ("lumen_edge_channel_in_flight", "Requests on their way to the provider or back."),
    "concurrency_max": ("lumen_edge_channel_concurrency_max", "Requests the channel may have in flight."),
    "is_ready": ("lumen_edge_channel_ready", "1: usable; 0: disabled, for example without its secret."),
    "connections_open": ("lumen_edge_upstream_connections_open", "Connections of the lean transport."),
    "connections_idle": ("lumen_edge_upstream_connections_idle", "Of those, waiting for a request."),
}
_COUNTERS = {
    "connects": ("lumen_edge_upstream_connects_total", "Connections made."),
    "reuses": ("lumen_edge_upstream_connection_reuses_total", "Requests sent on a connection that was open already."),
    "stale_retries": (
        "lumen_edge_upstream_stale_retries_total",
        "Requests sent again because their pooled connection had been closed.",
    ),
}


@dataclass(slots=True)
class ChannelStats(ConnectionStats):
    in_flight: int = 0
    concurrency_max: int = 0
    is_ready: int = 0


class WorkerMetrics(Collector):
    """One set of counts per channel name; kept after the channel is gone, for counters must not fall."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.slot_waits = 0
        self.slot_waits_refused = 0
        self._channels: dict[str, ChannelStats] = {}
        if registry is not None:
            registry.register(self)

    def channel(self, name: str) -> ChannelStats:
        return self._channels.setdefault(name, ChannelStats())

    def collect(self) -> Iterable[Metric]:
        for field, (name, help_text) in _GAUGES.items():
            gauge = GaugeMetricFamily(name, help_text, labels=["channel"])
            for labels, value in self._values(field):
                gauge.add_metric(labels, value)
            yield gauge
        for field, (name, help_text) in _COUNTERS.items():
            counter = CounterMetricFamily(name, help_text, labels=["channel"])
            for labels, value in self._values(field):
                counter.add_metric(labels, value)
            yield counter
        yield CounterMetricFamily(
            "lumen_edge_slot_waits_total", "Requests that found every channel busy and waited.", value=self.slot_waits
        )
        yield CounterMetricFamily(
            "lumen_edge_slot_waits_refused_total",
            "Requests that found every channel busy and too many waiting.",
            value=self.slot_waits_refused,
        )

    def _values(self, field: str) -> Iterator[tuple[list[str], int]]:
        for channel, stats in self._channels.items():
            yield [channel], getattr(stats, field)
