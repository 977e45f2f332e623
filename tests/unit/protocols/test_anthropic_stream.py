"""Anthropic streams: usage in two places, the stop reason, errors."""

from __future__ import annotations

from typing import Any

from lumen.money.usage import TokenUsage
from lumen.protocols.dialects import Dialect
from lumen.protocols.error_kinds import ErrorKind
from lumen.protocols.stream_tap import StreamTap
from tests.unit.protocols import frames
from tests.unit.protocols.frames import MESSAGE_STOP, event, message_delta, message_start, text_delta


def run(reads: list[bytes]) -> tuple[StreamTap, bytes]:
    return frames.run(Dialect.ANTHROPIC_MESSAGES, reads)


def usage_of(*reads: bytes) -> TokenUsage | None:
    return run([*reads, MESSAGE_STOP])[0].usage


def test_output_of_message_delta_is_cumulative() -> None:
    assert usage_of(
        message_start(), message_delta(None, output_tokens=3), message_delta(output_tokens=8)
    ) == TokenUsage(input=12, output=8)


def test_input_may_be_in_message_start_only() -> None:
    start = message_start(
        cache_read_input_tokens=100,
        cache_creation_input_tokens=30,
        cache_creation={"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    )
    assert usage_of(start, message_delta()) == TokenUsage(
        input=12, cache_read=100, cache_write_5m=10, cache_write_1h=20, output=5
    )


def test_input_of_message_delta_replaces_that_of_message_start() -> None:
    delta = message_delta(input_tokens=20, cache_read_input_tokens=7)
    assert usage_of(message_start(input_tokens=0), delta) == TokenUsage(input=20, cache_read=7, output=5)


def test_zeros_in_message_delta_do_not_erase_a_prompt() -> None:
    tap, _ = run([message_start(), message_delta(input_tokens=0, cache_read_input_tokens=0), MESSAGE_STOP])
    assert tap.usage == TokenUsage(input=12, output=5)
    assert tap.anomalies == 1


def test_nulls_in_message_delta_keep_what_was_reported() -> None:
    assert usage_of(message_start(), message_delta(input_tokens=None)) == TokenUsage(input=12, output=5)


def test_a_second_message_start_does_not_add_up() -> None:
    assert usage_of(message_start(), message_start(), message_delta()) == TokenUsage(input=12, output=5)


def test_a_delta_without_stop_reason_is_relayed() -> None:
    delta = message_delta(None)
    _, relayed = run([message_start(), delta, text_delta("x")])
    assert relayed == message_start() + delta + text_delta("x")


def test_without_message_stop_it_is_not_complete() -> None:
    tap, _ = run([message_start(), message_delta()])
    assert not tap.is_complete
    assert tap.finish_reason == "end_turn"


def test_an_error_between_stop_reason_and_message_stop_drops_what_was_held() -> None:
    tap, _ = run([message_start(), message_delta(), event("error", error={"type": "overloaded_error", "message": "x"})])
    assert not tap.is_complete
    assert tap.held == b""
    assert tap.error is not None
    assert tap.error.api_error().kind is ErrorKind.OVERLOADED


def test_server_tools_and_thinking_are_counted() -> None:
    details: dict[str, Any] = {
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert usage_of(message_start(), message_delta(**details)) == TokenUsage(
        input=12, output=5, reasoning=4, server_tool_requests=2
    )


def test_text_events_that_mention_errors_are_relayed() -> None:
    block = event("content_block_start", index=1, content_block={"type": "tool_result", "error": "max_uses_exceeded"})
    tap, relayed = run([message_start(), block, message_delta(), MESSAGE_STOP])
    assert block in relayed
    assert tap.error is None


def test_malformed_usage_is_an_anomaly_and_the_rest_still_counts() -> None:
    tap, _ = run([message_start(), message_delta(output_tokens="5"), MESSAGE_STOP])
    assert tap.anomalies == 1
    assert tap.usage == TokenUsage(input=12)
