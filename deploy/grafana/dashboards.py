"""The three dashboards: for operators, for channels, for one account. The JSON in the chart is generated from here by
`python -m deploy.grafana`; a test compares them, and every metric and column with the code's own."""

from __future__ import annotations

from deploy.grafana.panels import CLICKHOUSE, PROMETHEUS, Dashboard, Panel, Row


def _quantiles(metric: str, by: str = "", where: str = "") -> dict[str, str]:
    labels = f"{by}, le" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return {
        f"p{int(q * 100)}{legend}": f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{where}[5m])))"
        for q in (0.5, 0.95, 0.99)
    }


OPERATORS = Dashboard(
    uid="lumen-operators",
    title="Lumen operators",
    source=PROMETHEUS,
    variables={"pod": "label_values(lumen_edge_requests_in_flight, pod)"},
    rows=[
        Row(
            "Requests",
            [
                Panel(
                    "Answers by status",
                    {"{{status}}": "sum by (status) (rate(lumen_edge_requests_total[5m]))"},
                    "reqps",
                ),
                Panel(
                    "Share of errors (5xx); the objective is 0.1 %",
                    {
                        "5 minutes": "lumen:edge_errors:ratio_rate5m",
                        "1 hour": "lumen:edge_errors:ratio_rate1h",
                        "6 hours": "lumen:edge_errors:ratio_rate6h",
                    },
                    "percentunit",
                ),
                Panel(
                    "Share that begins after more than 30 s; the objective is 1 %",
                    {
                        "5 minutes": "lumen:edge_ttft_slow:ratio_rate5m",
                        "1 hour": "lumen:edge_ttft_slow:ratio_rate1h",
                        "6 hours": "lumen:edge_ttft_slow:ratio_rate6h",
                    },
                    "percentunit",
                ),
                Panel("In flight", {"{{pod}}": 'lumen_edge_requests_in_flight{pod=~"$pod"}'}),
                Panel("First token", _quantiles("lumen_edge_time_to_first_token_seconds"), "s"),
                Panel("Whole answer", _quantiles("lumen_edge_request_duration_seconds"), "s"),
                Panel(
                    "Refused by the edge",
                    {"{{kind}}": "sum by (kind) (rate(lumen_edge_rejections_total[5m]))"},
                    "reqps",
                ),
                Panel(
                    "Clients that left or stalled",
                    {
                        "left ({{policy}})": "sum by (policy) (rate(lumen_edge_client_disconnects_total[5m]))",
                        "stalled": "sum(rate(lumen_edge_stalled_clients_total[5m]))",
                        "read on without a client": "sum(lumen_edge_disconnected_draining)",
                    },
                ),
                Panel("Key lookups", {"{{result}}": "sum by (result) (rate(lumen_edge_key_lookups_total[5m]))"}, "ops"),
            ],
        ),
        Row(
            "Ledger, as edges see it",
            [
                Panel("Ack of the ledger", _quantiles("lumen_edge_ledger_ack_duration_seconds"), "s"),
                Panel(
                    "Entries",
                    {
                        "submitted": "sum(rate(lumen_edge_ledger_entries_submitted_total[5m]))",
                        "acknowledged": "sum(rate(lumen_edge_ledger_entries_acked_total[5m]))",
                        "spooled": "sum(rate(lumen_edge_ledger_entries_spooled_total[5m]))",
                    },
                    "ops",
                ),
                Panel(
                    "Spool",
                    {"{{pod}}": 'lumen_edge_spool_bytes{pod=~"$pod"}'},
                    "bytes",
                    description="Zero while NATS is there.",
                ),
                Panel(
                    "Waiting",
                    {
                        "batches on disk": "sum(lumen_edge_spool_batches)",
                        "entries in memory": "sum(lumen_edge_ledger_outbox_entries)",
                        "stopped partitions": "sum(lumen_edge_ledger_stopped_partitions)",
                    },
                ),
                Panel(
                    "Refused or unclear",
                    {
                        "refused ({{code}})": "sum by (code) (rate(lumen_edge_ledger_refused_batches_total[5m]))",
                        "unclear ({{settled}})": "sum by (settled) (rate(lumen_edge_ledger_unclear_acks_total[5m]))",
                    },
                    "ops",
                ),
            ],
        ),
        Row(
            "Credit",
            [
                Panel("Grants", {"{{outcome}}": "sum by (outcome) (rate(lumen_auth_grants_total[5m]))"}, "ops"),
                Panel("Age of the last renewal", {"{{pod}}": 'lumen_edge_lease_renewal_age_seconds{pod=~"$pod"}'}, "s"),
                Panel(
                    "Holds refused", {"{{reason}}": "sum by (reason) (rate(lumen_edge_holds_refused_total[5m]))"}, "ops"
                ),
                Panel(
                    "Beyond the hold, USD per hour",
                    {"overspend": "sum(increase(lumen_edge_overspend_nanousd_total[1h])) / 1e9"},
                    "currencyUSD",
                ),
                Panel(
                    "Given back by auth, USD per hour",
                    {"{{reason}}": "sum by (reason) (increase(lumen_auth_freed_nanousd_total[1h])) / 1e9"},
                    "currencyUSD",
                ),
                Panel("Grants paused", {"{{pod}}": "lumen_auth_grants_paused"}),
            ],
        ),
        Row(
            "Billing",
            [
                Panel("Messages behind", {"{{pod}}": "lumen_billing_lag_messages"}),
                Panel("Live", {"{{pod}}": "lumen_billing_live"}),
                Panel("Entries posted", {"entries": "sum(rate(lumen_billing_entries_total[5m]))"}, "ops"),
                Panel(
                    "Stages, p95",
                    {
                        "{{stage}}": "histogram_quantile(0.95, sum by (stage, le)"
                        " (rate(lumen_billing_stage_duration_seconds_bucket[5m])))"
                    },
                    "s",
                ),
                Panel(
                    "Must be zero",
                    {
                        "drifting accounts": "max(lumen_billing_drift_accounts)",
                        "stopped partitions": "sum(lumen_billing_stopped_partitions)",
                        "missing catalogs": "max(lumen_billing_missing_catalog_revisions)",
                        "dead letters ({{reason}})": "sum by (reason) (increase(lumen_billing_dead_letters_total[1h]))",
                    },
                ),
                Panel("Retries", {"{{stage}}": "sum by (stage) (rate(lumen_billing_retries_total[5m]))"}, "ops"),
            ],
        ),
        Row(
            "Control plane",
            [
                Panel("Age of auth's view", {"{{pod}}": "lumen_auth_view_age_seconds"}, "s"),
                Panel("Age of router's view", {"{{pod}}": "lumen_router_view_age_seconds"}, "s"),
                Panel(
                    "Watch streams",
                    {"auth": "sum(lumen_auth_watchers)", "router": "sum(lumen_router_watchers)"},
                ),
                Panel(
                    "Catalog revision",
                    {"router": "max(lumen_router_catalog_revision)", "oldest edge": "min(lumen_edge_catalog_revision)"},
                ),
                Panel(
                    "Spans lost",
                    {"{{pod}} {{reason}}": "sum by (pod, reason) (rate(lumen_tracing_spans_dropped_total[5m]))"},
                    "ops",
                ),
                Panel(
                    "Admin calls",
                    {"{{route}} {{status}}": "sum by (route, status) (rate(lumen_console_requests_total[5m]))"},
                    "reqps",
                ),
            ],
        ),
    ],
)

