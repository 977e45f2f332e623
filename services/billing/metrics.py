"""Every metric of billing, named and described once. Names follow Prometheus conventions, units last."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class BillingMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter("lumen_billing_messages_total", "Ledger messages posted.", registry=registry)
        self.entries = Counter("lumen_billing_entries_total", "Ledger entries posted.", registry=registry)
        self.rows = Counter("lumen_billing_rows_total", "Rows inserted.", ["table"], registry=registry)
        self.dead_letters = Counter(
            "lumen_billing_dead_letters_total", "Entries recorded but not charged.", ["reason"], registry=registry
        )
        self.lag_messages = Gauge(
            "lumen_billing_lag_messages", "Ledger messages behind the stream's last one.", registry=registry
        )
        self.lag_seconds = Gauge(
            "lumen_billing_lag_seconds", "Age of the oldest entry of the group just posted.", registry=registry
        )
        self.refused_queries = Counter(
            "lumen_billing_refused_queries_total", "Edges' questions refused: too many at once.", registry=registry
        )
        self.is_owner = Gauge(
            "lumen_billing_owner", "1 while this process follows the ledger, 0 while it stands by.", registry=registry
        )
        self.is_live = Gauge("lumen_billing_live", "1 while balances are at the ledger's tail.", registry=registry)
        self.stage_duration = Histogram(
            "lumen_billing_stage_duration_seconds",
            "One group in one stage, retries included.",
            ["stage"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=registry,
        )
        self.retries = Counter(
            "lumen_billing_retries_total", "Attempts that failed and were repeated.", ["stage"], registry=registry
        )
        self.restarts = Counter(
            "lumen_billing_restarts_total", "Times following began anew from the marks.", ["cause"], registry=registry
        )
        self.rebuilt_partitions = Counter(
            "lumen_billing_rebuilt_partitions_total", "Partitions of Redis rebuilt from ClickHouse.", registry=registry
        )
        self.stopped_partitions = Gauge(
            "lumen_billing_stopped_partitions", "Partitions stopped for an operator.", ["cause"], registry=registry
        )
        self.missing_revisions = Gauge(
            "lumen_billing_missing_catalog_revisions", "Catalog revisions being waited for.", registry=registry
        )
        self.rollup_pending_hours = Gauge(
            "lumen_billing_rollup_pending_hours", "Hours (per partition) whose rollup is due.", registry=registry
        )
        self.expiries_due = Gauge(
            "lumen_billing_expiries_due",
            "Credits past their expiry and not closed, when last looked at (at most 1000 of a partition).",
            registry=registry,
        )
        self.drift_accounts = Gauge(
            "lumen_billing_drift_accounts", "Accounts whose balance differed in the last check.", registry=registry
        )
        self.drift_nanousd = Gauge(
            "lumen_billing_drift_nanousd", "Sum of those differences, unsigned.", registry=registry
        )
        self.drift_checked_at = Gauge(
            "lumen_billing_drift_checked_timestamp_seconds", "When the continuous check last ended.", registry=registry
        )
        self.proof_drifts = Gauge(
            "lumen_billing_proof_drifts",
            "Drifts (at most 100 are counted) that the last whole proof found, by check.",
            ["check"],
            registry=registry,
        )
        self.proved_at = Gauge(
            "lumen_billing_proof_timestamp_seconds", "When the last whole proof ended.", registry=registry
        )
        self.recorded_dead_letters = Gauge(
            "lumen_billing_recorded_dead_letters", "Dead letters recorded, as of the last proof.", registry=registry
        )
        self.credits = Counter("lumen_billing_credits_total", "Credits accepted.", ["kind"], registry=registry)

    def stand_by(self) -> None:
        """Another process follows the ledger: what is said of following is its to say."""
        for gauge in (self.is_owner, self.is_live, self.lag_messages, self.lag_seconds, self.expiries_due):
            gauge.set(0)
        self.stopped_partitions.clear()
