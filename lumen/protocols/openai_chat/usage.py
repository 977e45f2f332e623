"""Chat Completions usage -> Lumen's disjoint buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols.usage_counts import InclusiveNames, UsageReading, decode_inclusive_usage

_NAMES = InclusiveNames("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details")


def decode_usage(members: Mapping[str, Any]) -> UsageReading:
    return decode_inclusive_usage(members, _NAMES)
