"""Hypothesis strategies: price lists, usage, modifiers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st

from lumen.money.prices import RateCard, rate_card
from lumen.money.usage import PRICED_BUCKETS, PROMPT_BUCKETS, TokenUsage

OPTIONAL_BUCKETS = [bucket for bucket in PRICED_BUCKETS if bucket not in ("input", "output")]
MODIFIERS = {"service_tier": {"priority": "2.5", "flex": "0.5"}, "speed": {"fast": "6"}}


def decimal_texts(integer_max: int, digits: int) -> st.SearchStrategy[str]:
    whole = st.integers(0, integer_max).map(str)
    fraction = st.text("0123456789", min_size=1, max_size=digits)
    return st.one_of(whole, st.builds("{}.{}".format, whole, fraction))


prices = decimal_texts(100_000, 9)
multipliers = decimal_texts(20, 6)
usages = st.builds(TokenUsage, **{bucket: st.one_of(st.none(), st.integers(0, 2_000_000)) for bucket in PRICED_BUCKETS})
modifiers = st.fixed_dictionaries(
    {}, optional={dimension: st.sampled_from(sorted(values)) for dimension, values in MODIFIERS.items()}
)


@dataclass(frozen=True)
class PriceList:
    """The texts a card is made of, and the exact charge computed the slow and obvious way."""

    base: dict[str, str]
    tiers: dict[int, dict[str, str]]
    multiplier: str

    def card(self) -> RateCard:
        return rate_card(self.base, self.tiers.items(), multiplier=self.multiplier, modifiers=MODIFIERS)

    def exact_nanousd(self, usage: TokenUsage, chosen: dict[str, str]) -> Fraction:
        prompt = sum(getattr(usage, bucket) or 0 for bucket in PROMPT_BUCKETS)
        above = max((start for start in self.tiers if prompt > start), default=None)
        price = dict(self.base) | (self.tiers[above] if above is not None else {})
        price.setdefault("cache_read", price["input"])
        price.setdefault("cache_write_5m", price["input"])
        price.setdefault("cache_write_1h", price["cache_write_5m"])
        price.setdefault("audio_input", price["input"])
        price.setdefault("audio_output", price["output"])
        price.setdefault("image_input", price["input"])
        price.setdefault("server_tool_requests", "0")
        usd = sum(
            ((getattr(usage, bucket) or 0) * Fraction(price[bucket]) / 10**6 for bucket in PRICED_BUCKETS), Fraction()
        )
        usd *= Fraction(self.multiplier)
        for dimension, value in chosen.items():
            usd *= Fraction(MODIFIERS[dimension][value])
        return usd * 10**9


base_prices = st.fixed_dictionaries(
    {"input": prices, "output": prices}, optional=dict.fromkeys(OPTIONAL_BUCKETS, prices)
)
tier_prices = st.fixed_dictionaries({}, optional=dict.fromkeys(PRICED_BUCKETS, prices))
price_lists = st.builds(
    PriceList, base_prices, st.dictionaries(st.integers(1, 4_000_000), tier_prices, max_size=3), multipliers
)
priced_tools = price_lists.filter(lambda prices: "server_tool_requests" in prices.base)
