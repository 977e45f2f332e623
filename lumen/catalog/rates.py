"""From catalog to rate cards: what a client of a group pays, and what a channel's provider charges us."""

from __future__ import annotations

from lumen.catalog.document import Channel, Group, Model
from lumen.money.prices import RateCard, parse_multiplier, rate_card


def list_rates(model: Model) -> RateCard:
    """The model's list prices, as the catalog has them."""
    return rate_card(
        model.price,
        [(tier.above_prompt_tokens, tier.price) for tier in model.tiers],
        modifiers=model.modifiers,
    )


def client_rates(model: Model, group: Group) -> RateCard:
    """What a client of the group pays: list prices times the group's multiplier."""
    return list_rates(model).with_multiplier(parse_multiplier(group.multiplier))


def cost_rates(channel: Channel, model: Model) -> RateCard:
    """What the provider charges us: the channel's own price table for the model, else list prices times
    `cost_multiplier`. The model's modifiers apply to both; a table has no long-context tiers."""
    table = channel.cost.get(model.code)
    if table is not None:
        return rate_card(table, modifiers=model.modifiers)
    return list_rates(model).with_multiplier(parse_multiplier(channel.cost_multiplier))
