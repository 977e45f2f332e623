"""Anthropic usage -> Lumen's disjoint buckets.

`input_tokens` excludes what was read from or written to the cache, so the buckets are disjoint as they come. Writes
are split by lifetime in `cache_creation`; the sum is in `cache_creation_input_tokens`. A stream reports twice: all of
it in `message_start`, cumulative figures (perhaps only some) in `message_delta`.
https://docs.claude.com/en/docs/build-with-claude/prompt-caching
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.money.usage import TokenUsage
from lumen.protocols.usage_counts import UsageCounts, UsageReading

_PROMPT_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
# Iterations whose tokens are not in the top-level figures. An advisor may be a dearer model; it is a server tool, so it
# only runs where the catalog prices those.
_SEPARATE_ITERATIONS = frozenset({"compaction", "advisor_message"})
_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def merge_usage(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """(the snapshot after `later`, anomalies). Members that `later` leaves out or null keep their earlier value.

    Relatives fill in zeros for a prompt they counted before; a prompt does not shrink to nothing, so those are ignored.
    """
    reported = {name: value for name, value in later.items() if value is not None}
    anomalies = 0
    if any(earlier.get(name) for name in _PROMPT_COUNTS) and any(name in reported for name in _PROMPT_COUNTS):
        known = {name: reported.get(name, earlier.get(name)) for name in _PROMPT_COUNTS}
        if not any(known.values()):
            anomalies = 1
            for name in _PROMPT_COUNTS:
                reported.pop(name, None)
    return {**earlier, **reported}, anomalies


def decode_usage(members: Mapping[str, Any]) -> UsageReading:
    reading = _decode_counts(members)
    usage, anomalies = reading.usage, reading.anomalies
    iterations = members.get("iterations")
    if usage is None or not isinstance(iterations, list):
        return reading
    for iteration in iterations:
        if isinstance(iteration, dict) and iteration.get("type") in _SEPARATE_ITERATIONS:
            separate = _decode_counts(iteration)
            anomalies += separate.anomalies
            if separate.usage is not None:
                usage = _add(usage, separate.usage)
    return UsageReading(usage, anomalies)


def _decode_counts(members: Mapping[str, Any]) -> UsageReading:
    counts = UsageCounts(members)
    input_tokens, output = counts.read("input_tokens"), counts.read("output_tokens")
    cache_read, written = counts.read("cache_read_input_tokens"), counts.read("cache_creation_input_tokens")
    lifetimes = counts.below("cache_creation")
    write_5m, write_1h = lifetimes.read("ephemeral_5m_input_tokens"), lifetimes.read("ephemeral_1h_input_tokens")
    details, tools = counts.below("output_tokens_details"), counts.below("server_tool_use")
    reasoning, searches = details.read("thinking_tokens"), tools.read("web_search_requests")
    anomalies = counts.anomalies + lifetimes.anomalies + details.anomalies + tools.anomalies
    if written is not None:
        unsplit = written - (write_5m or 0) - (write_1h or 0)
        if write_5m is not None or write_1h is not None:
            anomalies += unsplit != 0
        if unsplit > 0 or write_5m is None:
            write_5m = (write_5m or 0) + max(0, unsplit)
    if all(count is None for count in (input_tokens, output, cache_read, write_5m, write_1h)):
        return UsageReading(None, anomalies)
    usage = TokenUsage(
        input=input_tokens,
        cache_read=cache_read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        output=output,
        reasoning=reasoning,
        server_tool_requests=searches,
    )
    return UsageReading(usage, anomalies)


def _add(usage: TokenUsage, more: TokenUsage) -> TokenUsage:
    sums = {
        bucket: None if a is None and b is None else (a or 0) + (b or 0)
        for bucket in _BUCKETS
        for a, b in [(getattr(usage, bucket), getattr(more, bucket))]
    }
    return TokenUsage(**sums, server_tool_requests=usage.server_tool_requests)