_CHANNEL = '{channel=~"$channel"}'
CHANNELS = Dashboard(
    uid="lumen-channels",
    title="Lumen channels",
    source=PROMETHEUS,
    variables={"channel": "label_values(lumen_edge_channel_ready, channel)"},
    rows=[
        Row(
            "Channels",
            [
                Panel(
                    "Calls by outcome",
                    {
                        "{{channel}} {{reason}}": f"sum by (channel, reason) (rate(lumen_edge_attempts_total{_CHANNEL}[5m]))"
                    },
                    "reqps",
                ),
                Panel(
                    "Share that fails",
                    {
                        "{{channel}}": "sum by (channel) (rate(lumen_edge_attempts_total"
                        '{channel=~"$channel",reason=~"failed|connect|timeout|cut|protocol|status|account|error_event"}[5m]))'
                        f" / sum by (channel) (rate(lumen_edge_attempts_total{_CHANNEL}[5m]))"
                    },
                    "percentunit",
                ),
                Panel(
                    "Slots used",
                    {
                        "{{channel}}": f"sum by (channel) (lumen_edge_channel_in_flight{_CHANNEL})"
                        f" / sum by (channel) (lumen_edge_channel_concurrency_max{_CHANNEL} > 0)"
                    },
                    "percentunit",
                ),
                Panel("In flight", {"{{channel}}": f"sum by (channel) (lumen_edge_channel_in_flight{_CHANNEL})"}),
                Panel(
                    "Edges that can use it", {"{{channel}}": f"sum by (channel) (lumen_edge_channel_ready{_CHANNEL})"}
                ),
                Panel(
                    "Waiting for a slot, all channels",
                    {
                        "waited": "sum(rate(lumen_edge_slot_waits_total[5m]))",
                        "refused": "sum(rate(lumen_edge_slot_waits_refused_total[5m]))",
                    },
                    "ops",
                ),
                Panel(
                    "Connections",
                    {
                        "open {{channel}}": f"sum by (channel) (lumen_edge_upstream_connections_open{_CHANNEL})",
                        "idle {{channel}}": f"sum by (channel) (lumen_edge_upstream_connections_idle{_CHANNEL})",
                    },
                ),
                Panel(
                    "New connections per call",
                    {
                        "{{channel}}": f"sum by (channel) (rate(lumen_edge_upstream_connects_total{_CHANNEL}[5m]))"
                        f" / sum by (channel) (rate(lumen_edge_attempts_total{_CHANNEL}[5m]))"
                    },
                    "percentunit",
                ),
                Panel(
                    "Usage clamped or estimated",
                    {
                        "clamped {{channel}}": f"sum by (channel) (rate(lumen_edge_usage_anomalies_total{_CHANNEL}[5m]))",
                        "estimated {{channel}}": f"sum by (channel) (rate(lumen_edge_usage_estimated_total{_CHANNEL}[5m]))",
                    },
                    "ops",
                ),
            ],
        )
    ],
)

