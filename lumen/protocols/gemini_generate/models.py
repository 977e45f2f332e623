"""What a model's name tells about it; the API has no other sign.

https://ai.google.dev/gemini-api/docs/thinking, https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
# An alias such as gemini-flash-latest.
_LATEST = (3, 1)


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """`levels`: what `thinkingLevel` may be, from Gemini 3 on; such models want their signatures back and read media
    inside function responses. `budget_max`: the most `thinkingBudget` may be, in Gemini 2.5; `may_not_think`: it may
    be 0. Neither: the model does not think."""

    levels: tuple[str, ...] = ()
    budget_min: int = 0
    budget_max: int = 0
    may_not_think: bool = False

    @property
    def is_gemini_3(self) -> bool:
        return bool(self.levels)


_NO_THINKING = ModelTraits()
_PRO_3 = ModelTraits(levels=("low", "high"))
_PRO = ModelTraits(levels=("low", "medium", "high"))
_FLASH = ModelTraits(levels=("minimal", "low", "medium", "high"))
_PRO_2_5 = ModelTraits(budget_min=128, budget_max=32768)
_FLASH_2_5 = ModelTraits(budget_min=1, budget_max=24576, may_not_think=True)
_FLASH_LITE_2_5 = ModelTraits(budget_min=512, budget_max=24576, may_not_think=True)


def traits_of(model: str) -> ModelTraits:
    """`model` is the channel's name for it, perhaps with a path before it."""
    if "gemini" not in model:
        return _NO_THINKING
    match = _VERSION.search(model)
    version = (int(match[1]), int(match[2] or 0)) if match else _LATEST
    is_pro = "pro" in model
    if version < (2, 5):
        return _NO_THINKING
    if version < (3, 0):
        return _PRO_2_5 if is_pro else _FLASH_LITE_2_5 if "lite" in model else _FLASH_2_5
    if is_pro:
        return _PRO_3 if version == (3, 0) else _PRO
    return _FLASH
