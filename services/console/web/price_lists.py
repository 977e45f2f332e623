"""Live unit prices by group, as charged: list price x multiplier, exact, per million tokens."""

from __future__ import annotations

from dataclasses import dataclass

from lumen.catalog.document import Catalog
from lumen.catalog.rates import client_rates
from lumen.catalog.resolve import RouteTable
from lumen.money.prices import MILLION, RateCard

SHOWN_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


@dataclass(frozen=True, slots=True)
class TierRow:
    above_prompt_tokens: int  # -1: the base
    prices: dict[str, str]  # bucket -> USD per million, exact


@dataclass(frozen=True, slots=True)
class ModelRow:
    code: str
    name: str
    vendor: str
    aliases: tuple[str, ...]
    max_output_tokens: int
    tiers: list[TierRow]
    modifiers: dict[str, dict[str, str]]  # dimension -> value -> factor


@dataclass(frozen=True, slots=True)
class GroupRow:
    name: str
    multiplier: str
    hold: str
    clients: tuple[str, ...]
    models: list[ModelRow]


def price_lists(catalog: Catalog, revision: int) -> list[GroupRow]:
    """Every group with the models that can be served in it."""
    table = RouteTable(catalog, revision)
    return [
        GroupRow(
            name=group.name,
            multiplier=group.multiplier,
            hold=group.hold,
            clients=group.clients,
            models=[
                ModelRow(
                    code=model.code,
                    name=model.name,
                    vendor=model.vendor,
                    aliases=model.aliases,
                    max_output_tokens=model.max_output_tokens,
                    tiers=_tiers(client_rates(model, group)),
                    modifiers={name: dict(values) for name, values in model.modifiers.items()},
                )
                for model in table.models_of(group.name)
            ],
        )
        for group in catalog.groups
    ]


def _tiers(rates: RateCard) -> list[TierRow]:
    return [
        TierRow(
            tier.above_prompt_tokens,
            {bucket: _exact(getattr(tier, bucket) * rates.multiplier) for bucket in SHOWN_BUCKETS},
        )
        for tier in rates.tiers
    ]


def _exact(price: int) -> str:
    """Nano-USD per million x millionths -> USD per million as a decimal with at least two digits."""
    whole, fraction = divmod(price, 10**9 * MILLION)
    digits = f"{fraction:015d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"
