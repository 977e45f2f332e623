"""`stop_reason` <-> canonical finish. https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols.canonical.events import FinishReason

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.CONTEXT,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSED,
    # Words of the vendors that serve this dialect too.
    "sensitive": FinishReason.FILTERED,
    "content_filter": FinishReason.FILTERED,
}

_STOP_REASONS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTEXT: "model_context_window_exceeded",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.REFUSAL: "refusal",
    FinishReason.FILTERED: "refusal",
    FinishReason.PAUSED: "pause_turn",
}


def decode_finish(stop_reason: str | None, *, has_calls: bool) -> FinishReason:
    """A reason nobody knows is the end of the turn; an end with calls of the client's tools is a tool turn."""
    reason = _REASONS.get(stop_reason or "", FinishReason.STOP)
    return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and has_calls else reason


def decode_explanation(stop_details: Any) -> str:
    """The words that a refusal's `stop_details` has for people."""
    explanation = stop_details.get("explanation") if isinstance(stop_details, dict) else None
    return explanation if isinstance(explanation, str) else ""


def encode_finish(
    reason: FinishReason, raw: str, stop_sequence: str | None, *, has_calls: bool, has_refusal: bool
) -> dict[str, Any]:
    """The members of a message, or of message_delta's `delta`, that say why it stopped.

    A model of OpenAI's declines with an ordinary stop beside its refusal. Only a filter's own word has room here.
    """
    if reason is FinishReason.STOP and has_calls:
        reason = FinishReason.TOOL_CALLS
    elif reason is FinishReason.STOP and has_refusal:
        reason = FinishReason.REFUSAL
    members: dict[str, Any] = {"stop_reason": _STOP_REASONS[reason], "stop_sequence": stop_sequence}
    if reason in (FinishReason.REFUSAL, FinishReason.FILTERED):
        explanation = f"The provider's filter ended the answer: {raw}" if reason is FinishReason.FILTERED else None
        members["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
    return members
