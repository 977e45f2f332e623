"""The rows of `tests.load.finance`: usage, rollups and credits as billing writes them, the same in every run but for
the days, which are the 90 before today, so that pages of the last days have rows too."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from lumen.money.usage import COUNT_COLUMNS
from services.billing.rollups import MONEY_COLUMNS

ACCOUNTS = 500
_TODAY = datetime.now(UTC).date()
DAYS: list[date] = [_TODAY - timedelta(days=day) for day in range(90, 0, -1)]
FIRST_DAY, DAY_AFTER = str(DAYS[0]), str(DAYS[-1] + timedelta(days=1))

_CHANNELS = "\n".join(
    f'  - {{name: channel-{n}, dialects: {{openai_chat: "https://api.provider-{n}.example/v1"}}, secret: "env:K",'
    f" models: {{{', '.join(f'model-{model}: up-{model}' for model in range(12))}}}}}"
    for n in range(8)
)
_MODELS = "\n".join(
    f"  - {{code: model-{n}, name: M{n}, vendor: v, max_output_tokens: 1000,"
    f' price: {{input: "{n + 1}.5", output: "25", cache_read: "0.3"}},'
    ' tiers: [{above_prompt_tokens: 9000, price: {output: "40"}}]}'
    for n in range(12)
)
CATALOG = f"""
models:
{_MODELS}
groups: [{{name: default}}, {{name: pro}}, {{name: team}}]
channels:
{_CHANNELS}
"""

_FIRST_US = f"toInt64(toUnixTimestamp(toDateTime('{FIRST_DAY} 00:00:00', 'UTC'))) * 1000000"
# Draws per row from its number; a cube gives the first account an eighth of all rows. A key has one group, mostly one
# model, and a model two channels; seven in eight requests fall into ten hours of the day.
_DRAWS = {
    "a": "cityHash64(number, 1)",
    "b": "cityHash64(number, 2)",
    "c": "cityHash64(number, 3)",
    "owner": f"{{accounts:Array(String)}}[1 + toUInt32(pow((a % 1000000) / 1000000, 3) * {ACCOUNTS})]",
    "key": "concat('key_', owner, '_', toString(b % 4))",
    "model_number": "if(b % 7 = 0, c, cityHash64(key)) % 12",
    "second": "if(c % 8 = 0, c % 86400, 28800 + c % 36000)",
    "at_us": f"{_FIRST_US} + (a % {len(DAYS)}) * 86400000000 + second * 1000000 + b % 1000000",
    "billable": "b % 50 != 0",
    "cost": "200 + c % 3000",
}
_COLUMNS = {
    "`partition`": "CRC32(owner) % 64",
    "epoch": "1",
    "sequence": f"intDiv(at_us - {_FIRST_US}, 1000000) + 1",  # the ledger's order is that of time
    "`index`": "number",
    "producer": "'edge-1'",
    "batch_number": "intDiv(number, 25) + 1",
    "request_id": "concat('req_', lower(hex(cityHash64(number, 4))), lower(hex(cityHash64(number, 5))))",
    "account": "owner",
    "key_id": "key",
    "`group`": "['default', 'pro', 'team'][1 + cityHash64(key) % 3]",
    "model": "concat('model-', toString(model_number))",
    "channel": "concat('channel-', toString((model_number + b % 2) % 8))",
    "upstream_model": "'upstream'",
    "client_dialect": "'openai_chat'",
    "upstream_dialect": "'openai_chat'",
    "catalog_revision": "1",
    "started_at_us": "at_us",
    "duration_us": "1000000 + c % 9000000",
    "ttft_us": "200000",
    "status": "if(billable, 200, 502)",
    "is_stream": "b % 3 != 0",
    "finish_reason": "'stop'",
    "input_tokens": "c % 4000",
    "cache_read_tokens": "b % 9000",
    "output_tokens": "a % 900",
    "reasoning_tokens": "b % 300",
    "is_estimated": "b % 500 = 0",
    "is_billable": "billable",
    "hold_nanousd": "cost * 2000",
    "lease_boot": "1",
    "key_has_spend_limit": "false",
    "modifiers": "'{}'",
    "attempts": """'[["channel-1",200,"ok",1000000,200000]]'""",
    "cost_nanousd": "if(billable, cost * 1000 + 1, 0)",
    "upstream_cost_nanousd": "cost * 700 + 3",
}
ROWS = (
    f"INSERT INTO usage ({', '.join(_COLUMNS)})"
    f" WITH {', '.join(f'{draw} AS {name}' for name, draw in _DRAWS.items())}"
    f" SELECT {', '.join(_COLUMNS.values())} FROM numbers({{first:UInt64}}, {{count:UInt64}})"
)

ROLLUP_DAYS = 15
_DIMENSIONS = "hour, `partition`, account, key_id, `group`, model, channel, client_dialect, status"
ROLLUPS = (
    f"INSERT INTO usage_hourly ({_DIMENSIONS}, requests, billable_requests, estimated_requests,"
    f" {', '.join(COUNT_COLUMNS)}, {', '.join(MONEY_COLUMNS)}, duration_us, ttft_us, last_started_at_us, version)"
    f" SELECT {_DIMENSIONS}, count(), countIf(is_billable), countIf(is_estimated),"
    f" {', '.join(f'sum(ifNull({name}, 0))' for name in COUNT_COLUMNS)},"
    f" {', '.join(f'sum({name})' for name in MONEY_COLUMNS)}, sum(duration_us), sum(ttft_us), max(started_at_us),"
    " max(bitShiftLeft(toUInt64(epoch), 48) + sequence)"
    f" FROM usage WHERE toDate(hour) >= {{first:Date}} AND toDate(hour) < {{first:Date}} + {ROLLUP_DAYS}"
    f" GROUP BY {_DIMENSIONS}"
)

# Ten per account over all the days: six top-ups, two grants, two refunds.
_CREDIT = {
    "`partition`": "CRC32(owner) % 64",
    "epoch": "1",
    "sequence": "number * 1555",
    "`index`": "0",
    "producer": "concat('credit-', toString(number))",
    "batch_number": "1",
    "account": "{accounts:Array(String)}[1 + number % length({accounts:Array(String)})] AS owner",
    "amount_nanousd": "100000000 * (1 + number % 7) * if(kind = 'refund', -1, 10)",
    "kind": "['grant', 'topup', 'topup', 'refund', 'topup'][1 + (number + intDiv(number, 500)) % 5] AS kind",
    "source": "if(kind = 'grant', 'grant', 'paid')",
    "reference": "toString(number)",
    "created_at_us": f"{_FIRST_US} + number * 1555000000",
    "expires_at_s": "0",
}
CREDITS = f"INSERT INTO credits ({', '.join(_CREDIT)}) SELECT {', '.join(_CREDIT.values())} FROM numbers(5000)"
