-- What finance reads by SQL (docs/guides/finance-sql.md): one database of views named for people, USD as exact decimals,
-- all times UTC. `{finance}` is `finance` beside the database `lumen`, else `<database>_finance`. The views read with their
-- creator's rights, so that a reader is granted this database and nothing else.

CREATE DATABASE IF NOT EXISTS {finance} {on_cluster};

-- What was charged, per day. Requests that were refused or failed are counted and cost nothing.
CREATE VIEW IF NOT EXISTS {finance}.revenue_daily {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    toDate(hour) AS day,
    account,
    key_id,
    `group`,
    model,
    sum(requests) AS requests,
    sum(billable_requests) AS charged_requests,
    sum(input_tokens) AS input_tokens,
    sum(cache_read_tokens) AS cache_read_tokens,
    sum(cache_write_5m_tokens) + sum(cache_write_1h_tokens) AS cache_write_tokens,
    sum(output_tokens) AS output_tokens,
    toDecimal128(sum(toInt128(cost_nanousd)), 9) / 1000000000 AS revenue_usd
FROM {database}.usage_hourly FINAL
GROUP BY day, account, key_id, `group`, model;

CREATE VIEW IF NOT EXISTS {finance}.margin_daily {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    toDate(hour) AS day,
    account,
    key_id,
    `group`,
    model,
    channel,
    sum(requests) AS requests,
    toDecimal128(sum(toInt128(cost_nanousd)), 9) / 1000000000 AS revenue_usd,
    toDecimal128(sum(toInt128(upstream_cost_nanousd)), 9) / 1000000000 AS upstream_cost_usd,
    revenue_usd - upstream_cost_usd AS margin_usd
FROM {database}.usage_hourly FINAL
GROUP BY day, account, key_id, `group`, model, channel;

CREATE VIEW IF NOT EXISTS {finance}.margin_by_channel_monthly {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    toStartOfMonth(hour) AS month,
    channel,
    sum(requests) AS requests,
    toDecimal128(sum(toInt128(cost_nanousd)), 9) / 1000000000 AS revenue_usd,
    toDecimal128(sum(toInt128(upstream_cost_nanousd)), 9) / 1000000000 AS upstream_cost_usd,
    revenue_usd - upstream_cost_usd AS margin_usd
FROM {database}.usage_hourly FINAL
GROUP BY month, channel;

CREATE VIEW IF NOT EXISTS {finance}.margin_by_model_monthly {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    toStartOfMonth(hour) AS month,
    model,
    sum(requests) AS requests,
    toDecimal128(sum(toInt128(cost_nanousd)), 9) / 1000000000 AS revenue_usd,
    toDecimal128(sum(toInt128(upstream_cost_nanousd)), 9) / 1000000000 AS upstream_cost_usd,
    revenue_usd - upstream_cost_usd AS margin_usd
FROM {database}.usage_hourly FINAL
GROUP BY month, model;

CREATE VIEW IF NOT EXISTS {finance}.margin_by_account_monthly {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    toStartOfMonth(hour) AS month,
    account,
    sum(requests) AS requests,
    toDecimal128(sum(toInt128(cost_nanousd)), 9) / 1000000000 AS revenue_usd,
    toDecimal128(sum(toInt128(upstream_cost_nanousd)), 9) / 1000000000 AS upstream_cost_usd,
    revenue_usd - upstream_cost_usd AS margin_usd
FROM {database}.usage_hourly FINAL
GROUP BY month, account;

-- Every movement of a balance by decision: top-ups, grants, refunds, adjustments, expiries.
CREATE VIEW IF NOT EXISTS {finance}.credits {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    created_at,
    account,
    kind,
    source,
    toDecimal128(amount_nanousd, 9) / 1000000000 AS amount_usd,
    paid_amount,
    paid_currency,
    reference,
    note,
    expires_at_s
FROM {database}.credits FINAL;

-- What accounts could still spend. A charge burns open grants before what was paid, in the ledger's order (ADR 0005): open
-- grants are a walk that charges cannot take below zero, so only the sums between one grant and the next matter.
CREATE VIEW IF NOT EXISTS {finance}.liabilities {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH
    pots AS
    (
        SELECT
            account,
            arraySort(groupArray((bitShiftLeft(toUInt64(epoch), 48) + sequence, toInt128(amount_nanousd)))) AS opened
        FROM {database}.credits FINAL
        WHERE source = 'grant' AND amount_nanousd > 0
        GROUP BY account
    ),
    entries AS
    (
        SELECT account, bitShiftLeft(toUInt64(epoch), 48) + sequence AS position, toInt128(amount_nanousd) AS moved
        FROM {database}.credits FINAL
        UNION ALL
        SELECT account, bitShiftLeft(toUInt64(epoch), 48) + sequence AS position, -toInt128(cost_nanousd) AS moved
        FROM {database}.usage FINAL
        WHERE cost_nanousd > 0
    ),
    segments AS
    (
        SELECT
            entries.account AS account,
            arrayCount(opening -> opening < position, pots.opened.1) AS segment,
            sum(moved) AS change,
            sumIf(-moved, moved < 0) AS burnt
        FROM entries
        LEFT JOIN pots ON pots.account = entries.account
        GROUP BY account, segment
    )
SELECT
    segments.account AS account,
    toDecimal128(sum(segments.change), 9) / 1000000000 AS balance_usd,
    toDecimal128(
        arrayFold(
            (open, step) -> greatest(open + step.1 - step.2, toInt128(0)),
            arrayZip(
                arrayPushFront(any(pots.opened).2, toInt128(0)),
                arrayMap(
                    segment -> mapFromArrays(groupArray(segments.segment), groupArray(segments.burnt))[segment],
                    range(length(any(pots.opened)) + 1)
                )
            ),
            toInt128(0)
        ),
        9
    ) / 1000000000 AS grants_open_usd,
    balance_usd - grants_open_usd AS paid_open_usd
FROM segments
LEFT JOIN pots ON pots.account = segments.account
GROUP BY account;

-- A month that nothing is written to any more becomes one part, and reading it FINAL costs nothing more.
ALTER TABLE usage {on_cluster}
MODIFY SETTING min_age_to_force_merge_seconds = 21600, min_age_to_force_merge_on_partition_only = 1;

ALTER TABLE usage_hourly {on_cluster}
MODIFY SETTING min_age_to_force_merge_seconds = 21600, min_age_to_force_merge_on_partition_only = 1;
