-- The ledger as rows. Every row's key is its position in the stream, so inserting any range again is harmless.
-- Times come from the entry (never now()), so a replayed row is the same row in the same partition.

CREATE TABLE IF NOT EXISTS usage {on_cluster}
(
    `partition` UInt8,
    epoch UInt32,
    sequence UInt64,
    `index` UInt32,
    producer String,
    batch_number UInt64,
    request_id String,
    account String,
    key_id String,
    `group` LowCardinality(String),
    model LowCardinality(String),
    channel LowCardinality(String),
    upstream_model LowCardinality(String),
    client_dialect LowCardinality(String),
    upstream_dialect LowCardinality(String),
    catalog_revision UInt64,
    started_at_us Int64,
    started_at DateTime64(6, 'UTC') MATERIALIZED fromUnixTimestamp64Micro(started_at_us, 'UTC'),
    hour DateTime('UTC') MATERIALIZED toDateTime(intDiv(started_at_us, 3600000000) * 3600, 'UTC'),
    duration_us Int64,
    ttft_us Int64,
    status UInt16,
    is_stream Bool,
    finish_reason LowCardinality(String),
    input_tokens Nullable(Int64),
    cache_read_tokens Nullable(Int64),
    cache_write_5m_tokens Nullable(Int64),
    cache_write_1h_tokens Nullable(Int64),
    output_tokens Nullable(Int64),
    reasoning_tokens Nullable(Int64),
    audio_input_tokens Nullable(Int64),
    audio_output_tokens Nullable(Int64),
    image_input_tokens Nullable(Int64),
    server_tool_requests Nullable(Int64),
    is_estimated Bool,
    is_billable Bool,
    hold_nanousd Int64,
    lease_boot UInt64,
    key_has_spend_limit Bool,
    modifiers String COMMENT 'JSON object',
    attempts String COMMENT 'JSON array of [channel, status, reason, duration_us, ttft_us]',
    cost_nanousd Int64 COMMENT 'charged to the account; 0 when not billable',
    upstream_cost_nanousd Int64 COMMENT 'what the provider charges us',
    INDEX sequence_minmax sequence TYPE minmax,
    INDEX hour_minmax hour TYPE minmax,
    INDEX request_id_bloom request_id TYPE bloom_filter(0.01)
)
ENGINE = {engine}ReplacingMergeTree()
PARTITION BY toYYYYMM(hour)
ORDER BY (account, hour, `partition`, epoch, sequence, `index`);

CREATE TABLE IF NOT EXISTS credits {on_cluster}
(
    `partition` UInt8,
    epoch UInt32,
    sequence UInt64,
    `index` UInt32,
    producer String,
    batch_number UInt64,
    account String,
    amount_nanousd Int64,
    kind LowCardinality(String),
    source LowCardinality(String),
    reference String,
    created_at_us Int64,
    created_at DateTime64(6, 'UTC') MATERIALIZED fromUnixTimestamp64Micro(created_at_us, 'UTC'),
    paid_amount String,
    paid_currency LowCardinality(String),
    note String,
    expires_at_s Int64
)
ENGINE = {engine}ReplacingMergeTree()
ORDER BY (account, `partition`, epoch, sequence, `index`);

CREATE TABLE IF NOT EXISTS dead_letters {on_cluster}
(
    `partition` UInt8,
    epoch UInt32,
    sequence UInt64,
    `index` UInt32,
    producer String,
    batch_number UInt64,
    account String,
    request_id String,
    reason LowCardinality(String),
    detail String,
    published_at_us Int64 COMMENT 'when the ledger took the message',
    payload_base64 String COMMENT 'the entry as it was (the whole message when even that could not be read)'
)
ENGINE = {engine}ReplacingMergeTree()
ORDER BY (`partition`, epoch, sequence, `index`);

-- How far each sink has come, per partition. `through_sequence` >= sequence: nothing of this partition lies between
-- them, so an idle partition can be told from a missed one after its last message was trimmed.
CREATE TABLE IF NOT EXISTS marks {on_cluster}
(
    sink LowCardinality(String),
    `partition` UInt8,
    epoch UInt32,
    sequence UInt64,
    digest String,
    through_sequence UInt64,
    version UInt64 COMMENT 'epoch and through_sequence: the furthest mark wins'
)
ENGINE = {engine}ReplacingMergeTree(version)
ORDER BY (sink, `partition`);
