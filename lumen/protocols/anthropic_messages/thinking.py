"""Canonical thinking -> `thinking` and `output_config.effort`, as far as the model and the rest of the request allow.

A budget is at least 1024 and below max_tokens, and does not go with forced tools nor with a tool loop that began
without thinking. https://platform.claude.com/docs/en/build-with-claude/extended-thinking#limits
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lumen.protocols.anthropic_messages.models import EFFORTS, ModelTraits, ThinkingKind
from lumen.protocols.canonical.request import Request, Thinking, ThinkingMode, ToolChoice, ToolChoiceMode
from lumen.protocols.codec import Target
from lumen.protocols.dialects import Dialect

BUDGET_MIN = 1024

# What an effort is worth where only budgets are known; never more than half of the cap.
_BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 32_000,
    "max": 32_000,
}
_DISPLAYS: Mapping[str, str] = {"auto": "summarized", "concise": "summarized", "detailed": "summarized"}


@dataclass(frozen=True, slots=True)
class ThinkingMembers:
    """`thinking` and `effort` of the request; None: leave it out."""

    thinking: Mapping[str, Any] | None = None
    effort: str | None = None

    @property
    def is_on(self) -> bool:
        return self.thinking is not None and self.thinking["type"] in tuple(ThinkingKind)


def encode_thinking(
    request: Request, traits: ModelTraits, max_tokens: int, is_loop_unthought: bool, target: Target
) -> ThinkingMembers:
    """`is_loop_unthought`: the turn to be continued has calls, and no thinking before them."""
    wanted = request.thinking
    if wanted is None:
        return ThinkingMembers()
    effort = wanted.effort
    if wanted.mode is ThinkingMode.DISABLED or (wanted.mode is None and effort == "none"):
        return _encode_off(wanted, traits, target)
    level = _level(effort, traits)
    # An Anthropic client's effort without `thinking` says how hard to work; everybody else's asks for thinking.
    if wanted.mode is None and (effort is None or request.dialect is Dialect.ANTHROPIC_MESSAGES):
        return ThinkingMembers(None, level)
    if not traits.thinking:
        target.drop("reasoning_effort")
        return ThinkingMembers()
    kind = _kind(wanted, traits)
    if kind is ThinkingKind.ADAPTIVE:
        return ThinkingMembers({"type": kind, **_more(wanted, traits)}, level)
    budget = _budget(wanted, max_tokens)
    if budget is None or is_forced(request.tool_choice) or is_loop_unthought:
        target.drop("reasoning_effort")
        return ThinkingMembers(None, level)
    return ThinkingMembers({"type": kind, "budget_tokens": budget, **_more(wanted, traits)}, level)


def is_forced(choice: ToolChoice | None) -> bool:
    return choice is not None and choice.mode in (ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED)


def _encode_off(wanted: Thinking, traits: ModelTraits, target: Target) -> ThinkingMembers:
    if not traits.thinking:
        return ThinkingMembers(None, _level(wanted.effort, traits))
    if traits.thinking_off is None:
        target.drop("reasoning_effort")
        return ThinkingMembers(None, EFFORTS[0])
    level = _level(wanted.effort, traits)
    if level and EFFORTS.index(level) > EFFORTS.index(traits.effort_without_thinking_max):
        level = traits.effort_without_thinking_max
    return ThinkingMembers({"type": traits.thinking_off}, level)


def _kind(wanted: Thinking, traits: ModelTraits) -> ThinkingKind:
    asked = ThinkingKind.ENABLED if wanted.mode is ThinkingMode.BUDGET else ThinkingKind.ADAPTIVE
    return asked if asked in traits.thinking else traits.thinking[0]


def _level(effort: str | None, traits: ModelTraits) -> str | None:
    """The level itself, or the next lower one that the model has."""
    if effort is None or effort == "none" or not traits.efforts:
        return None
    if effort not in EFFORTS:
        return traits.efforts[0]
    rank = EFFORTS.index(effort)
    return next(level for level in reversed(traits.efforts) if EFFORTS.index(level) <= rank)


def _budget(wanted: Thinking, max_tokens: int) -> int | None:
    """None: the cap leaves no room."""
    if wanted.budget_tokens is not None:
        budget = min(max(wanted.budget_tokens, BUDGET_MIN), max_tokens - 1)
    else:
        budget = min(_BUDGETS.get(wanted.effort or "high", _BUDGETS["high"]), max_tokens // 2)
    return budget if budget >= BUDGET_MIN else None


def _more(wanted: Thinking, traits: ModelTraits) -> dict[str, Any]:
    is_own = wanted.extras is not None and wanted.extras.dialect is Dialect.ANTHROPIC_MESSAGES
    members: dict[str, Any] = dict(wanted.extras.members) if wanted.extras and is_own else {}
    if wanted.display is not None and traits.is_claude:
        members["display"] = _DISPLAYS.get(wanted.display, wanted.display)
    return members
