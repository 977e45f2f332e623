"""Sampling as Claude allows it: not at all from 4.7 on, hardly with thinking, temperature or top_p but not both.

https://platform.claude.com/docs/en/about-claude/models/migration-guide,
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#limits
"""

from __future__ import annotations

from typing import Any

from lumen.protocols.anthropic_messages.models import ModelTraits
from lumen.protocols.canonical.request import Sampling
from lumen.protocols.codec import Target

_TEMPERATURE_MAX = 1
_TOP_P_MIN_THINKING = 0.95


def encode_sampling(sampling: Sampling, traits: ModelTraits, is_thinking: bool, target: Target) -> dict[str, Any]:
    """`stop_sequences`, `temperature`, `top_p` and `top_k`. What is the API's own default is no loss."""
    members: dict[str, Any] = {}
    stops = [stop for stop in sampling.stop if stop.strip()]
    if len(stops) < len(sampling.stop):
        target.drop("stop_sequences")
    if stops:
        members["stop_sequences"] = stops
    if not traits.has_sampling:
        if sampling.temperature not in (None, 1) or sampling.top_p not in (None, 1) or sampling.top_k is not None:
            target.drop("sampling")
        return members
    members["temperature"] = _temperature(sampling.temperature, traits, is_thinking, target)
    members["top_p"] = _top_p(sampling.top_p, members["temperature"], traits, is_thinking, target)
    members["top_k"] = sampling.top_k
    if is_thinking and traits.is_claude and sampling.top_k is not None:
        target.drop("top_k")
        members["top_k"] = None
    return members


def _temperature(asked: float | None, traits: ModelTraits, is_thinking: bool, target: Target) -> float | None:
    if asked is None:
        return None
    if is_thinking and traits.is_claude and asked != 1:
        target.drop("temperature")
        return None
    return min(asked, _TEMPERATURE_MAX)


def _top_p(
    asked: float | None, temperature: float | None, traits: ModelTraits, is_thinking: bool, target: Target
) -> float | None:
    if asked is None or not traits.is_claude:
        return asked
    if temperature is not None or (is_thinking and asked < _TOP_P_MIN_THINKING):
        if asked != 1:
            target.drop("top_p")
        return None
    return asked
