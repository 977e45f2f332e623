-- What accounts could still spend, grants and paid money apart, of entries made before `until_us`: the rule of
-- lumen/money/pots.py (ADR 0005), which says what expires, as far as it tells grants from paid money.
--
-- Two figures per account, grants and paid (below zero: a debt), change by four steps: a charge (or a grant's expiry)
-- takes from grants, then from paid; money taken back takes from paid down to zero, then from grants, then from paid; a
-- grant first pays off a debt; paid money (or its expiry) adds to paid. Charges and paid money may change places, so only
-- the `turns` (grants, and money taken back) part an account's history into segments whose sums are enough.
--
-- Which segment a day's rollups belong to: their entries came after every turn of more than an hour before the day (clocks
-- are not an hour apart), and none came after their `version`. Where that leaves a doubt, that day's rows are read.

CREATE VIEW IF NOT EXISTS {database}.open_credits {on_cluster} AS
WITH
    credited AS
    (
        SELECT
            account,
            (bitShiftLeft(toUInt64(epoch), 48) + sequence, `index`) AS place,
            created_at_us,
            toInt128(amount_nanousd) AS amount,
            source = 'grant' AS is_grant,
            kind = 'expiry' AS is_expiry,
            NOT is_expiry AND (is_grant AND amount > 0 OR amount < 0) AS is_turn
        FROM {database}.credits FINAL
        WHERE created_at_us < {until_us:Int64}
    ),
    turning AS
    (
        SELECT account, arraySort(groupArray((place, created_at_us, amount))) AS turns
        FROM credited
        WHERE is_turn
        GROUP BY account
        HAVING max(amount) > 0
    ),
    days AS
    (
        SELECT account, toStartOfDay(hour, 'UTC') AS day, sum(toInt128(cost_nanousd)) AS cost, max(version) AS newest
        FROM {database}.usage_hourly FINAL
        WHERE hour < toDateTime(intDiv({until_us:Int64}, 1000000), 'UTC')
        GROUP BY account, day
    ),
    placed AS
    (
        SELECT
            days.account AS account,
            days.day AS day,
            days.cost AS cost,
            arrayCount(turn -> turn.2 < (toInt64(toUnixTimestamp(days.day)) - 3600) * 1000000, turning.turns) AS after,
            arrayCount(turn -> turn.1.1 <= days.newest, turning.turns) AS before
        FROM days
        LEFT JOIN turning ON turning.account = days.account
    ),
    moves AS
    (
        SELECT account, after AS segment, toInt128(0) AS paid, cost AS burnt
        FROM placed
        WHERE after = before
        UNION ALL
        SELECT
            doubtful.account AS account,
            arrayCount(turn -> turn.1.1 <= doubtful.version, turning.turns) AS segment,
            toInt128(0) AS paid,
            toInt128(doubtful.cost_nanousd) AS burnt
        FROM
        (
            SELECT account, bitShiftLeft(toUInt64(epoch), 48) + sequence AS version, cost_nanousd
            FROM {database}.usage FINAL
            WHERE (account, hour) IN
                (
                    SELECT account, arrayJoin(arrayMap(number -> day + number * 3600, range(24)))
                    FROM placed
                    WHERE after != before
                )
                AND cost_nanousd > 0 AND started_at_us < {until_us:Int64}
        ) AS doubtful
        JOIN turning ON turning.account = doubtful.account
        UNION ALL
        SELECT
            credited.account AS account,
            arrayCount(turn -> turn.1 < credited.place, turning.turns) AS segment,
            if(is_expiry AND is_grant, toInt128(0), amount) AS paid,
            if(is_expiry AND is_grant, -amount, toInt128(0)) AS burnt
        FROM credited
        LEFT JOIN turning ON turning.account = credited.account
        WHERE NOT is_turn OR empty(turning.turns)
        UNION ALL
        SELECT account, toUInt64(0) AS segment, toInt128(0) AS paid, toInt128(0) AS burnt
        FROM turning
    ),
    segments AS
    (
        SELECT account, toUInt64(segment) AS number, sum(paid) AS paid_in, sum(burnt) AS burnt_out
        FROM moves
        GROUP BY account, number
    ),
    histories AS
    (
        SELECT
            segments.account AS account,
            any(turning.turns) AS turns,
            mapFromArrays(groupArray(number), groupArray((paid_in, burnt_out))) AS sums
        FROM segments
        LEFT JOIN turning ON turning.account = segments.account
        GROUP BY account
    )
SELECT
    account,
    arrayFold(
        (state, step) -> multiIf(
            step.1 = 'paid', (state.1, state.2 + step.2),
            step.1 = 'charge', (state.1 - least(step.2, state.1), state.2 - step.2 + least(step.2, state.1)),
            step.1 = 'grant',
            (
                state.1 + step.2 - least(step.2, greatest(-state.2, toInt128(0))),
                state.2 + least(step.2, greatest(-state.2, toInt128(0)))
            ),
            (
                state.1 - least(step.2 - least(step.2, greatest(state.2, toInt128(0))), state.1),
                state.2 - step.2 + least(step.2 - least(step.2, greatest(state.2, toInt128(0))), state.1)
            )
        ),
        arrayFlatten(
            arrayMap(
                number ->
                [
                    (if(turns[number].3 < 0, 'taken back', 'grant'), greatest(turns[number].3, -turns[number].3)),
                    ('paid', sums[number].1),
                    ('charge', sums[number].2)
                ],
                range(toUInt64(length(turns) + 1))
            )
        ),
        (toInt128(0), toInt128(0))
    ) AS open,
    open.1 AS grants_nanousd,
    open.2 AS paid_nanousd,
    grants_nanousd + paid_nanousd AS balance_nanousd
FROM histories;

CREATE OR REPLACE VIEW {finance}.liabilities {on_cluster}
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    account,
    toDecimal128(balance_nanousd, 9) / 1000000000 AS balance_usd,
    toDecimal128(grants_nanousd, 9) / 1000000000 AS grants_open_usd,
    toDecimal128(paid_nanousd, 9) / 1000000000 AS paid_open_usd
FROM {database}.open_credits(until_us = 4102444800000000);
