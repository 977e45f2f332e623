"""Every metric of the edge's request path, named and described once. Prometheus conventions, units last."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class EdgeMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "lumen_edge_requests_total",
            "Answered model requests.",
            ["client_dialect", "status"],
            registry=registry,
        )
        self.in_flight = Gauge("lumen_edge_requests_in_flight", "Model requests being served.", registry=registry)
        self._observers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}  # labels() costs more than inc()
        self.duration = Histogram(
            "lumen_edge_request_duration_seconds",
            "From the request's head to the answer's last byte.",
            ["client_dialect"],
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.ttft = Histogram(
            "lumen_edge_time_to_first_token_seconds",
            "From the request's head to the answer's first byte.",
            ["client_dialect"],
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.rejections = Counter(
            "lumen_edge_rejections_total", "Requests refused by the edge itself.", ["kind"], registry=registry
        )
        self.attempts = Counter(
            "lumen_edge_attempts_total", "Calls to providers.", ["channel", "reason"], registry=registry
        )
        self.disconnects = Counter(
            "lumen_edge_client_disconnects_total",
            "Clients gone before their answer ended.",
            ["policy"],
            registry=registry,
        )
        self.draining = Gauge(
            "lumen_edge_disconnected_draining", "Streams read on for their usage without a client.", registry=registry
        )
        self.keepalives = Counter("lumen_edge_keepalives_total", "Keepalive frames sent.", registry=registry)
        self.stalled_clients = Counter(
            "lumen_edge_stalled_clients_total", "Clients cut off because they stopped reading.", registry=registry
        )
        self.usage_anomalies = Counter(
            "lumen_edge_usage_anomalies_total", "Implausible usage figures, clamped.", ["channel"], registry=registry
        )
        self.usage_estimated = Counter(
            "lumen_edge_usage_estimated_total", "Answers without reported usage.", ["channel"], registry=registry
        )
        self.key_cache = Counter("lumen_edge_key_lookups_total", "Key lookups.", ["result"], registry=registry)
        self.catalog_revision = Gauge("lumen_edge_catalog_revision", "Route table in use.", registry=registry)
        self.watch_age = Gauge(
            "lumen_edge_watch_age_seconds", "Since the last push or heartbeat.", ["peer"], registry=registry
        )

    def observe(self, client_dialect: str, status: int, duration_s: float) -> None:
        """One request has been answered (499: its client had gone)."""
        children = self._observers.get((client_dialect, status))
        if children is None:
            children = (self.requests.labels(client_dialect, str(status)), self.duration.labels(client_dialect))
            self._observers[client_dialect, status] = children
        counter, histogram = children
        counter.inc()
        histogram.observe(duration_s)
