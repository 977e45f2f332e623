"""Prices of one catalog revision, as billing rates with them."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Rate cards of one catalog revision, compiled on first use of each pair."""

    def __init__(self, catalog: Catalog) -> None:
        self._models = {model.code: model for model in catalog.models}
        self._groups = {group.name: group for group in catalog.groups}
        self._channels = {channel.name: channel for channel in catalog.channels}
        self._client_cards: dict[tuple[str, str], RateCard] = {}
        self._cost_cards: dict[tuple[str, str], RateCard] = {}

    def charge(self, entry: UsageEntry) -> Charge:
        try:
            client_card = self._client_card(entry.model, entry.group)
            cost_card = self._cost_card(entry.channel, entry.model)
            cost = client_card.cost_nanousd(entry.usage, entry.modifiers) if entry.is_billable else 0
            upstream_cost = cost_card.cost_nanousd(entry.usage, entry.modifiers)
        except (KeyError, ValueError) as error:
            raise NotRatable(f"{type(error).__name__}: {error}") from error
        if not (0 <= cost < AMOUNT_NANOUSD_MAX and 0 <= upstream_cost < AMOUNT_NANOUSD_MAX):
            raise NotRatable(f"a cost of {cost} (upstream {upstream_cost}) nano-USD")
        return Charge(cost, upstream_cost)

    def _client_card(self, model: str, group: str) -> RateCard:
        card = self._client_cards.get((model, group))
        if card is None:
            card = client_rates(_known(self._models, "model", model), _known(self._groups, "group", group))
            self._client_cards[model, group] = card
        return card

    def _cost_card(self, channel: str, model: str) -> RateCard:
        card = self._cost_cards.get((channel, model))
        if card is None:
            card = cost_rates(_known(self._channels, "channel", channel), _known(self._models, "model", model))
            self._cost_cards[channel, model] = card
        return card


def _known(items: Mapping[str, _T], noun: str, name: str) -> _T:
    try:
        return items[name]
    except KeyError:
        raise NotRatable(f"no {noun} {name!r} in this catalog revision") from None
