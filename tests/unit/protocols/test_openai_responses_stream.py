"""Responses streams: terminal events, failures, sequence numbers."""

from __future__ import annotations

import pytest

from lumen.money.usage import TokenUsage
from lumen.protocols.dialects import Dialect
from lumen.protocols.stream_tap import StreamTap
from tests.unit.protocols import frames
from tests.unit.protocols.frames import DONE, RESPONSES_USAGE, event, response

CREATED = event("response.created", sequence_number=0, response=response("in_progress"))
DELTA = event("response.output_text.delta", sequence_number=41, delta='say "sequence_number":7')


def run(reads: list[bytes]) -> tuple[StreamTap, bytes]:
    return frames.run(Dialect.OPENAI_RESPONSES, reads)


def completed(status: str = "completed", **members: object) -> bytes:
    return event(f"response.{status}", sequence_number=42, response=response(status, usage=RESPONSES_USAGE, **members))


def test_usage_is_read_from_the_completed_response() -> None:
    tap, _ = run([CREATED, DELTA, completed()])
    assert tap.usage == TokenUsage(input=8, cache_read=4, output=5, reasoning=2)
    assert tap.finish_reason == "completed"


def test_an_incomplete_response_is_a_complete_answer_with_its_reason() -> None:
    tap, _ = run([CREATED, DELTA, completed("incomplete", incomplete_details={"reason": "max_output_tokens"})])
    assert tap.is_complete
    assert tap.finish_reason == "max_output_tokens"


@pytest.mark.parametrize("reads", [[DELTA], [CREATED, DELTA]])
def test_a_failed_response_is_an_error_with_its_usage(reads: list[bytes]) -> None:
    failed = completed("failed", error={"code": "server_error", "message": "The server had an error"})
    tap, relayed = run([*reads, failed])
    assert relayed == b"".join(reads)
    assert tap.error is not None
    assert tap.error.said.message == "The server had an error"
    assert tap.error.said.code == "server_error"
    assert tap.usage is not None
    assert not tap.is_complete


def test_the_documented_error_event_is_an_error() -> None:
    tap, _ = run([CREATED, event("error", code="rate_limit_exceeded", message="slow down", sequence_number=1)])
    assert tap.error is not None
    assert (tap.error.said.code, tap.error.said.message) == ("rate_limit_exceeded", "slow down")


def test_done_after_the_terminal_event_is_held_too() -> None:
    tap, _ = run([CREATED, completed(), DONE])
    assert tap.held == completed() + DONE


def test_done_alone_does_not_complete_a_response() -> None:
    tap, relayed = run([CREATED, DELTA, DONE])
    assert not tap.is_complete
    assert relayed.endswith(DONE)


def test_next_sequence_follows_the_last_event_that_went_out() -> None:
    tap, _ = run([CREATED, DELTA])
    assert tap.next_sequence == 42


def test_next_sequence_is_unknown_before_the_first_event() -> None:
    tap, _ = run([])
    assert tap.next_sequence is None


def test_usage_null_in_the_completed_response_is_not_reported() -> None:
    tap, _ = run([CREATED, event("response.completed", response=response("completed"))])
    assert tap.is_complete
    assert tap.usage is None
    assert tap.anomalies == 0
