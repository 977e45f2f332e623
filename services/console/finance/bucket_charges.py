"""What each token bucket was charged, as SQL: for FOCUS, which wants a row per unit price.

A request's charge is rounded as a whole (lumen.money.prices), so its buckets have no charge of their own. What the
requests of one hour, key, model and price were charged together is split over their buckets in proportion to
count x price, by cumulative rounding: the first k buckets together get floor(charged x their weight / whole weight)
nano-USD. No bucket is off by a whole nano-USD, one without a weight gets nothing, and the rows add up to the charge.
"""

from __future__ import annotations

from collections.abc import Mapping

from lumen.money.usage import PRICED_BUCKETS, PROMPT_BUCKETS

WHOLE = "tokens"  # instead of a bucket: charges whose prices the price book does not have (yet)
METERS: Mapping[str, str] = {
    "input": "Input tokens",
    "cache_read": "Cache read tokens",
    "cache_write_5m": "Cache write tokens (5 minutes)",
    "cache_write_1h": "Cache write tokens (1 hour)",
    "output": "Output tokens",
    "audio_input": "Audio input tokens",
    "audio_output": "Audio output tokens",
    "image_input": "Image input tokens",
    "server_tool_requests": "Server tool requests",
    WHOLE: "Tokens",
}
_COUNTS = {
    bucket: f"ifNull({bucket if bucket == 'server_tool_requests' else f'{bucket}_tokens'}, 0)"
    for bucket in PRICED_BUCKETS
}
_PROMPT = " + ".join(_COUNTS[bucket] for bucket in PROMPT_BUCKETS)
_THRESHOLDS = "(SELECT groupUniqArray(above_prompt_tokens) FROM price_book WHERE side = 'client')"


def _array(*elements: str) -> str:
    return f"[{', '.join(elements)}]"


# One price: of one catalog revision, one set of modifiers, and one band between all long-context thresholds that there
# are. The group's multiplier and the modifiers scale all buckets of such a row alike, so bare prices are the weights.
# Grouped along the table's sorting key: one hour of one account is held at a time.
_REQUESTS = (
    "SELECT account, hour, key_id, `group`, model, catalog_revision, modifiers,"
    f" arrayMax(above -> if(above < {_PROMPT}, above, -1), arrayPushFront({_THRESHOLDS}, -1)) AS band,"
    " sum(toInt128(cost_nanousd)) AS charged, count() AS requests,"
    f" sumForEach({_array(*(f'toInt128({count})' for count in _COUNTS.values()))}) AS counts,"
    f" sumForEach({_array(*(f'toUInt64({count} > 0)' for count in _COUNTS.values()))}) AS uses"
    " FROM usage FINAL WHERE is_billable AND {where}"
    " GROUP BY account, hour, key_id, `group`, model, catalog_revision, modifiers, band"
)
_PRICE = "anyIf(price_nanousd_per_million, bucket = '{}')"
_PRICES = (
    "SELECT revision, payer, model, above_prompt_tokens AS above,"
    f" {_array(*map(_PRICE.format, PRICED_BUCKETS))} AS prices"
    " FROM price_book WHERE side = 'client' GROUP BY revision, payer, model, above"
)
# Sums up to and including each bucket: of its weight, and of what it is charged.
_WEIGHTS = (
    "arrayCumSum(arrayMap((count, price) -> toInt256(count) * price, counts,"
    f" arrayResize(prices, {len(PRICED_BUCKETS)}, 0)))"
)
_SHARES = "arrayMap(weight -> toInt128(intDiv(charged * weight, greatest(weights[-1], 1))), weights)"
_BY_BUCKET = (
    "arrayFilter(part -> part.2 > 0, arrayZip(arrayEnumerate(counts), counts,"
    " arrayMap((share, before) -> share - before, shares, arrayPushFront(arrayPopBack(shares), toInt128(0))), uses))"
)
_AS_WHOLE = f"[({len(PRICED_BUCKETS) + 1}, arraySum(arrayPopBack(counts)), charged, requests)]"

# `bucket`: the number of a meter, from 1; `cost`: nano-USD; `requests`: those that used the bucket; `above`: of the
# long-context tier, -1: the base. To be filled in: {where}.
SOURCE = (
    "(SELECT account, hour, key_id, `group`, model, catalog_revision, modifiers, above,"
    " part.1 AS bucket, part.2 AS quantity, part.3 AS cost, part.4 AS requests"
    f" FROM (SELECT *, {_WEIGHTS} AS weights, {_SHARES} AS shares,"
    f" if(charged > 0 AND weights[-1] = 0, {_AS_WHOLE}, {_BY_BUCKET}) AS parts"
    f" FROM ({_REQUESTS}) AS charges ASOF LEFT JOIN ({_PRICES}) AS book"
    " ON book.revision = charges.catalog_revision AND book.payer = charges.`group` AND book.model = charges.model"
    " AND charges.band >= book.above) ARRAY JOIN parts AS part)"
)
ORDER = "account, hour, key_id, `group`, model, catalog_revision, modifiers, above, bucket"