_OF_ACCOUNT = "account = '${account}' AND started_at BETWEEN $__fromTime AND $__toTime"
_USAGE = f"FROM lumen.usage FINAL WHERE {_OF_ACCOUNT}"
ACCOUNT = Dashboard(
    uid="lumen-account",
    title="Lumen account",
    source=CLICKHOUSE,
    variables={
        "account": "SELECT DISTINCT account FROM lumen.usage WHERE started_at > now() - INTERVAL 7 DAY LIMIT 1000"
    },
    rows=[
        Row(
            "One account",
            [
                Panel(
                    "Requests by model",
                    {
                        "requests": f"SELECT hour AS time, model, count() AS requests {_USAGE} GROUP BY time, model ORDER BY time"
                    },
                ),
                Panel(
                    "Output tokens by model",
                    {
                        "tokens": f"SELECT hour AS time, model, sum(output_tokens) AS tokens {_USAGE}"
                        " GROUP BY time, model ORDER BY time"
                    },
                ),
                Panel(
                    "First token, p95",
                    {
                        "ttft": f"SELECT hour AS time, quantile(0.95)(ttft_us) / 1e6 AS seconds {_USAGE}"
                        " AND ttft_us > 0 GROUP BY time ORDER BY time"
                    },
                    "s",
                ),
                Panel(
                    "Answers by status",
                    {
                        "status": f"SELECT hour AS time, toString(status) AS status, count() AS answers {_USAGE}"
                        " GROUP BY time, status ORDER BY time"
                    },
                ),
                Panel(
                    "Latest requests",
                    {
                        "rows": "SELECT started_at, request_id, model, channel, status, input_tokens, output_tokens,"
                        f" duration_us / 1e6 AS seconds {_USAGE} ORDER BY started_at DESC LIMIT 100"
                    },
                    kind="table",
                ),
            ],
        )
    ],
)

ALL = (OPERATORS, CHANNELS, ACCOUNT)
