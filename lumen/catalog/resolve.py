"""From (group, model) to the channels that can serve it: compiled once per catalog, then a dictionary lookup. Pure.

A model belongs to a group when one of the group's globs matches its code and at least one channel serves the pair: what
no channel can serve is neither listed nor found.

Which of the targets is tried first is the edge's to say (`services/edge/routing`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from lumen.catalog.document import Catalog, Channel, Group, Model
from lumen.catalog.rates import client_rates, list_rates
from lumen.money.prices import RateCard, parse_multiplier


@dataclass(frozen=True, slots=True)
class Target:
    channel: Channel
    upstream_model: str  # the provider's name for the model


@dataclass(frozen=True, slots=True)
class Resolution:
    """One model as one group may use it. `targets` is never empty and is ordered by priority."""

    revision: int
    group: Group
    model: Model
    targets: tuple[Target, ...]
    rates: RateCard


class RouteTable:
    """One catalog revision, ready to be asked. Immutable."""

    def __init__(self, catalog: Catalog, revision: int) -> None:
        self.catalog = catalog
        self.revision = revision
        self._groups = {group.name: group for group in catalog.groups}
        self._models: dict[str, list[Model]] = {}
        self._resolutions: dict[str, dict[str, Resolution]] = {}
        cards = {model.code: list_rates(model) for model in catalog.models}
        for group in catalog.groups:
            self._compile(group, cards)

    def resolve(self, group: str, model: str) -> Resolution | None:
        """`model` is a code or an alias. None: not in this group, or unknown."""
        resolutions = self._resolutions.get(group)
        return resolutions.get(model) if resolutions is not None else None

    def models_of(self, group: str) -> list[Model]:
        """What a key of this group may use, in the catalog's order; empty for an unknown group."""
        return list(self._models.get(group, ()))

    def group(self, name: str) -> Group | None:
        return self._groups.get(name)

    def _compile(self, group: Group, cards: Mapping[str, RateCard]) -> None:
        targets: dict[str, list[Target]] = {}
        for channel in self.catalog.channels:
            if channel.serves_group(group.name):
                for code, upstream_model in channel.models.items():
                    targets.setdefault(code, []).append(Target(channel, upstream_model))
        multiplier = parse_multiplier(group.multiplier)
        models: list[Model] = []
        resolutions: dict[str, Resolution] = {}
        for model in self.catalog.models:
            if model.code not in targets or not matches(group, model.code):
                continue
            models.append(model)
            resolution = Resolution(
                revision=self.revision,
                group=group,
                model=model,
                targets=tuple(sorted(targets[model.code], key=lambda target: target.channel.priority)),
                rates=cards[model.code].with_multiplier(multiplier),
            )
            for name in (model.code, *model.aliases):
                resolutions[name] = resolution
        self._models[group.name] = models
        self._resolutions[group.name] = resolutions


def matches(group: Group, code: str) -> bool:
    """Whether the group's codes and globs (`*`, `?`, `[...]`, case matters) cover the model."""
    return any(fnmatchcase(code, pattern) for pattern in group.models)


def resolution_to_json(resolution: Resolution) -> bytes:
    """For `RouteResponse.resolution_json`; rates are left out and compiled again from model and group."""
    value = {
        "revision": resolution.revision,
        "group": resolution.group.model_dump(mode="json"),
        "model": resolution.model.model_dump(mode="json"),
        "targets": [
            {"channel": target.channel.model_dump(mode="json"), "upstream_model": target.upstream_model}
            for target in resolution.targets
        ],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def resolution_from_json(data: bytes) -> Resolution:
    """Raises ValueError (pydantic's ValidationError included) or KeyError for anything else."""
    value: dict[str, Any] = json.loads(data)
    group = Group.model_validate(value["group"], extra="ignore")
    model = Model.model_validate(value["model"], extra="ignore")
    return Resolution(
        revision=value["revision"],
        group=group,
        model=model,
        targets=tuple(
            Target(Channel.model_validate(target["channel"], extra="ignore"), target["upstream_model"])
            for target in value["targets"]
        ),
        rates=client_rates(model, group),
    )
