"""Exact prices: what an answer costs, and the most it can cost. Integers only; one rounding per charge.

Units. A price is nano-USD per million (tokens or requests): an `int` made from a decimal string of USD per million.
A multiplier is in millionths. A charge is

    sum(count x price) x multiplier x modifier x ...  /  (10^6 per million  x  10^6 per multiplier and modifier)

rounded once, half up, to nano-USD. Modifiers (service tier, speed, ...) scale the whole charge.

Long context. The tier is picked once per request, by its total prompt (cached tokens included): the one with the
highest `above_prompt_tokens` strictly below that total. Its prices replace the ones it names; buckets that it does
not name keep their base price.

Fallbacks. A bucket without a price of its own (in the tier or the base) costs what `FALLBACKS` says, in the same tier.
`server_tool_requests` has no fallback: unpriced it is refused at admission (`hold_nanousd` raises), and requests that a
provider reports all the same are listed without a price and charged nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import gcd

from lumen.money.usage import PRICED_BUCKETS, PROMPT_BUCKETS, TokenUsage

MILLION = 10**6

# Bucket -> the bucket whose price it takes when it has none. `input` and `output` are always priced.
FALLBACKS: Mapping[str, str] = {
    "cache_read": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "cache_write_5m",
    "audio_input": "input",
    "audio_output": "output",
    "image_input": "input",
}

# What `output_cap_for` answers when output is free: more than any model can produce.
OUTPUT_CAP_UNLIMITED = 2**53

_NO_MODIFIERS: Mapping[str, str] = {}
# Per million tokens, and the multiplier's millionths.
_DENOMINATOR = MILLION * MILLION
_PRICE = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII)
_MULTIPLIER = re.compile(r"(\d{1,6})(?:\.(\d{1,6}))?", re.ASCII)


class Unpriced(ValueError):
    """The request asks for something that has no price; refuse it before it is sent."""


class UnpricedModifier(Unpriced):
    def __init__(self, dimension: str, value: str) -> None:
        super().__init__(f"{dimension} {value!r} has no price for this model")
        self.dimension = dimension
        self.value = value


class UnpricedServerTools(Unpriced):
    def __init__(self) -> None:
        super().__init__("server tools have no price for this model")


def parse_price(text: str) -> int:
    """USD per million as a decimal string -> nano-USD per million, exactly. Raises ValueError."""
    return _parse_decimal(_PRICE, text, 9, "a price is a decimal number such as 2.5, with at most 9 fraction digits")


def parse_multiplier(text: str) -> int:
    """Decimal string -> millionths, exactly. Raises ValueError."""
    return _parse_decimal(
        _MULTIPLIER, text, 6, "a multiplier is a decimal number such as 0.35, with at most 6 fraction digits"
    )


def _parse_decimal(pattern: re.Pattern[str], text: str, digits: int, message: str) -> int:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(message)
    scale: int = 10**digits
    return int(match[1]) * scale + int((match[2] or "").ljust(digits, "0"))


def round_half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator, both at least zero, to the nearest integer; a half goes up."""
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass(frozen=True, slots=True)
class TierPrices:
    """The prices in force above a prompt size, with every fallback applied. Nano-USD per million.

    The `_dearest` prices are the dearest of this tier and all below it: what a hold must reckon with when the prompt
    may reach this tier.
    """

    above_prompt_tokens: int  # -1: the base
    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    audio_input: int
    audio_output: int
    image_input: int
    server_tool_requests: int | None
    prompt_dearest: int
    output_dearest: int
    server_tool_dearest: int | None
    sources: Mapping[str, str]  # bucket -> the bucket whose price it took


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """One bucket's part of a charge: `numerator / denominator` nano-USD, exactly (all lines share a denominator)."""

    bucket: str
    count: int
    price: int | None  # nano-USD per million; None: unpriced, charged nothing
    priced_as: str  # the bucket whose price applied
    above_prompt_tokens: int  # of the tier; -1: the base
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class RateCard:
    """The prices of one model for one payer. Built by `rate_card`; its methods are cheap and never round twice."""

    tiers: tuple[TierPrices, ...]  # ascending; the first is the base
    multiplier: int  # millionths
    modifiers: Mapping[str, Mapping[str, int]]  # dimension -> value -> millionths
    _plain_scale: tuple[int, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # in lowest terms: most charges have no modifiers, and their arithmetic then stays within a machine word or two
        shared = gcd(self.multiplier, MILLION * MILLION)
        object.__setattr__(self, "_plain_scale", (self.multiplier // shared, MILLION * MILLION // shared))

    def with_multiplier(self, multiplier: int) -> RateCard:
        """The same prices for another payer; `multiplier` in millionths."""
        return replace(self, multiplier=multiplier)

    def cost_nanousd(self, usage: TokenUsage, modifiers: Mapping[str, str] = _NO_MODIFIERS) -> int:
        """The charge. Raises UnpricedModifier (never for modifiers that `hold_nanousd` has accepted)."""
        return self.scaled_nanousd(self.amount(usage), modifiers)

    def amount(self, usage: TokenUsage) -> int:
        """sum(count x price), before multiplier and modifiers: the same for all cards with the same tiers."""
        input_ = usage.input or 0
        cache_read = usage.cache_read or 0
        cache_write_5m = usage.cache_write_5m or 0
        cache_write_1h = usage.cache_write_1h or 0
        audio_input = usage.audio_input or 0
        image_input = usage.image_input or 0
        prices = self._tier(input_ + cache_read + cache_write_5m + cache_write_1h + audio_input + image_input)
        return (
            input_ * prices.input
            + cache_read * prices.cache_read
            + cache_write_5m * prices.cache_write_5m
            + cache_write_1h * prices.cache_write_1h
            + audio_input * prices.audio_input
            + image_input * prices.image_input
            + (usage.output or 0) * prices.output
            + (usage.audio_output or 0) * prices.audio_output
            + (usage.server_tool_requests or 0) * (prices.server_tool_requests or 0)
        )

    def scaled_nanousd(self, amount: int, modifiers: Mapping[str, str] = _NO_MODIFIERS) -> int:
        """An `amount` as a charge, rounded here and only here. Raises UnpricedModifier."""
        factor, denominator = self._scale(modifiers) if modifiers else self._plain_scale
        return round_half_up(amount * factor, denominator)

    def lines(self, usage: TokenUsage, modifiers: Mapping[str, str] = _NO_MODIFIERS) -> list[ChargeLine]:
        """The charge taken apart, a line per bucket used. The rounded sum of the lines is `cost_nanousd`."""
        prices = self._tier(usage.prompt_tokens())
        factor, denominator = self._scale(modifiers)
        lines = []
        for bucket in PRICED_BUCKETS:
            count: int = getattr(usage, bucket) or 0
            if count:
                price: int | None = getattr(prices, bucket)
                lines.append(
                    ChargeLine(
                        bucket=bucket,
                        count=count,
                        price=price,
                        priced_as=prices.sources[bucket],
                        above_prompt_tokens=prices.above_prompt_tokens,
                        numerator=count * (price or 0) * factor,
                        denominator=denominator,
                    )
                )
        return lines

    def hold_nanousd(
        self,
        *,
        prompt_tokens_max: int,
        output_tokens_max: int,
        server_tool_requests_max: int = 0,
        modifiers: Mapping[str, str] = _NO_MODIFIERS,
    ) -> int:
        """The most that usage within these bounds can cost: every bucket dearest, at the dearest reachable tier.

        `output_tokens_max` covers all choices together, text and audio. Raises Unpriced.
        """
        prices = self._tier(prompt_tokens_max)
        factor, denominator = self._scale(modifiers)
        amount = (
            prompt_tokens_max * prices.prompt_dearest
            + output_tokens_max * prices.output_dearest
            + _server_tools(prices, server_tool_requests_max)
        )
        return round_half_up(amount * factor, denominator)

    def output_cap_for(
        self,
        amount_nanousd: int,
        prompt_tokens_max: int,
        choices: int = 1,
        *,
        server_tool_requests_max: int = 0,
        modifiers: Mapping[str, str] = _NO_MODIFIERS,
    ) -> int:
        """The largest output cap per choice whose hold fits into `amount_nanousd`; 0 when none does. Raises Unpriced.

        OUTPUT_CAP_UNLIMITED when output costs nothing and the rest fits.
        """
        prices = self._tier(prompt_tokens_max)
        factor, denominator = self._scale(modifiers)
        # round_half_up(n, d) <= a  <=>  2n + d < 2d(a + 1)  <=>  n <= (d(2a + 1) - 1) // 2
        numerator_max = (denominator * (2 * amount_nanousd + 1) - 1) // 2
        fixed = prompt_tokens_max * prices.prompt_dearest + _server_tools(prices, server_tool_requests_max)
        remaining = numerator_max - fixed * factor
        if amount_nanousd < 0 or remaining < 0:
            return 0
        per_token = prices.output_dearest * factor * choices
        return min(remaining // per_token, OUTPUT_CAP_UNLIMITED) if per_token else OUTPUT_CAP_UNLIMITED

    def _tier(self, prompt_tokens: int) -> TierPrices:
        tiers = self.tiers
        if len(tiers) > 1:
            for tier in reversed(tiers):
                if prompt_tokens > tier.above_prompt_tokens:
                    return tier
        return tiers[0]

    def _scale(self, modifiers: Mapping[str, str]) -> tuple[int, int]:
        """(factor, denominator) that turn sum(count x price) into nano-USD."""
        factor, denominator = self.multiplier, _DENOMINATOR
        for dimension, value in modifiers.items():
            modifier = self.modifiers.get(dimension, {}).get(value)
            if modifier is None:
                raise UnpricedModifier(dimension, value)
            factor *= modifier
            denominator *= MILLION
        return factor, denominator


def rate_card(
    prices: Mapping[str, str],
    tiers: Iterable[tuple[int, Mapping[str, str]]] = (),
    *,
    multiplier: str = "1",
    modifiers: Mapping[str, Mapping[str, str]] = {},
) -> RateCard:
    """Compile decimal strings into a RateCard.

    `prices`: bucket -> USD per million; `tiers`: (above_prompt_tokens, prices it replaces); `modifiers`: dimension ->
    value -> multiplier. Raises ValueError for what does not parse, KeyError without an input or output price.
    """
    base = {bucket: parse_price(text) for bucket, text in prices.items()}
    compiled = [_compile_tier(-1, base, None)]
    for above_prompt_tokens, replaced in sorted(tiers, key=lambda tier: tier[0]):
        own = {bucket: parse_price(text) for bucket, text in replaced.items()}
        compiled.append(_compile_tier(above_prompt_tokens, base | own, compiled[-1]))
    return RateCard(
        tiers=tuple(compiled),
        multiplier=parse_multiplier(multiplier),
        modifiers={
            dimension: {value: parse_multiplier(text) for value, text in values.items()}
            for dimension, values in modifiers.items()
        },
    )


def _compile_tier(above_prompt_tokens: int, priced: Mapping[str, int], below: TierPrices | None) -> TierPrices:
    sources = {bucket: _source(bucket, priced) for bucket in PRICED_BUCKETS}
    price = {bucket: priced[source] for bucket, source in sources.items() if source in priced}
    prompt = [price[bucket] for bucket in PROMPT_BUCKETS]
    output = [price["output"], price["audio_output"]]
    tools = [price["server_tool_requests"]] if "server_tool_requests" in price else []
    if below is not None:
        prompt.append(below.prompt_dearest)
        output.append(below.output_dearest)
        if below.server_tool_dearest is not None:
            tools.append(below.server_tool_dearest)
    return TierPrices(
        above_prompt_tokens=above_prompt_tokens,
        input=price["input"],
        cache_read=price["cache_read"],
        cache_write_5m=price["cache_write_5m"],
        cache_write_1h=price["cache_write_1h"],
        output=price["output"],
        audio_input=price["audio_input"],
        audio_output=price["audio_output"],
        image_input=price["image_input"],
        server_tool_requests=price.get("server_tool_requests"),
        prompt_dearest=max(prompt),
        output_dearest=max(output),
        server_tool_dearest=max(tools, default=None),
        sources=sources,
    )


def _source(bucket: str, priced: Mapping[str, int]) -> str:
    while bucket not in priced and bucket in FALLBACKS:
        bucket = FALLBACKS[bucket]
    return bucket


def _server_tools(prices: TierPrices, requests: int) -> int:
    if not requests:
        return 0
    if prices.server_tool_dearest is None:
        raise UnpricedServerTools
    return requests * prices.server_tool_dearest
