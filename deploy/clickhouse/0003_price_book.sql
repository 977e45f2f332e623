-- Every catalog revision as the ledger rates with it, projected by billing from the immutable keys `catalog.rev.<n>`, so
-- that any charge can be recomputed, and finance can see what was paid, by which price, and what it cost us.

CREATE TABLE IF NOT EXISTS catalog_revisions {on_cluster}
(
    revision UInt64,
    created_at_s Int64,
    note String,
    hash String COMMENT 'SHA-256 of the catalog, hex',
    catalog String COMMENT 'canonical JSON, verbatim; references to secrets, never secrets'
)
ENGINE = {engine}ReplacingMergeTree()
ORDER BY revision;

-- One row per price in force: fallbacks applied, tiers resolved. `side` client: `payer` is a group; cost: a channel.
-- A charge is sum(count x price) x multiplier x modifiers / 10^12 (and 10^6 per modifier), rounded once, half up.
CREATE TABLE IF NOT EXISTS price_book {on_cluster}
(
    revision UInt64,
    side LowCardinality(String),
    payer LowCardinality(String),
    model LowCardinality(String),
    above_prompt_tokens Int64 COMMENT 'long-context tier: for the whole request when its prompt is longer; -1: base',
    bucket LowCardinality(String),
    priced_as LowCardinality(String) COMMENT 'the bucket whose price applies',
    price_nanousd_per_million Int64,
    multiplier_millionths Int64
)
ENGINE = {engine}ReplacingMergeTree()
ORDER BY (revision, side, payer, model, above_prompt_tokens, bucket);

-- Revenue, cost and margin to the nano-dollar, per day and by whatever finance groups by. Sums of deduplicated rows.
CREATE VIEW IF NOT EXISTS margins {on_cluster} AS
SELECT
    toDate(hour) AS day,
    account,
    `group`,
    model,
    channel,
    countIf(is_billable) AS charged_requests,
    countIf(NOT is_billable) AS uncharged_requests,
    sum(cost_nanousd) AS revenue_nanousd,
    sum(upstream_cost_nanousd) AS upstream_cost_nanousd,
    sum(cost_nanousd) - sum(usage.upstream_cost_nanousd) AS margin_nanousd
FROM usage FINAL
GROUP BY day, account, `group`, model, channel;
