"""Reads counts out of a provider's usage object without trusting it.

A count is a non-negative integer. Anything else that is there is an anomaly: it is counted, and read as not reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lumen.money.usage import TokenUsage

_NOTHING: Mapping[str, Any] = {}

# More tokens than any answer has; beyond it a figure is nonsense, and sums stay far from 64 bits.
COUNT_MAX = 10**12


class UsageCounts:
    """One object of counts, and the anomalies met while reading it."""

    __slots__ = ("anomalies", "members")

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members
        self.anomalies = 0

    def below(self, name: str) -> UsageCounts:
        """The object of counts under `name`, empty when there is none; what is no object is an anomaly."""
        members = self.members.get(name)
        if isinstance(members, dict):
            return UsageCounts(members)
        if members is not None:
            self.anomalies += 1
        return UsageCounts(_NOTHING)

    def read(self, name: str) -> int | None:
        value = self.members.get(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= COUNT_MAX:
            return value
        self.anomalies += 1
        return None


@dataclass(frozen=True, slots=True)
class UsageReading:
    """A usage object in Lumen's buckets. `usage` is None when it holds no count at all."""

    usage: TokenUsage | None
    anomalies: int


@dataclass(frozen=True, slots=True)
class InclusiveNames:
    """Where OpenAI's two APIs keep the same counts; `prompt` and `completion` include all their details."""

    prompt: str
    prompt_details: str
    completion: str
    completion_details: str


def decode_inclusive_usage(members: Mapping[str, Any], names: InclusiveNames) -> UsageReading:
    """OpenAI's arithmetic -> disjoint buckets.

    The details are parts of their totals: what was read from or written to the cache, audio and images leave the
    input; audio leaves the output, reasoning stays in it. A cached image is in both details: it counts as cached.
    The relatives report the cached part elsewhere: `prompt_cache_hit_tokens` (DeepSeek), `cached_tokens` beside the
    totals (Kimi). Some (xAI, Gemini) leave thinking out of the completion and have it in `total_tokens` only.
    """
    counts = UsageCounts(members)
    prompt, completion, total = counts.read(names.prompt), counts.read(names.completion), counts.read("total_tokens")
    prompt_details = counts.below(names.prompt_details)
    completion_details = counts.below(names.completion_details)
    cache_read = prompt_details.read("cached_tokens")
    if cache_read is None:
        cache_read = counts.read("prompt_cache_hit_tokens")
    if cache_read is None:
        cache_read = counts.read("cached_tokens")
    cache_write = prompt_details.read("cache_write_tokens")
    reasoning = completion_details.read("reasoning_tokens")
    audio_input, image_input = prompt_details.read("audio_tokens"), prompt_details.read("image_tokens")
    audio_output = completion_details.read("audio_tokens")
    anomalies = counts.anomalies + prompt_details.anomalies + completion_details.anomalies
    if prompt is None and completion is None:
        return UsageReading(None, anomalies)

    unaccounted = max(0, (total or 0) - (prompt or 0) - (completion or 0))
    if unaccounted and prompt is not None and completion is not None:
        completion += unaccounted
        if reasoning is None:
            reasoning = unaccounted
        anomalies += reasoning != unaccounted
    uncached = (prompt or 0) - (cache_read or 0) - (cache_write or 0)
    anomalies += uncached < 0
    uncached, audio_input = _split(max(0, uncached), audio_input)
    uncached, image_input = _split(uncached, image_input)
    spoken = audio_output
    written, audio_output = _split(completion or 0, audio_output)
    anomalies += spoken != audio_output
    usage = TokenUsage(
        input=None if prompt is None else uncached,
        cache_read=cache_read,
        cache_write_5m=cache_write,
        output=None if completion is None else written,
        reasoning=reasoning,
        audio_input=audio_input,
        audio_output=audio_output,
        image_input=image_input,
    )
    return UsageReading(usage, anomalies)


def _split(whole: int, part: int | None) -> tuple[int, int | None]:
    """(the rest, the part), disjoint and never more than the whole."""
    if part is None:
        return whole, None
    part = min(part, whole)
    return whole - part, part
