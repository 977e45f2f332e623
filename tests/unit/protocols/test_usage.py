"""Every vendor's arithmetic ends in the same disjoint buckets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.money.usage import PRICED_BUCKETS, TokenUsage
from lumen.protocols.anthropic_messages.usage import decode_usage as decode_anthropic
from lumen.protocols.openai_chat.usage import decode_usage as decode_chat
from lumen.protocols.openai_responses.usage import decode_usage as decode_responses
from lumen.protocols.usage_counts import UsageReading

CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def assert_reads(reading: UsageReading, anomalies: int = 0, **buckets: int) -> None:
    assert reading == UsageReading(TokenUsage(**buckets), anomalies)


@pytest.mark.parametrize(
    "cached",
    [{"prompt_tokens_details": {"cached_tokens": 30}}, {"prompt_cache_hit_tokens": 30}, {"cached_tokens": 30}],
    ids=["openai", "deepseek", "kimi"],
)
def test_cached_tokens_leave_the_input(cached: dict[str, Any]) -> None:
    assert_reads(decode_chat({**CHAT, **cached}), input=70, cache_read=30, output=20)


def test_details_with_cached_tokens_win_over_the_relatives_names() -> None:
    usage = {**CHAT, "prompt_tokens_details": {"cached_tokens": 30}, "prompt_cache_hit_tokens": 99, "cached_tokens": 98}
    assert_reads(decode_chat(usage), input=70, cache_read=30, output=20)


def test_more_cached_than_prompt_is_clamped_and_counted() -> None:
    assert_reads(decode_chat({**CHAT, "cached_tokens": 130}), anomalies=1, input=0, cache_read=130, output=20)


def test_reasoning_is_part_of_output() -> None:
    usage = {**CHAT, "completion_tokens_details": {"reasoning_tokens": 15}}
    assert_reads(decode_chat(usage), input=100, output=20, reasoning=15)


def test_reasoning_outside_the_completion_is_added_to_output() -> None:
    usage = {**CHAT, "total_tokens": 135, "completion_tokens_details": {"reasoning_tokens": 15}}
    assert_reads(decode_chat(usage), input=100, output=35, reasoning=15)


def test_tokens_only_in_the_total_are_thinking() -> None:
    assert_reads(decode_chat({**CHAT, "total_tokens": 420}), input=100, output=320, reasoning=300)


def test_audio_and_images_are_buckets_of_their_own() -> None:
    usage = {
        **CHAT,
        "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 40, "image_tokens": 5, "text_tokens": 45},
        "completion_tokens_details": {"audio_tokens": 12, "reasoning_tokens": 0},
    }
    assert_reads(
        decode_chat(usage),
        input=45,
        cache_read=10,
        audio_input=40,
        image_input=5,
        output=8,
        reasoning=0,
        audio_output=12,
    )


def test_cached_images_count_once() -> None:
    usage = {**CHAT, "prompt_tokens_details": {"cached_tokens": 90, "image_tokens": 80}}
    assert_reads(decode_chat(usage), input=0, cache_read=90, image_input=10, output=20)


def test_cache_writes_of_openai_leave_the_input() -> None:
    usage = {**CHAT, "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20}}
    assert_reads(decode_chat(usage), input=50, cache_read=30, cache_write_5m=20, output=20)


def test_responses_names_its_counts_differently() -> None:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 30},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 120,
    }
    assert_reads(decode_responses(usage), input=70, cache_read=30, output=20, reasoning=7)


def test_missing_output_is_not_reported_rather_than_zero() -> None:
    assert_reads(decode_chat({"prompt_tokens": 5}), input=5)


def test_an_empty_usage_is_none() -> None:
    assert decode_chat({}) == UsageReading(None, 0)
    assert decode_anthropic({}) == UsageReading(None, 0)


def test_anthropic_input_excludes_the_cache() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 5,
    }
    assert_reads(decode_anthropic(usage), input=10, cache_read=100, cache_write_5m=10, cache_write_1h=20, output=5)


def test_anthropic_cache_writes_without_lifetimes_are_five_minutes() -> None:
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 30, "output_tokens": 5}
    assert_reads(decode_anthropic(usage), input=10, cache_write_5m=30, output=5)


def test_anthropic_cache_writes_beyond_their_lifetimes_are_not_lost() -> None:
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 20}}
    assert_reads(decode_anthropic(usage), anomalies=1, input=1, cache_write_5m=10, cache_write_1h=20)


@pytest.mark.parametrize("kind", ["compaction", "advisor_message"])
def test_anthropic_iterations_outside_the_totals_are_charged_on_top(kind: str) -> None:
    counts = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    iterations = [{"type": kind, **counts, "input_tokens": 1000}, {"type": "message", **counts}]
    reading = decode_anthropic({**counts, "iterations": iterations})
    assert_reads(reading, input=1010, cache_read=0, cache_write_5m=0, output=10)


ODD = st.sampled_from([None, True, -1, 3.5, 10**13, 2**70, "12", "", [], [1], {}, {"x": 1}, [{"type": "compaction"}]])
NAMES = [
    *CHAT,
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cached_tokens",
    "iterations",
]
DETAILS = ["cached_tokens", "audio_tokens", "image_tokens", "reasoning_tokens", "cache_write_tokens"]
ANY_USAGE = st.dictionaries(
    st.sampled_from(NAMES), st.integers(0, 500) | ODD | st.dictionaries(st.sampled_from(DETAILS), st.integers() | ODD)
)


@given(ANY_USAGE)
def test_no_usage_object_makes_it_raise_or_go_negative(members: dict[str, Any]) -> None:
    for decode in (decode_chat, decode_responses, decode_anthropic):
        reading = decode(members)
        assert reading.anomalies >= 0
        if reading.usage is not None:
            assert all((getattr(reading.usage, bucket) or 0) >= 0 for bucket in PRICED_BUCKETS)


@given(
    prompt=st.integers(0, 1000),
    completion=st.integers(0, 1000),
    details=st.dictionaries(st.sampled_from(DETAILS), st.integers(0, 1000)),
)
def test_buckets_add_up_to_the_totals(prompt: int, completion: int, details: dict[str, int]) -> None:
    cached = details.get("cached_tokens", 0) + details.get("cache_write_tokens", 0)
    usage = decode_chat(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": details,
            "completion_tokens_details": details,
        }
    ).usage
    assert usage is not None
    assert usage.prompt_tokens() == max(prompt, cached)
    assert (usage.output or 0) + (usage.audio_output or 0) == completion
