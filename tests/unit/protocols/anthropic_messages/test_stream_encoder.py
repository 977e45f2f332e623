"""What a client reads of a stream, whoever the provider was."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.money.usage import TokenUsage
from lumen.protocols import seals
from lumen.protocols.anthropic_messages.stream_encoder import AnthropicStreamEncoder
from lumen.protocols.canonical.content import Citation, Extras, Opaque, Seal
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    CitationAdded,
    Event,
    FinishReason,
    OpaqueEvent,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    TextDelta,
    UsageReported,
)
from lumen.protocols.dialects import Dialect
from tests.unit.protocols.anthropic_messages.answers import (
    CITATION,
    SERVER_CALL,
    SERVER_RESULT,
    encode_stream,
    read_stream,
    reply,
)
from tests.unit.protocols.grammar import assert_grammatical

TEXT, REASONING, CALL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL_CALL
START = ResponseStarted("resp_1", "gpt-x")
FINISH = ResponseFinished(FinishReason.STOP, "stop")


def read_body(*events: Event, finish: ResponseFinished = FINISH) -> list[Any]:
    """The frames between message_start and message_delta."""
    everything = [START, *events, finish]
    assert_grammatical(everything)
    frames = read_stream(everything)
    assert [frame["type"] for frame in (frames[0], *frames[-2:])] == ["message_start", "message_delta", "message_stop"]
    return frames[1:-2]


def opened(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grown(index: int, kind: str, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def text_frames(index: int, *texts: str) -> list[dict[str, Any]]:
    return [
        opened(index, type="text", text=""),
        *(grown(index, "text_delta", text=text) for text in texts),
        stopped(index),
    ]


def ending(*events: Event, finish: ResponseFinished = FINISH) -> Any:
    return read_stream([START, *events, finish])[-2]


def test_an_empty_answer() -> None:
    start, delta, stop = read_stream([START, FINISH])
    zeros = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }
    assert start == {
        "type": "message_start",
        "message": {
            "id": "msg_" + "0" * 24,
            "type": "message",
            "role": "assistant",
            "model": "the-model",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": zeros,
        },
    }
    assert delta == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": zeros,
    }
    assert stop == {"type": "message_stop"}


def test_a_text() -> None:
    events = (BlockStarted(0, TEXT), TextDelta(0, ""), TextDelta(0, 'é"\u2028'), TextDelta(0, "lo"), BlockFinished(0))
    assert read_body(*events) == text_frames(0, 'é"\u2028', "lo")


def test_a_refusal_is_text_with_the_stop_reason_refusal() -> None:
    events = (BlockStarted(0, BlockKind.REFUSAL), RefusalDelta(0, "I cannot."), BlockFinished(0))
    assert read_body(*events) == text_frames(0, "I cannot.")
    assert ending(*events)["delta"]["stop_reason"] == "refusal"


def test_thinking_is_signed_at_its_end_by_the_last_signature() -> None:
    assert read_body(
        BlockStarted(0, REASONING),
        ReasoningDelta(0, "h"),
        SignatureDelta(0, Seal("anthropic", "first")),
        ReasoningDelta(0, "m"),
        SignatureDelta(0, Seal("google", "s==")),
        BlockFinished(0),
    ) == [
        opened(0, type="thinking", thinking="", signature=""),
        grown(0, "thinking_delta", thinking="h"),
        grown(0, "thinking_delta", thinking="m"),
        grown(0, "signature_delta", signature="lumen1.google.s=="),
        stopped(0),
    ]


def test_no_signature_is_invented() -> None:
    frames = read_body(BlockStarted(0, REASONING), ReasoningDelta(0, "hm"), BlockFinished(0))
    assert [frame.get("delta", {}).get("type") for frame in frames] == [None, "thinking_delta", None]
    assert frames[0]["content_block"]["signature"] == ""


@pytest.mark.parametrize(
    "events",
    [
        (BlockStarted(0, REASONING), BlockFinished(0)),
        (BlockStarted(0, REASONING, is_redacted=True), BlockFinished(0)),
        (BlockStarted(0, TEXT), TextDelta(0, ""), BlockFinished(0)),
        (BlockStarted(0, TEXT), SignatureDelta(0, Seal("google", "s")), BlockFinished(0)),
        (OpaqueEvent(Opaque(Dialect.OPENAI_RESPONSES, "web_search_call", {})),),
    ],
)
def test_what_says_nothing_makes_no_block_and_takes_no_index(events: tuple[Event, ...]) -> None:
    more = (BlockStarted(1, TEXT), TextDelta(1, "x"), BlockFinished(1))
    if isinstance(events[0], OpaqueEvent):
        more = (BlockStarted(0, TEXT), TextDelta(0, "x"), BlockFinished(0))
    assert read_body(*events, *more) == text_frames(0, "x")


def test_sealed_thinking_without_text_is_a_block() -> None:
    for events in (
        (BlockStarted(0, REASONING, seal=Seal("openai", "enc")), BlockFinished(0)),
        (BlockStarted(0, REASONING), SignatureDelta(0, Seal("openai", "enc")), BlockFinished(0)),
    ):
        assert read_body(*events) == [
            opened(0, type="thinking", thinking="", signature=""),
            grown(0, "signature_delta", signature="lumen1.openai.enc"),
            stopped(0),
        ]


def test_redacted_thinking_comes_whole() -> None:
    redacted = BlockStarted(0, REASONING, seal=Seal("anthropic", "enc"), is_redacted=True)
    assert read_body(redacted, BlockFinished(0)) == [opened(0, type="redacted_thinking", data="enc"), stopped(0)]


def test_a_tool_call_opens_with_an_empty_input() -> None:
    events = (
        BlockStarted(0, CALL, "toolu_1", "f"),
        ArgumentsDelta(0, '{"a":'),
        ArgumentsDelta(0, '"\\u00e9"}'),
        BlockFinished(0),
    )
    assert read_body(*events) == [
        opened(0, type="tool_use", id="toolu_1", name="f", input={}),
        grown(0, "input_json_delta", partial_json='{"a":'),
        grown(0, "input_json_delta", partial_json='"\\u00e9"}'),
        stopped(0),
    ]
    assert ending(*events)["delta"]["stop_reason"] == "tool_use"


def test_a_call_without_arguments_is_still_a_call() -> None:
    frames = read_body(BlockStarted(0, CALL, "toolu_1", "f"), BlockFinished(0))
    assert frames == [opened(0, type="tool_use", id="toolu_1", name="f", input={}), stopped(0)]


def test_a_call_begins_at_once_when_it_is_its_turn() -> None:
    encoder = AnthropicStreamEncoder(reply())
    encoder.encode(START)
    assert b"tool_use" in encoder.encode(BlockStarted(0, CALL, "toolu_1", "f"))
    assert encoder.encode(BlockStarted(1, CALL, "toolu_2", "g")) == b""
    assert b"toolu_2" in encoder.encode(BlockFinished(0))


def test_ids_and_seals_of_other_vendors_travel_in_the_call_id() -> None:
    seal = Seal("google", "thought==")
    opening = read_body(BlockStarted(0, CALL, "call:1", "f", seal=seal), BlockFinished(0))[0]["content_block"]
    assert seals.read_call_id(opening["id"], "toolu_") == ("call:1", seal)
    opening = read_body(BlockStarted(0, CALL, "", "f"), BlockFinished(0))[0]["content_block"]
    assert opening["id"] == "toolu_" + "0" * 24


def test_blocks_that_are_open_at_the_same_time_come_one_after_another() -> None:
    frames = read_body(
        BlockStarted(0, TEXT),
        BlockStarted(1, CALL, "toolu_1", "f"),
        BlockStarted(2, CALL, "toolu_2", "g"),
        ArgumentsDelta(2, "{"),
        ArgumentsDelta(1, "{"),
        TextDelta(0, "a"),
        ArgumentsDelta(2, "}"),
        ArgumentsDelta(1, "}"),
        TextDelta(0, "b"),
        BlockFinished(2),
        BlockStarted(3, REASONING),
        ReasoningDelta(3, "hm"),
        BlockFinished(0),
        BlockFinished(1),
        ReasoningDelta(3, "!"),
        BlockFinished(3),
    )
    assert frames == [
        *text_frames(0, "a", "b"),
        opened(1, type="tool_use", id="toolu_1", name="f", input={}),
        grown(1, "input_json_delta", partial_json="{"),
        grown(1, "input_json_delta", partial_json="}"),
        stopped(1),
        opened(2, type="tool_use", id="toolu_2", name="g", input={}),
        grown(2, "input_json_delta", partial_json="{"),
        grown(2, "input_json_delta", partial_json="}"),
        stopped(2),
        opened(3, type="thinking", thinking="", signature=""),
        grown(3, "thinking_delta", thinking="hm"),
        grown(3, "thinking_delta", thinking="!"),
        stopped(3),
    ]


def test_a_silent_block_holds_back_what_comes_after_it_only_while_it_is_open() -> None:
    encoder = AnthropicStreamEncoder(reply())
    for event in (START, BlockStarted(0, REASONING), BlockStarted(1, TEXT), TextDelta(1, "x")):
        written = encoder.encode(event)
    assert written == b""
    assert b'"text":"x"' in encoder.encode(BlockFinished(0))


def test_server_tools_come_whole_to_anthropics_own_clients() -> None:
    anthropic = Dialect.ANTHROPIC_MESSAGES
    frames = read_body(
        BlockStarted(0, TEXT),
        TextDelta(0, "x"),
        OpaqueEvent(Opaque(anthropic, "server_tool_use", SERVER_CALL)),
        BlockFinished(0),
        OpaqueEvent(Opaque(anthropic, "web_search_tool_result", SERVER_RESULT)),
    )
    assert frames == [
        *text_frames(0, "x"),
        opened(1, **{**SERVER_CALL, "input": {}}),
        grown(1, "input_json_delta", partial_json='{"query":"q"}'),
        stopped(1),
        opened(2, **SERVER_RESULT),
        stopped(2),
    ]


def test_citations_are_anthropics_own_or_none() -> None:
    own = CitationAdded(0, Citation(extras=Extras(Dialect.ANTHROPIC_MESSAGES, CITATION)))
    foreign = CitationAdded(0, Citation(url="https://b", extras=Extras(Dialect.OPENAI_RESPONSES, {"x": 1})))
    frames = read_body(BlockStarted(0, TEXT), foreign, TextDelta(0, "x"), own, BlockFinished(0))
    assert frames == [
        *text_frames(0, "x")[:-1],
        grown(0, "citations_delta", citation=CITATION),
        stopped(0),
    ]


def test_message_delta_has_all_the_usage() -> None:
    usage = TokenUsage(input=9, cache_read=4, cache_write_5m=2, cache_write_1h=1, output=7, reasoning=3)
    known = {
        "input_tokens": 9,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
    }
    assert ending(UsageReported(TokenUsage(input=1)), UsageReported(usage))["usage"] == known
    start, delta, _ = read_stream([ResponseStarted(usage=usage), FINISH])
    assert start["message"]["usage"] == delta["usage"] == known


def test_the_stop_sequence() -> None:
    finish = ResponseFinished(FinishReason.STOP_SEQUENCE, "stop_sequence", "END")
    assert ending(finish=finish)["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


def test_frames_are_whole_and_there_is_no_sequence() -> None:
    encoder = AnthropicStreamEncoder(reply())
    for event in (START, BlockStarted(0, TEXT), TextDelta(0, "x"), BlockFinished(0), FINISH):
        written = encoder.encode(event)
        assert written == b"" or written.endswith(b"\n\n")
    assert encoder.close() == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert encoder.next_sequence is None
    assert encode_stream([START, FINISH]).count(b"message_stop\n") == 1
