"""What clients pay and what providers charge us, from the same catalog."""

from __future__ import annotations

from lumen.catalog.rates import client_rates, cost_rates
from lumen.money.usage import TokenUsage
from tests.unit.catalog.catalogs import channel, group, model

LONG = TokenUsage(input=1000, output=10)
PRICED = model(
    "m",
    tiers=[{"above_prompt_tokens": 500, "price": {"input": "2"}}],
    modifiers={"speed": {"fast": "3"}},
)


def test_client_pays_list_price_times_the_groups_multiplier() -> None:
    assert client_rates(PRICED, group("g", multiplier="0.5")).cost_nanousd(LONG) == (1000 * 2000 + 10 * 2000) // 2


def test_cost_multiplier_applies_to_list_prices_tiers_and_modifiers_but_no_group() -> None:
    rates = cost_rates(channel("c", "m", cost_multiplier="0.8"), PRICED)
    assert rates.cost_nanousd(LONG) == 1_616_000
    assert rates.cost_nanousd(LONG, {"speed": "fast"}) == 3 * 1_616_000


def test_cost_table_replaces_the_multiplier_for_the_models_it_names() -> None:
    paying = channel("c", "m", "n", cost_multiplier="0.5", cost={"m": {"input": "0.1", "output": "0.2"}})
    assert cost_rates(paying, PRICED).cost_nanousd(LONG) == 1000 * 100 + 10 * 200
    assert cost_rates(paying, model("n")).cost_nanousd(LONG) == (1000 * 1000 + 10 * 2000) // 2
