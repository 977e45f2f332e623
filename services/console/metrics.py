"""Every metric of console, named and described once. Names follow Prometheus conventions, units last."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class ConsoleMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "lumen_console_requests_total",
            "Requests to the admin API, by route template and HTTP status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.alerts = Counter(
            "lumen_console_alerts_total",
            "Low-balance alerts: delivered, failed (given up), retried.",
            ["outcome"],
            registry=registry,
        )
        self.alert_rounds = Counter(
            "lumen_console_alert_rounds_total",
            "Looks at the balances that have an alert: looked, unavailable.",
            ["outcome"],
            registry=registry,
        )
        self.duration = Histogram(
            "lumen_console_request_duration_seconds",
            "From the request's arrival to the end of its answer.",
            ["method", "route"],
            registry=registry,
        )
        self.exports_open = Gauge("lumen_console_exports_open", "Exports under way.", registry=registry)
        self.exports = Counter(
            "lumen_console_exports_total",
            "Exports ended, by outcome: whole, or broken_off (client gone, limit, ClickHouse).",
            ["export", "format", "outcome"],
            registry=registry,
        )
        self.export_bytes = Counter(
            "lumen_console_export_bytes_total", "Bytes of exports sent.", ["export", "format"], registry=registry
        )
