"""What a key may be made for: a group of the current catalog, and models which that group offers."""

from __future__ import annotations

from collections.abc import Sequence

from lumen.catalog.document import Catalog
from lumen.catalog.resolve import matches
from services.console.errors import InvalidRequest


def model_codes(catalog: Catalog, group_name: str, models: Sequence[str]) -> list[str]:
    """The codes of `models` (codes or aliases), once each and in their order.

    Raises InvalidRequest for a group or model that is not in the catalog, or a model outside the group.
    """
    group = next((group for group in catalog.groups if group.name == group_name), None)
    if group is None:
        known = ", ".join(group.name for group in catalog.groups) or "none"
        raise InvalidRequest("group", f"the catalog has no group {group_name!r}; its groups: {known}")
    codes = {name: model.code for model in catalog.models for name in (model.code, *model.aliases)}
    offered = [model.code for model in catalog.models if matches(group, model.code)]
    for name in models:
        if name not in codes:
            raise InvalidRequest("models", f"the catalog has no model {name!r}; the group offers {_listed(offered)}")
        if codes[name] not in offered:
            raise InvalidRequest("models", f"group {group_name!r} does not offer {name!r}; it has {_listed(offered)}")
    return list(dict.fromkeys(codes[name] for name in models))


def _listed(codes: list[str]) -> str:
    return ", ".join(codes) or "no model"
