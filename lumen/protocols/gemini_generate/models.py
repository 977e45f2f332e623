"""What a model's name tells about it; the API has no other sign.

https://ai.google.dev/gemini-api/docs/thinking, https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
# An alias such as gemini-flash-latest.
_LATEST = (3, 0)


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """`has_budget`: thinks by `thinkingBudget`, between `budget_min` and `budget_max`; `may_not_think`: 0 is allowed.
    `has_levels`: thinks by `thinkingLevel`, wants its signatures back, and reads media inside function responses."""

    has_budget: bool = False
    has_levels: bool = False
    is_pro: bool = False
    budget_min: int = 0
    budget_max: int = 0
    may_not_think: bool = False


def traits_of(model: str) -> ModelTraits:
    """`model` is the channel's name for it, perhaps with a path before it."""
    if "gemini" not in model:
        return ModelTraits()
    match = _VERSION.search(model)
    version = (int(match[1]), int(match[2] or 0)) if match else _LATEST
    is_pro = "pro" in model
    if version >= (3, 0):
        return ModelTraits(has_levels=True, is_pro=is_pro)
    if version < (2, 5):
        return ModelTraits()
    if is_pro:
        return ModelTraits(has_budget=True, is_pro=True, budget_min=128, budget_max=32768)
    budget_min = 512 if "lite" in model else 1
    return ModelTraits(has_budget=True, budget_min=budget_min, budget_max=24576, may_not_think=True)
