"""Rating: exact charges by the entry's own revision; unknown revisions are waited for."""

from __future__ import annotations

import asyncio

import pytest

from lumen.catalog.parse import catalog_to_json, parse_catalog
from lumen.catalog.revisions import encode_revision
from lumen.money.usage import TokenUsage
from services.billing.catalog_rates import compile_rates
from services.billing.rating import Charge, NotRatable, RateBook, RevisionMissing
from tests.integration.billing.conftest import FlatRates, compile_flat_rates, usage_entry

CATALOG = """
models:
  - {code: m, name: M, vendor: v, max_output_tokens: 1000, price: {input: "5", output: "25", cache_read: "0.5"},
     modifiers: {service_tier: {priority: "2.0"}}}
groups: [{name: default, multiplier: "0.35", models: ["*"]}]
channels:
  - {name: c, dialects: {openai_chat: "http://127.0.0.1:1/v1"}, secret: "env:X", models: {m: m-1}, groups: [default],
     cost_multiplier: "0.8"}
"""
RATES = compile_rates(encode_revision(catalog_to_json(parse_catalog(CATALOG, "test")), created_at_s=1, note=""))


def test_a_charge_is_exact() -> None:
    entry = usage_entry("acc", "a", usage=TokenUsage(input=1_000, cache_read=3, output=7))
    list_price = 1_000 * 5_000 + 3 * 500 + 7 * 25_000
    assert RATES.charge(entry) == Charge(list_price * 35 // 100, list_price * 8 // 10)


def test_a_channel_with_prices_of_its_own_is_paid_by_them() -> None:
    channel = 'models: {m: m-1}, cost: {m: {input: "1", output: "2"}}'
    document = parse_catalog(CATALOG.replace("models: {m: m-1}", channel), "test")
    rates = compile_rates(encode_revision(catalog_to_json(document), created_at_s=1, note=""))
    entry = usage_entry("acc", "a", usage=TokenUsage(input=1_000, output=7))
    list_price, own_price = 1_000 * 5_000 + 7 * 25_000, 1_000 * 1_000 + 7 * 2_000
    assert rates.charge(entry) == Charge(list_price * 35 // 100, own_price)


def test_what_is_not_billable_costs_us_only() -> None:
    entry = usage_entry("acc", "a", is_billable=False, usage=TokenUsage(input=1_000))
    assert RATES.charge(entry) == Charge(0, 4_000_000)


def test_an_answer_without_reported_usage_costs_nothing() -> None:
    assert RATES.charge(usage_entry("acc", "a", usage=TokenUsage())) == Charge(0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "unknown"},
        {"group": "unknown"},
        {"channel": "unknown"},
        {"modifiers": {"service_tier": "unknown"}},
        {"usage": TokenUsage(output=1 << 61)},
    ],
)
def test_what_the_revision_has_no_price_for_is_not_ratable(fields: dict[str, object]) -> None:
    with pytest.raises(NotRatable):
        RATES.charge(usage_entry("acc", "a", **fields))


class Shelf:
    def __init__(self) -> None:
        self.contents: dict[int, bytes] = {}
        self.fetched: list[int] = []

    async def fetch(self, revision: int) -> bytes | None:
        self.fetched.append(revision)
        return self.contents.get(revision)


async def test_revisions_are_fetched_once_while_they_fit() -> None:
    shelf = Shelf()
    shelf.contents = dict.fromkeys(range(1, 4), b'{"price": 7}')
    book = RateBook(shelf.fetch, compile_flat_rates, revisions_max=2)
    await book.rates_for({1, 2})
    await book.rates_for({1, 2})
    assert shelf.fetched == [1, 2]
    await book.rates_for({3})
    await book.rates_for({2, 3})
    assert shelf.fetched == [1, 2, 3]


async def test_more_revisions_than_are_kept_are_all_answered() -> None:
    shelf = Shelf()
    shelf.contents = dict.fromkeys(range(1, 71), b'{"price": 7}')
    rates = await RateBook(shelf.fetch, compile_flat_rates, revisions_max=8).rates_for(set(range(1, 71)))
    assert len(rates) == 70


async def test_a_revision_that_appears_meanwhile_is_found() -> None:
    shelf = Shelf()
    book = RateBook(shelf.fetch, compile_flat_rates)
    waiting = asyncio.create_task(book.rates_for({5}))
    while not shelf.fetched:  # noqa: ASYNC110
        await asyncio.sleep(0)
    shelf.contents[5] = b'{"price": 7}'
    assert isinstance((await waiting)[5], FlatRates)


async def test_a_wait_is_bounded_and_names_what_is_missing() -> None:
    shelf = Shelf()
    shelf.contents[1] = b'{"price": 7}'
    with pytest.raises(RevisionMissing) as caught:
        await RateBook(shelf.fetch, compile_flat_rates).rates_for({1, 9}, wait_s_max=0.0)
    assert caught.value.revisions == [9]


async def test_an_unreadable_revision_counts_as_missing() -> None:
    shelf = Shelf()
    shelf.contents[1] = b"not json"
    with pytest.raises(RevisionMissing):
        await RateBook(shelf.fetch, compile_rates).rates_for({1}, wait_s_max=0.0)
