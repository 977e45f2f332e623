"""What a model behind this dialect accepts, as far as the API refuses the rest.

Claude by family and version; other vendors (DeepSeek, Kimi, GLM, MiniMax, Qwen) take what Claude took when they copied
the API: sampling, thinking with a budget, no effort, no schemas.
https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting (thinking types),
.../build-with-claude/effort (levels), .../build-with-claude/structured-outputs,
.../build-with-claude/mid-conversation-system-messages, .../about-claude/models/migration-guide (sampling, forced tools)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

EFFORTS = ("low", "medium", "high", "xhigh", "max")


class ThinkingKind(StrEnum):
    """The `thinking.type` that makes a model think."""

    ADAPTIVE = "adaptive"
    ENABLED = "enabled"  # with budget_tokens


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """`thinking`: the accepted kinds, the better one first. `thinking_off`: the type that turns it off, None where it
    cannot be. `efforts`: accepted levels, rising. `effort_without_thinking_max`: the highest one with thinking off."""

    is_claude: bool = True
    has_sampling: bool = True
    thinking: tuple[ThinkingKind, ...] = ()
    thinking_off: str | None = "disabled"
    efforts: tuple[str, ...] = ()
    effort_without_thinking_max: str = "max"
    has_forced_tools: bool = True
    has_schemas: bool = True
    has_system_turns: bool = False


_OTHER_VENDOR = ModelTraits(is_claude=False, thinking=(ThinkingKind.ENABLED,), has_schemas=False)
_NAME = re.compile(r"claude-(?P<family>opus|sonnet|haiku|fable|mythos)-(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?!\d)")
_OLD_NAME = re.compile(r"claude-3[-.](?P<minor>\d)?")
_ALWAYS_THINKING = frozenset({"fable", "mythos"})


def model_traits(model: str) -> ModelTraits:
    """`model` is the channel's name, perhaps with a cloud's prefix or suffix. A Claude without a known version counts
    as a current one."""
    name = model.lower()
    match = _NAME.search(name)
    if match:
        return _traits(match["family"], (int(match["major"]), int(match["minor"] or 0)))
    if "claude" not in name:
        return _OTHER_VENDOR
    if "mythos-preview" in name:
        return ModelTraits(
            has_sampling=False,
            thinking=(ThinkingKind.ADAPTIVE, ThinkingKind.ENABLED),
            thinking_off=None,
            efforts=("low", "medium", "high", "max"),
        )
    old = _OLD_NAME.search(name)
    if old:
        thinking = (ThinkingKind.ENABLED,) if old["minor"] == "7" else ()
        return ModelTraits(thinking=thinking, has_schemas=False)
    return _traits("opus", (5, 0))


def _traits(family: str, version: tuple[int, int]) -> ModelTraits:
    if version >= (4, 7):
        return ModelTraits(
            has_sampling=False,
            thinking=(ThinkingKind.ADAPTIVE,),
            thinking_off=_thinking_off(family, version),
            efforts=EFFORTS,
            effort_without_thinking_max="high" if version >= (5, 0) else "max",
            has_forced_tools=not _refuses_forced_tools(family, version),
            has_system_turns=version >= (4, 8) and (family, version) != ("sonnet", (5, 0)),
        )
    if version == (4, 6):
        return ModelTraits(
            thinking=(ThinkingKind.ADAPTIVE, ThinkingKind.ENABLED), efforts=("low", "medium", "high", "max")
        )
    efforts = ("low", "medium", "high") if (family, version) == ("opus", (4, 5)) else ()
    return ModelTraits(thinking=(ThinkingKind.ENABLED,), efforts=efforts, has_schemas=version >= (4, 5))


def _thinking_off(family: str, version: tuple[int, int]) -> str | None:
    if family in _ALWAYS_THINKING or (family == "opus" and version >= (5, 5)):
        return None
    return "between_tools" if family == "sonnet" and version >= (5, 5) else "disabled"


def _refuses_forced_tools(family: str, version: tuple[int, int]) -> bool:
    return version >= ((5, 1) if family in _ALWAYS_THINKING else (5, 5)) and family != "haiku"
