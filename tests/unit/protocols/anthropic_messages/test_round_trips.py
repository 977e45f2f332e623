"""There and back: requests, answers and streams, and that both kinds of answer say the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from lumen.protocols.anthropic_messages.request_decoder import decode_request
from lumen.protocols.anthropic_messages.request_encoder import encode_request
from lumen.protocols.anthropic_messages.response_decoder import decode_response
from lumen.protocols.anthropic_messages.response_encoder import encode_response
from lumen.protocols.canonical.content import Refusal, Text
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    Event,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    TextDelta,
)
from lumen.protocols.canonical.response import fold
from tests.unit.protocols.anthropic_messages.answers import (
    BLOCKS,
    decode_stream,
    encode_stream,
    message,
    read_stream,
    reply,
    stream,
)
from tests.unit.protocols.anthropic_messages.requests import ADAPTIVE, BUDGETED, body, target

CLAUDE_CODE = body(
    stream=True,
    max_tokens=8000,
    thinking={"type": "adaptive", "display": "summarized"},
    output_config={"effort": "high", "task_budget": {"type": "tokens", "total": 9}},
    context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    metadata={"user_id": '{"session_id":"s"}'},
    cache_control={"type": "ephemeral"},
    system=[
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    tools=[
        {
            "name": "Read",
            "description": "Reads a file.",
            "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"path": {"type": "string", "minLength": 1}},
                "additionalProperties": False,
            },
            "defer_loading": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    ],
    tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    stop_sequences=["END"],
    service_tier="auto",
    messages=[
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "The date changed."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig/+=="},
                {"type": "redacted_thinking", "data": "enc=="},
                {"type": "text", "text": "Reading."},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "é"}},
                {"type": "tool_use", "id": "toolu_2", "name": "Read", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "r"}]},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "is_error": True,
                    "content": [{"type": "tool_reference", "tool_name": "Read"}],
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
                    "title": "T",
                    "citations": {"enabled": True},
                },
                {
                    "type": "search_result",
                    "source": "https://a",
                    "title": "T",
                    "content": [{"type": "text", "text": "s"}],
                },
                {"type": "text", "text": "So?"},
            ],
        },
        {"role": "system", "content": [{"type": "text", "text": "Now."}], "clear_at": "turn_end"},
    ],
)


def returned(sent: dict[str, Any], model: str = ADAPTIVE) -> Any:
    to = target(model, is_stream=True)
    encoded = encode_request(decode_request(sent), to)
    assert to.dropped == []
    return json.loads(encoded)


def test_what_claude_code_sends_comes_back_as_it_was() -> None:
    texts = {"content": [{"type": "text", "text": "The date changed."}]}
    expected = {**CLAUDE_CODE, "model": ADAPTIVE}
    expected["messages"] = [one if isinstance(one["content"], list) else one | texts for one in expected["messages"]]
    assert returned(CLAUDE_CODE) == expected


@pytest.mark.parametrize(
    ("members", "model"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 8000}, BUDGETED),
        ({"thinking": {"type": "disabled"}, "temperature": 0.3, "top_k": 4}, BUDGETED),
        ({"top_p": 0.5, "system": "Be brief."}, BUDGETED),
        ({"thinking": {"type": "between_tools"}}, "claude-sonnet-5-5"),
        (
            {
                "tool_choice": {"type": "tool", "name": "f"},
                "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            },
            BUDGETED,
        ),
        (
            {
                "output_config": {
                    "format": {
                        "type": "json_schema",
                        "schema": {"type": "object", "properties": {}, "additionalProperties": False},
                    }
                }
            },
            ADAPTIVE,
        ),
    ],
)
def test_requests_say_the_same_after_a_round_trip(members: dict[str, Any], model: str) -> None:
    sent = body(**members)
    request = decode_request(sent)
    again = decode_request(returned(sent, model))
    assert replace(again, model=request.model) == request


WHOLE = message(*BLOCKS, stop_reason="tool_use")
ANSWERS = {
    "every kind of block": WHOLE,
    "nothing": message(),
    "text": message({"type": "text", "text": "Hello"}, stop_reason="stop_sequence", stop_sequence="END"),
    "omitted thinking": message({"type": "thinking", "thinking": "", "signature": "sig"}),
    "a pause": message(*BLOCKS[2:4], stop_reason="pause_turn"),
    "a refusal": message({"type": "text", "text": "So"}, stop_reason="refusal"),
    "the window": message({"type": "text", "text": "So"}, stop_reason="model_context_window_exceeded"),
}


@pytest.fixture(params=list(ANSWERS.values()), ids=list(ANSWERS))
def answer(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_answers_are_the_same_after_a_round_trip(answer: Any) -> None:
    decoded = decode_response(json.dumps(answer).encode(), "anthropic")
    again = decode_response(encode_response(decoded, reply()), "anthropic")
    assert replace(again, model=decoded.model) == decoded


def test_streams_are_the_same_after_a_round_trip(answer: Any) -> None:
    decoded = fold(decode_stream(stream(answer)))
    again = fold(decode_stream([encode_stream(decode_stream(stream(answer)))]))
    assert replace(again, model=decoded.model) == decoded


def test_a_stream_says_what_the_whole_answer_says(answer: Any) -> None:
    assert fold(decode_stream(stream(answer))) == decode_response(json.dumps(answer).encode(), "anthropic")


def test_a_streamed_explanation_of_a_refusal_is_that_of_the_whole_answer() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "I cannot."}
    declined = message({"type": "text", "text": "So"}, stop_reason="refusal", stop_details=details)
    decoded = decode_response(json.dumps(declined).encode(), "anthropic")
    assert decoded.blocks == (Text("So"), Refusal("I cannot."))
    assert fold(decode_stream(stream(declined))) == decoded


# --- whatever order blocks come in

KINDS: dict[BlockKind, Callable[[int, str], Event]] = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REFUSAL: RefusalDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.TOOL_CALL: ArgumentsDelta,
}


@st.composite
def interleaved(draw: st.DrawFn) -> list[Event]:
    """A grammatical stream whose blocks are open concurrently."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), max_size=5))
    events: list[Event] = [ResponseStarted()]
    waiting, growing = list(range(len(kinds))), list[int]()
    while waiting or growing:
        if waiting and (not growing or draw(st.booleans())):
            index = waiting.pop(0)
            growing.append(index)
            is_call = kinds[index] is BlockKind.TOOL_CALL
            name = "f" if is_call else ""
            events.append(BlockStarted(index, kinds[index], f"toolu_{index}" if is_call else "", name))
            continue
        index = draw(st.sampled_from(growing))
        if draw(st.booleans()):
            events.append(KINDS[kinds[index]](index, draw(st.sampled_from(["", "a", '"é"\n', "\u2028"]))))
        else:
            growing.remove(index)
            events.append(BlockFinished(index))
    return [*events, ResponseFinished(FinishReason.STOP, "stop")]


@given(interleaved())
@settings(max_examples=150, deadline=None)
def test_one_block_is_open_at_a_time_and_nothing_is_lost(events: list[Event]) -> None:
    opened: list[int] = []
    current: int | None = None
    said: dict[int, str] = {}
    for frame in read_stream(events):
        match frame["type"]:
            case "content_block_start":
                assert current is None
                current = frame["index"]
                opened.append(frame["index"])
            case "content_block_delta":
                assert frame["index"] == current
                (text,) = (value for name, value in frame["delta"].items() if name != "type")
                said[frame["index"]] = said.get(frame["index"], "") + text
            case "content_block_stop":
                assert frame["index"] == current
                current = None
    assert current is None
    assert opened == list(range(len(opened)))
    texts: dict[int, str] = {}
    calls: set[int] = set()
    for event in events:
        if isinstance(event, BlockStarted) and event.kind is BlockKind.TOOL_CALL:
            calls.add(event.index)
        elif isinstance(event, TextDelta | RefusalDelta | ReasoningDelta | ArgumentsDelta):
            texts[event.index] = texts.get(event.index, "") + event.text
    shown = sorted({index for index, text in texts.items() if text} | calls)
    assert [said.get(position, "") for position in opened] == [texts.get(index, "") for index in shown]
