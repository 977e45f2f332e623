"""Charges against exact fractions, holds against every charge within their bounds, by hand and by Hypothesis."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.money.prices import (
    FALLBACKS,
    OUTPUT_CAP_UNLIMITED,
    UnpricedModifier,
    UnpricedServerTools,
    parse_multiplier,
    parse_price,
    rate_card,
    round_half_up,
)
from lumen.money.usage import PRICED_BUCKETS, TokenUsage
from tests.unit.money.strategies import PriceList, modifiers, multipliers, price_lists, priced_tools, prices, usages

OPUS = {"input": "5", "output": "25", "cache_read": "0.5", "cache_write_5m": "6.25", "cache_write_1h": "10"}
OPUS_LONG = (200_000, {"input": "10", "output": "37.5"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5_000_000_000), ("0", 0), ("0.5", 500_000_000), ("0.000000001", 1), ("37.5", 37_500_000_000)],
)
def test_price_is_exact_nanousd_per_million(text: str, expected: int) -> None:
    assert parse_price(text) == expected


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.", ".5", "1e3", "1,5", " 1", "1\n", "0.1234567891", "NaN", "1_0", "\u0661"]
)
def test_what_is_not_a_plain_decimal_is_not_a_price(text: str) -> None:
    with pytest.raises(ValueError, match="at most 9 fraction digits"):
        parse_price(text)


def test_multiplier_has_six_fraction_digits() -> None:
    assert parse_multiplier("0.35") == 350_000
    assert parse_multiplier("1.0") == 1_000_000
    with pytest.raises(ValueError, match="at most 6 fraction digits"):
        parse_multiplier("0.1234567")


@given(prices, multipliers)
def test_parsing_keeps_every_digit(price: str, multiplier: str) -> None:
    assert Fraction(parse_price(price), 10**9) == Fraction(price)
    assert Fraction(parse_multiplier(multiplier), 10**6) == Fraction(multiplier)


def test_charge_by_hand() -> None:
    usage = TokenUsage(input=1000, cache_read=20_000, cache_write_5m=300, cache_write_1h=40, output=500, reasoning=400)
    # 1000 x 5 + 20000 x 0.5 + 300 x 6.25 + 40 x 10 + 500 x 25 = 29775 micro-USD; reasoning is inside output
    assert rate_card(OPUS).cost_nanousd(usage) == 29_775_000
    assert rate_card(OPUS, multiplier="0.35").cost_nanousd(usage) == 10_421_250


def test_long_context_prices_the_whole_request_and_keeps_prices_it_does_not_name() -> None:
    card = rate_card(OPUS, [OPUS_LONG])
    at_the_limit = TokenUsage(input=1000, cache_read=199_000, output=10)
    above = TokenUsage(input=1001, cache_read=199_000, output=10)
    assert card.cost_nanousd(at_the_limit) == 1000 * 5000 + 199_000 * 500 + 10 * 25_000
    assert card.cost_nanousd(above) == 1001 * 10_000 + 199_000 * 500 + 10 * 37_500


def test_bucket_without_any_price_falls_back_within_its_tier() -> None:
    card = rate_card({"input": "5", "output": "25"}, [OPUS_LONG])
    assert card.cost_nanousd(TokenUsage(cache_read=200_001)) == 200_001 * 10_000
    assert card.cost_nanousd(TokenUsage(cache_write_1h=10, audio_output=10)) == 10 * 5000 + 10 * 25_000
    assert rate_card(OPUS | {"cache_write_5m": "7"}).cost_nanousd(TokenUsage(cache_write_5m=1)) == 7000


def test_half_a_nanousd_is_rounded_up_once() -> None:
    assert round_half_up(1, 2) == 1
    assert round_half_up(49, 100) == 0
    card = rate_card({"input": "0.0004", "output": "0.0001"})
    assert card.cost_nanousd(TokenUsage(input=1)) == 0  # 0.4
    assert card.cost_nanousd(TokenUsage(input=1, output=1)) == 1  # 0.4 + 0.1, summed before rounding


def test_modifiers_scale_the_whole_charge_and_unknown_ones_are_refused() -> None:
    card = rate_card(OPUS, modifiers={"speed": {"fast": "6"}, "service_tier": {"flex": "0.5"}})
    usage = TokenUsage(input=100, output=10)
    assert card.cost_nanousd(usage, {"speed": "fast"}) == 6 * card.cost_nanousd(usage)
    assert card.cost_nanousd(usage, {"speed": "fast", "service_tier": "flex"}) == 3 * card.cost_nanousd(usage)
    with pytest.raises(UnpricedModifier) as caught:
        card.hold_nanousd(prompt_tokens_max=1, output_tokens_max=1, modifiers={"service_tier": "priority"})
    assert (caught.value.dimension, caught.value.value) == ("service_tier", "priority")


def test_unpriced_server_tools_are_refused_before_and_listed_after() -> None:
    card = rate_card(OPUS)
    with pytest.raises(UnpricedServerTools):
        card.hold_nanousd(prompt_tokens_max=1, output_tokens_max=1, server_tool_requests_max=1)
    usage = TokenUsage(input=1, server_tool_requests=2)
    assert card.cost_nanousd(usage) == 5000
    assert [(line.bucket, line.price) for line in card.lines(usage)] == [
        ("input", 5_000_000_000),
        ("server_tool_requests", None),
    ]


def test_server_tools_are_priced_per_million_requests() -> None:
    card = rate_card(OPUS | {"server_tool_requests": "10000"})
    assert card.cost_nanousd(TokenUsage(server_tool_requests=1)) == 10_000_000  # 1 cent


def test_fallbacks_end_at_required_prices() -> None:
    for bucket in PRICED_BUCKETS:
        while bucket in FALLBACKS:
            bucket = FALLBACKS[bucket]
        assert bucket in ("input", "output", "server_tool_requests")


def test_input_and_output_must_be_priced() -> None:
    with pytest.raises(KeyError):
        rate_card({"input": "1"})


@given(price_lists, usages, modifiers)
def test_charge_is_the_exact_sum_rounded_half_up_once(
    price_list: PriceList, usage: TokenUsage, chosen: dict[str, str]
) -> None:
    charge = price_list.card().cost_nanousd(usage, chosen)
    assert type(charge) is int
    assert charge == floor(price_list.exact_nanousd(usage, chosen) + Fraction(1, 2))


@given(price_lists, usages, modifiers)
def test_lines_add_up_to_the_charge(price_list: PriceList, usage: TokenUsage, chosen: dict[str, str]) -> None:
    card = price_list.card()
    lines = card.lines(usage, chosen)
    total = sum(line.numerator for line in lines)
    assert len({line.denominator for line in lines}) <= 1
    assert (round_half_up(total, lines[0].denominator) if lines else 0) == card.cost_nanousd(usage, chosen)


@given(priced_tools, usages, modifiers, st.integers(0, 3_000_000), st.integers(0, 3_000_000), st.integers(0, 9))
def test_hold_covers_every_usage_within_its_bounds(
    price_list: PriceList, usage: TokenUsage, chosen: dict[str, str], prompt_slack: int, output_slack: int, tools: int
) -> None:
    card = price_list.card()
    hold = card.hold_nanousd(
        prompt_tokens_max=usage.prompt_tokens() + prompt_slack,
        output_tokens_max=(usage.output or 0) + (usage.audio_output or 0) + output_slack,
        server_tool_requests_max=(usage.server_tool_requests or 0) + tools,
        modifiers=chosen,
    )
    assert type(hold) is int
    assert hold >= card.cost_nanousd(usage, chosen)


def test_hold_takes_a_cheaper_long_tier_at_the_dearer_base_price() -> None:
    card = rate_card({"input": "5", "output": "25"}, [(100, {"input": "1"})])
    assert card.hold_nanousd(prompt_tokens_max=100, output_tokens_max=0) == 100 * 5000
    assert card.hold_nanousd(prompt_tokens_max=101, output_tokens_max=0) == 101 * 5000


@given(price_lists, modifiers, st.integers(0, 10**13), st.integers(0, 3_000_000), st.integers(1, 8))
def test_output_cap_is_the_largest_that_fits(
    price_list: PriceList, chosen: dict[str, str], amount: int, prompt: int, choices: int
) -> None:
    card = price_list.card()
    cap = card.output_cap_for(amount, prompt, choices, modifiers=chosen)

    def hold(output_cap: int) -> int:
        return card.hold_nanousd(prompt_tokens_max=prompt, output_tokens_max=output_cap * choices, modifiers=chosen)

    assert 0 <= cap <= OUTPUT_CAP_UNLIMITED
    if cap > 0:
        assert hold(cap) <= amount
    if cap < OUTPUT_CAP_UNLIMITED:
        assert hold(cap + 1) > amount


def test_free_output_has_no_cap_and_an_unaffordable_prompt_has_none_left() -> None:
    card = rate_card({"input": "5", "output": "0"})
    assert card.output_cap_for(5000, 1) == OUTPUT_CAP_UNLIMITED
    assert card.output_cap_for(4999, 1) == 0
    assert card.output_cap_for(-1, 0) == 0
