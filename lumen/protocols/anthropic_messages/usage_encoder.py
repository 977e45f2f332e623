"""Lumen's buckets -> a `usage` object. Audio and images have no count of their own here and belong to the input."""

from __future__ import annotations

from typing import Any

from lumen.money.usage import TokenUsage

_NONE = TokenUsage()
_SERVICE_TIERS = frozenset({"standard", "priority", "batch"})


def encode_usage(usage: TokenUsage | None, service_tier: str | None = None) -> dict[str, Any]:
    """The SDKs need both totals to be integers: what nobody reported is 0."""
    counts = usage or _NONE
    write_5m, write_1h = counts.cache_write_5m or 0, counts.cache_write_1h or 0
    members: dict[str, Any] = {
        "input_tokens": (counts.input or 0) + (counts.audio_input or 0) + (counts.image_input or 0),
        "cache_creation_input_tokens": write_5m + write_1h,
        "cache_read_input_tokens": counts.cache_read or 0,
        "output_tokens": (counts.output or 0) + (counts.audio_output or 0),
    }
    if write_5m or write_1h:
        members["cache_creation"] = {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h}
    if counts.reasoning is not None:
        members["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
    if counts.server_tool_requests:
        members["server_tool_use"] = {"web_search_requests": counts.server_tool_requests, "web_fetch_requests": 0}
    if service_tier in _SERVICE_TIERS:
        members["service_tier"] = service_tier
    return members
