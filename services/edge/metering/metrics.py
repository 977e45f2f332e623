"""Every metric of the metering, named and described once. Prometheus conventions, units last."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_ACK_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class MeteringMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.entries_submitted = Counter(
            "lumen_edge_ledger_entries_submitted_total", "Usage entries given to the outbox.", registry=registry
        )
        self.entries_acked = Counter(
            "lumen_edge_ledger_entries_acked_total", "Usage entries known to be in the ledger.", registry=registry
        )
        self.entries_spooled = Counter(
            "lumen_edge_ledger_entries_spooled_total", "Usage entries made safe on the local disk.", registry=registry
        )
        self.batches_acked = Counter(
            "lumen_edge_ledger_batches_acked_total", "Batches known to be in the ledger.", registry=registry
        )
        self.ack_duration = Histogram(
            "lumen_edge_ledger_ack_duration_seconds",
            "From a batch's first publish to the proof that it is in the ledger.",
            buckets=_ACK_BUCKETS_S,
            registry=registry,
        )
        self.unclear_acks = Counter(
            "lumen_edge_ledger_unclear_acks_total",
            "Acks that were settled by asking the leader, by what it said.",
            ["settled"],
            registry=registry,
        )
        self.refused_batches = Counter(
            "lumen_edge_ledger_refused_batches_total",
            "Batches the stream refused (full, no leader); they are published again.",
            ["code"],
            registry=registry,
        )
        self.outbox_entries = Gauge(
            "lumen_edge_ledger_outbox_entries", "Entries neither in the ledger nor on disk.", registry=registry
        )
        self.spool_bytes = Gauge("lumen_edge_spool_bytes", "Bytes of spool segments on disk.", registry=registry)
        self.spool_batches = Gauge(
            "lumen_edge_spool_batches", "Spooled batches not known to be in the ledger.", registry=registry
        )
        self.spool_oldest_age = Gauge(
            "lumen_edge_spool_oldest_age_seconds", "Age of the oldest such batch (of this boot).", registry=registry
        )
        self.spool_failures = Counter(
            "lumen_edge_spool_failures_total", "Spool writes that failed and are repeated.", registry=registry
        )
        self.stopped_partitions = Gauge(
            "lumen_edge_ledger_stopped_partitions", "Partitions stopped: the ledger contradicts us.", registry=registry
        )
        self.holds_refused = Counter(
            "lumen_edge_holds_refused_total", "Requests that could not be covered.", ["reason"], registry=registry
        )
        self.grants = Counter("lumen_edge_lease_grants_total", "Grant calls.", ["outcome"], registry=registry)
        self.renewals = Counter("lumen_edge_lease_renewals_total", "Renew calls.", ["outcome"], registry=registry)
        self.renewal_age = Gauge(
            "lumen_edge_lease_renewal_age_seconds", "Since the last answered renewal was sent.", registry=registry
        )
        self.overspend_nanousd = Counter(
            "lumen_edge_overspend_nanousd_total", "What requests cost beyond their holds.", registry=registry
        )
        self.lease_books = Gauge("lumen_edge_lease_books", "Accounts and limited keys with books.", registry=registry)
