"""Every metric of the edge's request path, named and described once: those of each request in `request_stats`, the rare
ones here. Prometheus conventions, units last."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.edge.request_stats import RequestStats


class EdgeMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = RequestStats(registry)
        self.in_flight = Gauge("lumen_edge_requests_in_flight", "Model requests being served.", registry=registry)
        self.rejections = Counter(
            "lumen_edge_rejections_total", "Requests refused by the edge itself.", ["kind"], registry=registry
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
        self.account_queries = Counter(
            "lumen_edge_account_queries_total",
            "Questions for balance and usage, by outcome.",
            ["outcome"],
            registry=registry,
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
        self.translation_losses = Counter(
            "lumen_edge_translation_losses_total",
            "Hints of clients that the upstream's dialect has no words for, left out.",
            ["upstream_dialect", "feature"],
            registry=registry,
        )
        self.key_cache = Counter("lumen_edge_key_lookups_total", "Key lookups.", ["result"], registry=registry)
        self.catalog_revision = Gauge("lumen_edge_catalog_revision", "Route table in use.", registry=registry)
        self.watch_age = Gauge(
            "lumen_edge_watch_age_seconds", "Since the last push or heartbeat.", ["peer"], registry=registry
        )
