"""Anthropic's own SDK reads what we write, strictly."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from lumen.protocols.anthropic_messages.response_decoder import decode_response
from lumen.protocols.anthropic_messages.response_encoder import encode_response
from lumen.protocols.canonical.content import Seal
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    Event,
    FinishReason,
    ReasoningDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    TextDelta,
)
from tests.unit.protocols.anthropic_messages.answers import (
    BLOCKS,
    decode_stream,
    encode_stream,
    message,
    read_stream,
    reply,
    stream,
)

WHOLE = message(*BLOCKS, stop_reason="tool_use")
# As a provider of another dialect would have it: calls by index at the same time, seals of another vendor.
FOREIGN: list[Event] = [
    ResponseStarted("chatcmpl-1", "gpt-x"),
    BlockStarted(0, BlockKind.REASONING),
    ReasoningDelta(0, "hm"),
    SignatureDelta(0, Seal("openai", "enc==")),
    BlockFinished(0),
    BlockStarted(1, BlockKind.TEXT),
    TextDelta(1, "Hello"),
    BlockStarted(2, BlockKind.TOOL_CALL, "call_1", "f"),
    BlockStarted(3, BlockKind.TOOL_CALL, "call_2", "g"),
    ArgumentsDelta(3, '{"b":'),
    ArgumentsDelta(2, '{"a":'),
    ArgumentsDelta(3, "2}"),
    ArgumentsDelta(2, "1}"),
    BlockFinished(1),
    BlockFinished(2),
    BlockFinished(3),
    ResponseFinished(FinishReason.TOOL_CALLS, "tool_calls"),
]


def client(answer: bytes, kind: str) -> anthropic.Anthropic:
    headers = {"content-type": kind}
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=answer, headers=headers))
    return anthropic.Anthropic(
        auth_token="k", base_url="http://lumen.test", http_client=httpx2.Client(transport=transport)
    )


def final_message(events: list[Event]) -> Message:
    with client(encode_stream(events), "text/event-stream").messages.stream(
        model="m", max_tokens=9, messages=[]
    ) as stream_:
        return stream_.get_final_message()


@pytest.mark.parametrize("events", [decode_stream(stream(WHOLE)), FOREIGN], ids=["own", "foreign"])
def test_every_frame_is_an_event_of_the_sdks(events: list[Event]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for frame in read_stream(events):
        assert adapter.validate_python(frame, strict=True).type == frame["type"]


def test_the_sdks_accumulator_puts_a_foreign_stream_together() -> None:
    whole = final_message(FOREIGN)
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use", "tool_use"]
    thinking, text, first, second = whole.content
    assert thinking.type == "thinking"
    assert (thinking.thinking, thinking.signature) == ("hm", "lumen1.openai.enc==")
    assert text.type == "text"
    assert text.text == "Hello"
    assert first.type == second.type == "tool_use"
    assert (first.name, first.input, second.name, second.input) == ("f", {"a": 1}, "g", {"b": 2})
    assert whole.stop_reason == "tool_use"
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (0, 0)


def test_the_sdks_accumulator_puts_our_stream_together_as_the_whole_answer() -> None:
    whole = final_message(decode_stream(stream(WHOLE))).model_dump(exclude_none=True, mode="json")
    assert whole["content"] == BLOCKS
    assert whole["usage"]["cache_read_input_tokens"] == 100
    assert (whole["id"], whole["model"], whole["stop_reason"]) == ("msg_1", "the-model", "tool_use")


def test_whole_answers() -> None:
    encoded = encode_response(decode_response(json.dumps(WHOLE).encode(), "anthropic"), reply())
    assert Message.model_validate_json(encoded, strict=True).stop_reason == "tool_use"
    answer = client(encoded, "application/json").messages.create(model="m", max_tokens=9, messages=[])
    assert answer.model_dump(exclude_none=True, mode="json")["content"] == BLOCKS
