"""Why an answer ended. https://ai.google.dev/api/generate-content#FinishReason"""

from __future__ import annotations

from collections.abc import Mapping

from lumen.protocols.canonical.events import FinishReason

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "OTHER",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "IMAGE_OTHER",
            "NO_IMAGE",
            "ESCALATION",
            "MODEL_ARMOR",
            "PUP_LIMITED_DISABLED",
        ),
        FinishReason.FILTERED,
    ),
}

# The model's answer is spoilt: a clean end would stop an agent in the middle of its work, an error is tried again.
FAILURES: Mapping[str, str] = {
    "MALFORMED_FUNCTION_CALL": "The model wrote a function call that is malformed.",
    "UNEXPECTED_TOOL_CALL": "The model called a function that it was not given.",
    "TOO_MANY_TOOL_CALLS": "The model made too many tool calls.",
    "MALFORMED_RESPONSE": "The model's answer is malformed.",
    "MISSING_THOUGHT_SIGNATURE": "The request lacks a thought signature.",
}


def finish_reason(raw: str, *, has_calls: bool) -> FinishReason | None:
    """None for a word that is not known. Gemini says STOP also when it calls functions."""
    reason = FINISH_REASONS.get(raw)
    return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and has_calls else reason
