"""Every metric of limits at the edge."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class LimitMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter(
            "lumen_edge_limit_calls_total", "ShareLimits calls: answered, failed.", ["result"], registry=registry
        )
        self.shares = Gauge("lumen_edge_limit_shares", "Limits of which this edge has a part.", registry=registry)
        self.waits = Counter(
            "lumen_edge_limit_waits_total", "Requests that waited for auth's answer.", registry=registry
        )
        self.refusals = Counter(
            "lumen_edge_limit_refusals_total", "Requests refused by a limit.", ["scope", "kind"], registry=registry
        )
        self.local = Counter(
            "lumen_edge_limit_local_total",
            "Claims on limits decided without auth, by the local rule: admitted, refused.",
            ["result"],
            registry=registry,
        )
