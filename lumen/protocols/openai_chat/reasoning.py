"""How hard to think: one canonical wish, and each vendor's own switch for it.

https://platform.openai.com/docs/guides/reasoning, https://ai.google.dev/gemini-api/docs/openai#thinking,
https://api-docs.deepseek.com/guides/thinking_mode, https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model,
https://docs.z.ai/guides/capabilities/thinking-mode, https://help.aliyun.com/en/model-studio/deep-thinking
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lumen.protocols.canonical.request import Thinking, ThinkingMode

# A budget in tokens as an effort: the first row it fits in.
_EFFORT_BY_BUDGET = ((4095, "low"), (16383, "medium"))
_BUDGETED_EFFORT_MAX = "high"

_GOOGLE_EFFORT = {"none": "minimal", "xhigh": "high", "max": "high"}  # Gemini 3 cannot be kept from thinking
_DEEPSEEK_EFFORT = {"minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "high", "max": "max"}


def reasoning_members(thinking: Thinking, issuer: str) -> dict[str, Any]:
    """The request members that say it to models of `issuer`; none where nothing was wished but a manner of display."""
    effort = _effort(thinking)
    if effort is None and thinking.mode is None:
        return {}
    return _SWITCHES.get(issuer, _openai)(effort, thinking)


def _effort(thinking: Thinking) -> str | None:
    if thinking.mode is ThinkingMode.DISABLED:
        return "none"
    if thinking.effort is not None:
        return thinking.effort
    if thinking.budget_tokens is None:
        return None
    fitting = (effort for most, effort in _EFFORT_BY_BUDGET if thinking.budget_tokens <= most)
    return next(fitting, _BUDGETED_EFFORT_MAX)


def _openai(effort: str | None, thinking: Thinking) -> dict[str, Any]:
    return {} if effort is None else {"reasoning_effort": effort}


def _google(effort: str | None, thinking: Thinking) -> dict[str, Any]:
    return {} if effort is None else {"reasoning_effort": _GOOGLE_EFFORT.get(effort, effort)}


def _deepseek(effort: str | None, thinking: Thinking) -> dict[str, Any]:
    members = _enabled(effort, thinking)
    if effort in _DEEPSEEK_EFFORT:
        members["reasoning_effort"] = _DEEPSEEK_EFFORT[effort]
    return members


def _enabled(effort: str | None, thinking: Thinking) -> dict[str, Any]:
    return {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}


def _minimax(effort: str | None, thinking: Thinking) -> dict[str, Any]:
    return {"thinking": {"type": "disabled" if effort == "none" else "adaptive"}}


def _qwen(effort: str | None, thinking: Thinking) -> dict[str, Any]:
    if effort == "none":
        return {"enable_thinking": False}
    budget = thinking.budget_tokens
    return {"enable_thinking": True} if budget is None else {"enable_thinking": True, "thinking_budget": budget}


_SWITCHES: Mapping[str, Callable[[str | None, Thinking], dict[str, Any]]] = {
    "openai": _openai,
    "google": _google,
    "deepseek": _deepseek,
    "moonshot": _enabled,
    "zhipu": _enabled,
    "minimax": _minimax,
    "qwen": _qwen,
}
