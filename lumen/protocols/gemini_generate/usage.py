"""Gemini usage -> Lumen's disjoint buckets.

`promptTokenCount` includes what came from the cache; `toolUsePromptTokenCount` (results of server tools) and
`thoughtsTokenCount` stand beside the prompt and the candidates; `totalTokenCount` is the sum of the four. Counts that
are zero are left out. Details by modality are parts of their totals. Video is priced as text is.
https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.money.usage import TokenUsage
from lumen.protocols.usage_counts import UsageCounts, UsageReading


def decode_usage(members: Mapping[str, Any]) -> UsageReading:
    counts = UsageCounts(members)
    prompt, candidates = counts.read("promptTokenCount"), counts.read("candidatesTokenCount")
    thoughts, tool_use = counts.read("thoughtsTokenCount"), counts.read("toolUsePromptTokenCount")
    cached, total = counts.read("cachedContentTokenCount"), counts.read("totalTokenCount")
    anomalies = counts.anomalies
    if prompt is None and candidates is None and thoughts is None and total is None:
        return UsageReading(None, anomalies)

    missing = 0 if total is None else total - sum(count or 0 for count in (prompt, tool_use, candidates, thoughts))
    if missing > 0 and candidates is None:
        candidates = missing
    elif missing > 0 and thoughts is None:
        thoughts = missing
    else:
        anomalies += missing != 0
    is_output_known = candidates is not None or thoughts is not None or total is not None

    details = _modalities(counts, "promptTokensDetails")
    cached_details = _modalities(counts, "cacheTokensDetails")
    uncached = (prompt or 0) - (cached or 0)
    anomalies += uncached < 0
    uncached = max(0, uncached)
    uncached, audio_input = _split(uncached, details, cached_details, "AUDIO")
    uncached, image_input = _split(uncached, details, cached_details, "IMAGE")
    spoken = _modalities(counts, "candidatesTokensDetails")
    written, audio_output = _split(candidates or 0, spoken, {}, "AUDIO")
    usage = TokenUsage(
        input=None if prompt is None else uncached + (tool_use or 0),
        cache_read=cached,
        output=written + (thoughts or 0) if is_output_known else None,
        reasoning=thoughts,
        audio_input=audio_input,
        audio_output=audio_output,
        image_input=image_input,
    )
    return UsageReading(usage, anomalies)


def _modalities(counts: UsageCounts, name: str) -> dict[str, int]:
    details = counts.members.get(name)
    if not isinstance(details, list):
        return {}
    found: dict[str, int] = {}
    for detail in details:
        if isinstance(detail, dict) and isinstance(modality := detail.get("modality"), str):
            found[modality] = found.get(modality, 0) + (UsageCounts(detail).read("tokenCount") or 0)
    return found


def _split(whole: int, details: dict[str, int], cached: dict[str, int], modality: str) -> tuple[int, int | None]:
    """(the rest, the uncached part of one modality), disjoint; None where it is not reported."""
    if modality not in details:
        return whole, None
    part = min(whole, max(0, details[modality] - cached.get(modality, 0)))
    return whole - part, part
