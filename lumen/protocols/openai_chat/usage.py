"""Chat Completions usage <-> Lumen's disjoint buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.money.usage import TokenUsage
from lumen.protocols.usage_counts import InclusiveNames, UsageReading, decode_inclusive_usage

_NAMES = InclusiveNames("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details")


def decode_usage(members: Mapping[str, Any]) -> UsageReading:
    return decode_inclusive_usage(members, _NAMES)


def encode_usage(usage: TokenUsage) -> dict[str, Any]:
    """Lumen's buckets -> `CompletionUsage`, whose totals include their details."""
    prompt = usage.prompt_tokens()
    completion = (usage.output or 0) + (usage.audio_output or 0)
    written = (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    prompt_details = {"cached_tokens": usage.cache_read or 0}
    reported = (
        ("cache_write_tokens", written),
        ("audio_tokens", usage.audio_input),
        ("image_tokens", usage.image_input),
    )
    prompt_details.update({name: count for name, count in reported if count})
    completion_details = {"reasoning_tokens": usage.reasoning or 0}
    if usage.audio_output:
        completion_details["audio_tokens"] = usage.audio_output
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": completion_details,
    }
