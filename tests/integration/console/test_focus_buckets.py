"""FOCUS rows per token bucket: they add up to what was charged, and each is its part of the charge."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import httpx
import pytest

from lumen.catalog.parse import catalog_from_json
from lumen.catalog.rates import client_rates
from lumen.money.prices import RateCard
from lumen.money.usage import TokenUsage
from services.console.finance.bucket_charges import METERS
from tests.integration.console import focus_rules
from tests.integration.console.stack import CATALOG, Stack, usage_entry
from tests.integration.console.test_exports import read_csv
from tests.integration.console.test_money import ODD_CATALOG, clickhouse, explained

NOON_US = 1_656_676_800_000_000  # 2022-07-01 12:00 UTC
HOUR_US = 3_600_000_000
WINDOW = {"since": "2022-07-01", "until": "2022-07-02"}
REQUESTS = 120


@pytest.fixture(scope="module")
def charged(stack: Stack) -> tuple[str, dict[str, dict[str, Any]]]:
    """An account, and by request id what was asked of which price: random usage of odd prices over three hours."""
    draw = random.Random(17)
    with stack.client() as client:
        account = str(client.post("/admin/v1/accounts", json={"name": "focus-buckets"}).json()["id"])
        odd = client.post("/admin/v1/catalog", json={"content": ODD_CATALOG}).json()["revision"]
        client.post("/admin/v1/catalog", json={"content": CATALOG}).raise_for_status()
        made: dict[str, dict[str, Any]] = {}
        for number in range(REQUESTS):
            usage = TokenUsage(
                input=draw.randrange(1_500),
                cache_read=draw.choice((None, 0, draw.randrange(900))),
                output=draw.randrange(80),
            )
            made[f"fb-{number}"] = {
                "usage": usage,
                "catalog_revision": draw.choice((1, odd)),
                "started_at_us": NOON_US + draw.randrange(3 * HOUR_US),
                "key_id": draw.choice(("fb1", "fb2")),
                "modifiers": {},
            }
        for request in list(made.values())[::3]:
            if request["catalog_revision"] == odd:
                request["modifiers"] = {"speed": "fast"}
        entries = [usage_entry(account, name, **request) for name, request in made.items()]
        stack.use(account, entries, f"edge-{account}")
        explained(client, f"fb-{REQUESTS - 1}")
    return account, made


def focus(client: httpx.Client, account: str) -> list[dict[str, str | None]]:
    answer = client.get("/admin/v1/finance/exports/focus", params={**WINDOW, "account": account})
    rows = read_csv(answer.raise_for_status().content)
    assert focus_rules.check(list(rows[0]), rows) == []
    return rows


def nanousd(row: dict[str, str | None], column: str = "EffectiveCost") -> int:
    return int(Decimal(row[column] or "") * 10**9)


def cards(client: httpx.Client, revisions: set[int]) -> dict[int, RateCard]:
    found = {}
    for revision in revisions:
        answer = client.get("/admin/v1/catalog", params={"revision": revision}).raise_for_status().json()
        catalog = catalog_from_json(json.dumps(answer["catalog"]).encode())
        model = next(model for model in catalog.models if model.code == "m1")
        group = next(group for group in catalog.groups if group.name == "default")
        found[revision] = client_rates(model, group)
    return found


def test_rows_of_an_hour_and_model_add_up_to_what_was_charged(
    stack: Stack, client: httpx.Client, charged: tuple[str, dict[str, dict[str, Any]]]
) -> None:
    account, _ = charged
    told: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in focus(client, account):
        sums = told[(row["ChargePeriodStart"] or "", row["SubAccountId"] or "", row["x_Model"] or "")]
        sums[0] += nanousd(row)
        if row["ConsumedUnit"] == "Tokens":
            sums[1] += int(Decimal(row["ConsumedQuantity"] or ""))
    direct = clickhouse(
        stack,
        "SELECT formatDateTime(hour, '%Y-%m-%dT%H:%i:%SZ', 'UTC') AS at, key_id, model, sum(cost_nanousd),"
        " sum(ifNull(input_tokens, 0) + ifNull(cache_read_tokens, 0) + ifNull(output_tokens, 0))"
        f" FROM usage FINAL WHERE account = '{account}' GROUP BY at, key_id, model ORDER BY at, key_id, model"
        " FORMAT TSV",
    )
    assert "".join("\t".join(map(str, (*key, *sums))) + "\n" for key, sums in sorted(told.items())) == direct


def test_each_bucket_gets_its_part_of_the_charge(
    client: httpx.Client, charged: tuple[str, dict[str, dict[str, Any]]]
) -> None:
    """To less than a nano-USD for the split, and half of one for each request, which is rounded as a whole."""
    account, made = charged
    rates = cards(client, {request["catalog_revision"] for request in made.values()})
    exact: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    requests: dict[tuple[int, str, str], int] = defaultdict(int)
    for request in made.values():
        for line in rates[request["catalog_revision"]].lines(request["usage"], request["modifiers"]):
            key = (
                request["started_at_us"] // HOUR_US,
                request["key_id"],
                f"{request['catalog_revision']} {line.bucket}",
            )
            exact[key] += Decimal(line.numerator) / line.denominator
            requests[key] += 1
    told: dict[tuple[int, str, str], int] = defaultdict(int)
    counted: dict[tuple[int, str, str], int] = defaultdict(int)
    rows = 0
    for row in focus(client, account):
        [bucket] = [name for name, meter in METERS.items() if meter == row["SkuMeter"]]
        assert row["SkuId"] == f"m1/{bucket}"
        hour = NOON_US // HOUR_US + int((row["ChargePeriodStart"] or "")[11:13]) - 12
        key = (hour, row["SubAccountId"] or "", f"{row['x_CatalogRevision']} {bucket}")
        told[key] += nanousd(row)
        counted[key] += int(row["x_Requests"] or "")
        rows += 1
    assert told.keys() == exact.keys()
    assert dict(counted) == dict(requests)
    for key, amount in told.items():
        assert abs(amount - exact[key]) < requests[key] * Decimal("0.5") + 4, key  # at most 4 prices an hour
    assert rows > len(told)  # modifiers and long contexts have prices of their own


def test_prices_name_revision_tier_and_modifiers(
    client: httpx.Client, charged: tuple[str, dict[str, dict[str, Any]]]
) -> None:
    account, made = charged
    odd = max(request["catalog_revision"] for request in made.values())
    prices = {row["SkuPriceId"] for row in focus(client, account)}
    assert {"m1/input/default@1", f"m1/input/default@{odd}", f"m1/output/default@{odd}>1000"} <= prices
    assert f'm1/output/default@{odd}>1000{{"speed":"fast"}}' in prices


def test_a_charge_without_known_prices_is_told_as_a_whole(stack: Stack, client: httpx.Client) -> None:
    """The price book is projected beside the rows and may be behind them."""
    account = str(client.post("/admin/v1/accounts", json={"name": "focus-whole"}).json()["id"])
    content = ODD_CATALOG.replace("name: M1", "name: M1 without a price book")
    revision = client.post("/admin/v1/catalog", json={"content": content}).json()["revision"]
    client.post("/admin/v1/catalog", json={"content": CATALOG}).raise_for_status()
    usage = TokenUsage(input=100, output=7, server_tool_requests=2)
    entry = usage_entry(account, "fb-whole", usage=usage, catalog_revision=revision, started_at_us=NOON_US)
    stack.use(account, [entry], f"edge-{account}")
    cost = explained(client, "fb-whole")["entries"][0]["charge"]["posted_nanousd"]
    assert {row["SkuId"] for row in focus(client, account)} == {
        *("m1/input", "m1/output", "m1/server_tool_requests"),
    }
    clickhouse(stack, f"DELETE FROM price_book WHERE revision = {revision}")
    [row] = focus(client, account)
    assert (row["SkuId"], row["SkuMeter"]) == ("m1/tokens", "Tokens")
    assert (nanousd(row), row["ConsumedQuantity"], row["x_Requests"]) == (cost, "107", "1")
