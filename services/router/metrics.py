"""Every metric of router, named and described once. Names follow Prometheus conventions, units last."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class RouterMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.catalog_revision = Gauge(
            "lumen_router_catalog_revision", "Newest catalog revision seen; 0 before the first.", registry=registry
        )
        self.view_age = Gauge(
            "lumen_router_view_age_seconds", "Since the catalog's store last proved it was alive.", registry=registry
        )
        self.watchers = Gauge("lumen_router_watchers", "Edges connected to the watch stream.", registry=registry)
        self.pushes = Counter("lumen_router_pushes_total", "Catalogs sent to edges.", registry=registry)
        self.applies = Counter(
            "lumen_router_applies_total",
            "Catalogs offered, by what became of them: created, unchanged, invalid, checked.",
            ["outcome"],
            registry=registry,
        )
        self.routes = Counter(
            "lumen_router_routes_total", "Unary routes asked for: found, not_found.", ["outcome"], registry=registry
        )
        self.unreadable_revisions = Counter(
            "lumen_router_unreadable_revisions_total",
            "Stored revisions this release cannot read.",
            registry=registry,
        )
        self.verdicts = Gauge("lumen_router_verdicts", "Breakers that some edge holds open.", registry=registry)
        self.verdict_changes = Counter(
            "lumen_router_verdict_changes_total", "Changes of the verdicts sent to edges.", registry=registry
        )
