"""How much a model shall think, in its own words: `thinkingBudget` until Gemini 2.5, `thinkingLevel` from Gemini 3 on.

Efforts become budgets as in Google's own OpenAI-compatible API.
https://ai.google.dev/gemini-api/docs/openai#thinking, https://ai.google.dev/gemini-api/docs/thinking
"""

from __future__ import annotations

from typing import Any

from lumen.protocols.canonical.request import Thinking, ThinkingMode
from lumen.protocols.codec import Target
from lumen.protocols.gemini_generate.models import ModelTraits, traits_of

_DYNAMIC = -1
_EFFORT_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 32768}
_EFFORT_LEVELS = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_LEVELS = ("minimal", "low", "medium", "high")
# Up to so many tokens a budget means this level.
_BUDGET_LEVELS = ((1024, "minimal"), (4096, "low"), (16384, "medium"))


def encode_thinking(thinking: Thinking | None, target: Target) -> dict[str, Any] | None:
    """`thinkingConfig`; None: nothing was said, or the model does not think."""
    if thinking is None:
        return None
    traits = traits_of(target.model)
    if not (traits.levels or traits.budget_max):
        if thinking.mode is not ThinkingMode.DISABLED and thinking.effort != "none":
            target.drop("reasoning_effort")
        return None
    config = _levelled(thinking, traits) if traits.levels else _budgeted(thinking, traits)
    if _is_shown(thinking):
        config["includeThoughts"] = True
    return config or None


def _is_off(thinking: Thinking) -> bool:
    return thinking.mode is ThinkingMode.DISABLED or (thinking.mode is None and thinking.effort == "none")


def _is_shown(thinking: Thinking) -> bool:
    """OpenAI's dialects show no thoughts unless they are asked for; Anthropic's do unless told otherwise."""
    if _is_off(thinking) or thinking.display == "omitted":
        return False
    return thinking.display is not None or thinking.mode is not None


def _levelled(thinking: Thinking, traits: ModelTraits) -> dict[str, Any]:
    """A level that the model lacks becomes the next higher one it has."""
    if _is_off(thinking):
        wanted = "minimal"
    elif thinking.mode is ThinkingMode.BUDGET and thinking.budget_tokens is not None:
        budget = thinking.budget_tokens
        wanted = next((level for limit, level in _BUDGET_LEVELS if budget <= limit), "high")
    elif thinking.effort in _EFFORT_LEVELS:
        wanted = _EFFORT_LEVELS[thinking.effort]
    else:
        return {}
    higher = _LEVELS[_LEVELS.index(wanted) :]
    return {"thinkingLevel": next(level for level in traits.levels if level in higher)}


def _budgeted(thinking: Thinking, traits: ModelTraits) -> dict[str, Any]:
    if _is_off(thinking):
        return {"thinkingBudget": 0 if traits.may_not_think else traits.budget_min}
    budget = _EFFORT_BUDGETS.get(thinking.effort or "")
    if thinking.mode is ThinkingMode.BUDGET and thinking.budget_tokens is not None:
        budget = thinking.budget_tokens
    if budget is None:
        return {"thinkingBudget": _DYNAMIC} if thinking.mode is ThinkingMode.ADAPTIVE else {}
    return {"thinkingBudget": max(traits.budget_min, min(budget, traits.budget_max))}
