"""Single answers: usage, finish reason and errors inside a 200."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumen.money.usage import TokenUsage
from lumen.protocols.answer import _read_any
from lumen.protocols.common_answers import read_chat, read_message, read_response
from lumen.protocols.dialects import Dialect
from lumen.protocols.stream_tap import Answer, UpstreamProtocolError, read_answer
from tests.unit.protocols.frames import CHAT_USAGE, RESPONSES_USAGE, response

CHAT, RESPONSES, ANTHROPIC = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES


def answer(dialect: Dialect, **members: Any) -> Answer:
    return read_answer(dialect, json.dumps(members).encode())


def test_a_chat_completion() -> None:
    choices = [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]
    assert answer(CHAT, id="c-1", choices=choices, usage=CHAT_USAGE) == Answer(
        TokenUsage(input=12, output=5), "stop", 0, False, None, "c-1"
    )


def test_usage_inside_a_choice() -> None:
    choices = [{"index": 0, "message": {}, "finish_reason": "length", "usage": CHAT_USAGE}]
    found = answer(CHAT, choices=choices)
    assert (found.usage, found.finish_reason) == (TokenUsage(input=12, output=5), "length")


def test_a_response() -> None:
    found = answer(RESPONSES, **response("completed", usage=RESPONSES_USAGE))
    assert found.usage == TokenUsage(input=8, cache_read=4, output=5, reasoning=2)
    assert (found.finish_reason, found.is_error, found.response_id) == ("completed", False, "resp_1")


def test_an_incomplete_response_tells_why() -> None:
    members = response("incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert answer(RESPONSES, **members).finish_reason == "max_output_tokens"


def test_a_message() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5}
    found = answer(ANTHROPIC, id="msg_1", type="message", stop_reason="end_turn", content=[], usage=usage)
    assert found == Answer(TokenUsage(input=3, cache_read=4, output=5), "end_turn", 0, False, None, "msg_1")


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (CHAT, {"error": {"message": "boom", "code": "x"}}),
        (RESPONSES, response("failed", error={"message": "boom"})),
        (ANTHROPIC, {"type": "error", "error": {"type": "api_error", "message": "boom"}}),
    ],
)
def test_an_error_inside_a_200(dialect: Dialect, members: dict[str, Any]) -> None:
    found = answer(dialect, **members)
    assert found.is_error
    assert found.error is not None
    assert found.error.said.message == "boom"


def test_usage_of_the_wrong_shape_is_an_anomaly() -> None:
    assert answer(CHAT, choices=[{"message": {}}], usage="5").anomalies == 1
    assert answer(ANTHROPIC, content=[], usage={"input_tokens": "5"}).anomalies == 1


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (CHAT, {}),
        (CHAT, {"choices": []}),
        (CHAT, {"choices": [], "usage": CHAT_USAGE}),
        (RESPONSES, {}),
        (RESPONSES, {"id": "resp_1"}),
        (ANTHROPIC, {}),
        (ANTHROPIC, {"usage": {"input_tokens": 5}}),
    ],
)
def test_an_empty_object_is_no_answer(dialect: Dialect, members: dict[str, Any]) -> None:
    with pytest.raises(UpstreamProtocolError, match="empty"):
        answer(dialect, **members)


def test_answers_without_content_are_answers() -> None:
    assert answer(RESPONSES, output=[], status="completed").finish_reason == "completed"
    assert answer(ANTHROPIC, content=[], stop_reason="end_turn").finish_reason == "end_turn"
    assert answer(CHAT, choices=[{"message": {"content": None}, "finish_reason": "stop"}]).finish_reason == "stop"


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, ANTHROPIC])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"a":', b"[" * 100_000])
def test_what_is_no_object_is_a_protocol_error(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        read_answer(dialect, body)


COUNTS = st.one_of(st.none(), st.integers(0, 40), st.sampled_from([-1, "5", 1.5, True, 10**15]))
NAMES = (
    "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens",
    "cache_read_input_tokens", "cache_creation_input_tokens", "prompt_cache_hit_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens", "cache_write_tokens", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens",
    "thinking_tokens", "web_search_requests",
)  # fmt: skip
DETAILS = (
    "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
    "cache_creation", "server_tool_use",
)  # fmt: skip
FLAT = st.dictionaries(st.sampled_from(NAMES), COUNTS, max_size=8)
USAGES = st.builds(
    lambda flat, nested, more: {**flat, **nested, **more},
    FLAT,
    st.dictionaries(st.sampled_from(DETAILS), st.one_of(FLAT, st.none(), st.just("x")), max_size=3),
    st.sampled_from([{}, {"iterations": [{"type": "compaction", "input_tokens": 3, "output_tokens": 1}]}]),
)
REASONS = st.sampled_from([None, "", "stop", "end_turn", 5])
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", None, 3]),
        "type": st.sampled_from(["message", "error", None]),
        "usage": st.one_of(USAGES, st.none(), st.just("x")),
        "choices": st.lists(
            st.fixed_dictionaries({}, optional={"finish_reason": REASONS, "usage": st.one_of(st.none(), USAGES)}),
            max_size=2,
        ),
        "status": st.sampled_from(["completed", "incomplete", "failed", None, 1]),
        "incomplete_details": st.sampled_from([None, {"reason": "max_output_tokens"}, {"reason": None}, {}, "x"]),
        "stop_reason": REASONS,
        "content": st.sampled_from([[], None]),
        "output": st.sampled_from([[], None]),
        "error": st.sampled_from([None, {"message": "boom"}]),
    },
)


@settings(max_examples=1500)
@given(st.sampled_from([CHAT, RESPONSES, ANTHROPIC]), ANSWERS)
def test_the_readers_of_the_common_shape_agree_with_the_general_ones(dialect: Dialect, members: dict[str, Any]) -> None:
    body = json.dumps(members).encode()

    def outcome(read: Callable[[Dialect, bytes], Answer]) -> Answer | str:
        try:
            return read(dialect, body)
        except UpstreamProtocolError:
            return "error"

    assert outcome(read_answer) == outcome(_read_any)


def test_the_common_shapes_take_the_short_way() -> None:
    completion = {"choices": [{"finish_reason": "stop"}], "usage": CHAT_USAGE}
    assert read_chat(json.dumps(completion).encode()) is not None
    assert read_response(json.dumps(response("completed", usage=RESPONSES_USAGE)).encode()) is not None
    message = {"stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 5}}
    assert read_message(json.dumps(message).encode()) is not None
