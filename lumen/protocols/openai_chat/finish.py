"""Finish reasons, both ways.

https://platform.openai.com/docs/api-reference/chat/object, https://api-docs.deepseek.com/api/create-chat-completion,
https://docs.z.ai/api-reference/llm/chat-completion
"""

from __future__ import annotations

from collections.abc import Mapping

from lumen.protocols.canonical.events import FinishReason

_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.FILTERED,
    "sensitive": FinishReason.FILTERED,
    "model_context_window_exceeded": FinishReason.CONTEXT,
}
# The provider gave up: such an answer has no end that it could be said to have reached.
_FAILURES = frozenset({"network_error", "insufficient_system_resource", "error"})

_WORDS: Mapping[FinishReason, str] = {
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT: "length",
    FinishReason.REFUSAL: "content_filter",
    FinishReason.FILTERED: "content_filter",
}


def is_failure(raw: str) -> bool:
    return raw in _FAILURES


def decode_finish(raw: str, *, has_calls: bool, has_refusal: bool) -> tuple[FinishReason, int]:
    """(reason, anomalies). Some say `stop` although they sent calls; `stop` after a refusal's text is a refusal."""
    reason = _REASONS.get(raw)
    anomalies = int(reason is None)
    if reason is None or reason in (FinishReason.STOP, FinishReason.TOOL_CALLS):
        if has_calls:
            return FinishReason.TOOL_CALLS, anomalies
        reason = FinishReason.REFUSAL if has_refusal else FinishReason.STOP
    return reason, anomalies


def encode_finish(reason: FinishReason, *, has_calls: bool, has_refusal: bool, is_legacy: bool) -> str:
    """OpenAI ends a refusal it spelled out with `stop`."""
    if reason in _WORDS and not (reason is FinishReason.REFUSAL and has_refusal):
        return _WORDS[reason]
    if has_calls:
        return "function_call" if is_legacy else "tool_calls"
    return "stop"
