-- Recomputed from deduplicated rows for every hour touched; `version` is the newest ledger position included, so a
-- later recomputation replaces an earlier one and a late zombie's does not. Read it FINAL.

CREATE TABLE IF NOT EXISTS usage_hourly {on_cluster}
(
    hour DateTime('UTC'),
    `partition` UInt8,
    account String,
    key_id String,
    `group` LowCardinality(String),
    model LowCardinality(String),
    channel LowCardinality(String),
    client_dialect LowCardinality(String),
    status UInt16,
    requests UInt64,
    billable_requests UInt64,
    estimated_requests UInt64,
    input_tokens Int64,
    cache_read_tokens Int64,
    cache_write_5m_tokens Int64,
    cache_write_1h_tokens Int64,
    output_tokens Int64,
    reasoning_tokens Int64,
    audio_input_tokens Int64,
    audio_output_tokens Int64,
    image_input_tokens Int64,
    server_tool_requests Int64,
    cost_nanousd Int64,
    upstream_cost_nanousd Int64,
    duration_us Int64,
    ttft_us Int64,
    version UInt64
)
ENGINE = {engine}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (account, hour, `partition`, key_id, `group`, model, channel, client_dialect, status);
