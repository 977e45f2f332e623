"""Prices of one catalog revision, as billing rates with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from lumen.catalog.document import Catalog
from lumen.catalog.rates import client_rates, cost_rates
from lumen.catalog.revisions import decode_revision
from lumen.ledger.entries import AMOUNT_NANOUSD_MAX, UsageEntry
from lumen.money.prices import RateCard
from services.billing.rating import Charge, NotRatable

_T = TypeVar("_T")


def compile_rates(content: bytes) -> RevisionRates:
    """`content`: a KV value written by router under `rev.<n>`. Raises ValueError."""
    return RevisionRates(decode_revision(content).read_catalog())


class RevisionRates:
    """Rate cards of one catalog revision, compiled on first use of each combination."""

    def __init__(self, catalog: Catalog) -> None:
        self._models = {model.code: model for model in catalog.models}
        self._groups = {group.name: group for group in catalog.groups}
        self._channels = {channel.name: channel for channel in catalog.channels}
        self._cards: dict[tuple[str, str, str], _Cards] = {}  # by model, group and channel: as many as the catalog has

    def charge(self, entry: UsageEntry) -> Charge:
        try:
            combination = (entry.model, entry.group, entry.channel)
            cards = self._cards.get(combination) or self._compile(*combination)
            client, provider = cards.client, cards.provider
            usage, modifiers = entry.usage, entry.modifiers
            amount = provider.amount(usage)
            upstream_cost = provider.scaled_nanousd(amount, modifiers)
            cost = 0
            if entry.is_billable:
                cost = client.scaled_nanousd(amount if cards.have_same_tiers else client.amount(usage), modifiers)
        except (KeyError, ValueError) as error:
            raise NotRatable(f"{type(error).__name__}: {error}") from error
        if not (0 <= cost < AMOUNT_NANOUSD_MAX and 0 <= upstream_cost < AMOUNT_NANOUSD_MAX):
            raise NotRatable(f"a cost of {cost} (upstream {upstream_cost}) nano-USD")
        return Charge(cost, upstream_cost)

    def _compile(self, model_code: str, group: str, channel: str) -> _Cards:
        model = _known(self._models, "model", model_code)
        client = client_rates(model, _known(self._groups, "group", group))
        provider = cost_rates(_known(self._channels, "channel", channel), model)
        cards = _Cards(client, provider, client.tiers == provider.tiers)
        self._cards[model_code, group, channel] = cards
        return cards


@dataclass(frozen=True, slots=True)
class _Cards:
    client: RateCard
    provider: RateCard
    have_same_tiers: bool  # a channel without prices of its own costs a multiple of the list


def _known(items: Mapping[str, _T], noun: str, name: str) -> _T:
    try:
        return items[name]
    except KeyError:
        raise NotRatable(f"no {noun} {name!r} in this catalog revision") from None
