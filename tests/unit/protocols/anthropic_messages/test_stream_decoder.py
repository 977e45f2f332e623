"""A provider's stream, in order and out of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumen.money.usage import TokenUsage
from lumen.protocols.anthropic_messages.stream_decoder import AnthropicStreamDecoder
from lumen.protocols.canonical.content import Opaque, Seal, Text
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    Event,
    FinishReason,
    OpaqueEvent,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.canonical.response import fold
from lumen.protocols.dialects import Dialect
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.anthropic_messages.answers import (
    BLOCKS,
    SERVER_CALL,
    SERVER_RESULT,
    decode_stream,
    message,
    stream,
)
from tests.unit.protocols.frames import MESSAGE_STOP, event, message_delta, message_start, sse, text_delta
from tests.unit.protocols.grammar import assert_grammatical

WHOLE = stream(message(*BLOCKS, stop_reason="tool_use"))
FINISHED = ResponseFinished(FinishReason.STOP, "end_turn")


def block_start(index: int = 0, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block=block or {"type": "text", "text": ""})


def delta(index: int = 0, **members: Any) -> bytes:
    return event("content_block_delta", index=index, delta=members)


def block_stop(index: int = 0) -> bytes:
    return event("content_block_stop", index=index)


def decode_body(*reads: bytes, anomalies: int = 0) -> list[Event]:
    """What comes between the start and the usage of a message that ends well."""
    events = decode_stream([message_start(), *reads, message_delta(), MESSAGE_STOP], anomalies=anomalies)
    assert isinstance(events[0], ResponseStarted)
    assert events[-2:] == [UsageReported(TokenUsage(input=12, output=5)), FINISHED]
    return events[1:-2]


def texts(events: list[Event]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


def test_a_text() -> None:
    assert decode_body(block_start(), text_delta("Hel"), text_delta("lo"), block_stop()) == [
        BlockStarted(0, BlockKind.TEXT),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        BlockFinished(0),
    ]


def test_thinking_its_signature_and_redacted_thinking() -> None:
    assert decode_body(
        block_start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="sig"),
        block_stop(0),
        block_start(1, type="redacted_thinking", data="enc"),
        block_stop(1),
    ) == [
        BlockStarted(0, BlockKind.REASONING),
        ReasoningDelta(0, "hm"),
        SignatureDelta(0, Seal("anthropic", "sig")),
        BlockFinished(0),
        BlockStarted(1, BlockKind.REASONING, seal=Seal("anthropic", "enc"), is_redacted=True),
        BlockFinished(1),
    ]


def test_a_tool_call() -> None:
    events = decode_stream(
        [
            message_start(),
            block_start(3, type="tool_use", id="toolu_1", name="f", input={}),
            delta(3, type="input_json_delta", partial_json=""),
            delta(3, type="input_json_delta", partial_json='{"a":'),
            delta(3, type="input_json_delta", partial_json="1}"),
            block_stop(3),
            message_delta("tool_use"),
            MESSAGE_STOP,
        ]
    )
    assert events[1:-2] == [
        BlockStarted(0, BlockKind.TOOL_CALL, "toolu_1", "f"),
        ArgumentsDelta(0, '{"a":'),
        ArgumentsDelta(0, "1}"),
        BlockFinished(0),
    ]
    assert events[-1] == ResponseFinished(FinishReason.TOOL_CALLS, "tool_use")


@pytest.mark.parametrize(("given", "arguments"), [({}, "{}"), ({"a": 1}, '{"a":1}')])
def test_a_call_whose_arguments_do_not_stream(given: dict[str, Any], arguments: str) -> None:
    events = decode_stream(
        [
            message_start(),
            block_start(0, type="tool_use", id="toolu_1", name="f", input=given),
            block_stop(),
            message_delta("end_turn"),
            MESSAGE_STOP,
        ]
    )
    assert ArgumentsDelta(0, arguments) in events
    assert events[-1] == ResponseFinished(FinishReason.TOOL_CALLS, "end_turn")


def test_server_tools_come_whole_and_take_no_index() -> None:
    events = decode_body(
        block_start(0, **{**SERVER_CALL, "input": {}}),
        delta(0, type="input_json_delta", partial_json='{"query":'),
        delta(0, type="input_json_delta", partial_json='"q"}'),
        block_stop(0),
        block_start(1, **SERVER_RESULT),
        block_stop(1),
        block_start(2, type="compaction", content=None),
        delta(2, type="compaction_delta", content="summary"),
        block_stop(2),
        block_start(3),
        block_stop(3),
    )
    anthropic = Dialect.ANTHROPIC_MESSAGES
    assert events == [
        OpaqueEvent(Opaque(anthropic, "server_tool_use", SERVER_CALL)),
        OpaqueEvent(Opaque(anthropic, "web_search_tool_result", SERVER_RESULT)),
        OpaqueEvent(Opaque(anthropic, "compaction", {"type": "compaction", "content": "summary"})),
        BlockStarted(0, BlockKind.TEXT),
        BlockFinished(0),
    ]


def test_text_in_the_start_of_a_block_counts() -> None:
    assert texts(decode_body(block_start(0, type="text", text="Hel"), text_delta("lo"), block_stop())) == "Hello"


@pytest.mark.parametrize("reason", ["pause_turn", "model_context_window_exceeded", "refusal"])
def test_rare_stop_reasons(reason: str) -> None:
    finished = decode_stream([message_start(), message_delta(reason), MESSAGE_STOP])[-1]
    assert isinstance(finished, ResponseFinished)
    assert finished.raw == reason
    assert finished.reason in (FinishReason.PAUSED, FinishReason.CONTEXT, FinishReason.REFUSAL)


def test_a_refusals_explanation_does_not_vanish() -> None:
    details = {"type": "refusal", "category": None, "explanation": "I cannot."}
    ending = event("message_delta", delta={"stop_reason": "refusal", "stop_details": details}, usage={})
    assert RefusalDelta(0, "I cannot.") in decode_stream([message_start(), ending, MESSAGE_STOP])


def test_the_stop_sequence_is_kept() -> None:
    ending = event("message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "END"}, usage={})
    assert decode_stream([message_start(), ending, MESSAGE_STOP])[-1] == ResponseFinished(
        FinishReason.STOP_SEQUENCE, "stop_sequence", "END"
    )


# --- usage


def test_output_is_cumulative_and_input_may_be_in_message_start_only() -> None:
    events = decode_stream(
        [message_start(cache_read_input_tokens=7), message_delta(None, output_tokens=3), message_delta(), MESSAGE_STOP]
    )
    assert events[0] == ResponseStarted("msg_1", None, TokenUsage(input=12, cache_read=7, output=1))
    assert events[1:3] == [
        UsageReported(TokenUsage(input=12, cache_read=7, output=3)),
        UsageReported(TokenUsage(input=12, cache_read=7, output=5)),
    ]


def test_zeros_in_message_delta_do_not_erase_a_prompt() -> None:
    events = decode_stream([message_start(), message_delta(input_tokens=0), MESSAGE_STOP], anomalies=1)
    assert UsageReported(TokenUsage(input=12, output=5)) in events


def test_a_stream_without_usage() -> None:
    bare = event("message_start", message={"id": "msg_1", "type": "message"})
    ending = event("message_delta", delta={"stop_reason": "end_turn"})
    assert decode_stream([bare, ending, MESSAGE_STOP]) == [ResponseStarted("msg_1"), FINISHED]


# --- out of order


def test_a_second_message_start_is_ignored() -> None:
    assert decode_body(message_start(), block_start(), text_delta("x"), block_stop(), anomalies=1)[1:] == [
        TextDelta(0, "x"),
        BlockFinished(0),
    ]


def test_a_message_start_may_be_missing() -> None:
    events = decode_stream([block_start(), text_delta("x"), block_stop(), message_delta(), MESSAGE_STOP], anomalies=1)
    assert events[0] == ResponseStarted()
    assert texts(events) == "x"


def test_a_second_stop_of_a_block_is_ignored() -> None:
    events = decode_body(block_start(), text_delta("x"), block_stop(), block_stop(), anomalies=1)
    assert events.count(BlockFinished(0)) == 1


def test_a_delta_without_its_start_opens_the_block() -> None:
    assert decode_body(text_delta("x"), text_delta("y"), block_stop(), anomalies=1) == [
        BlockStarted(0, BlockKind.TEXT),
        TextDelta(0, "x"),
        TextDelta(0, "y"),
        BlockFinished(0),
    ]


def test_a_delta_of_another_kind_gets_its_own_block() -> None:
    events = decode_body(
        block_start(), text_delta("x"), delta(0, type="thinking_delta", thinking="hm"), block_stop(), anomalies=1
    )
    assert events[2:] == [
        BlockFinished(0),
        BlockStarted(1, BlockKind.REASONING),
        ReasoningDelta(1, "hm"),
        BlockFinished(1),
    ]


def test_a_second_start_of_an_index_closes_the_first() -> None:
    events = decode_body(block_start(), text_delta("x"), block_start(), text_delta("y"), block_stop(), anomalies=1)
    assert [one for one in events if isinstance(one, BlockFinished)] == [BlockFinished(0), BlockFinished(1)]


def test_blocks_that_never_stop_are_closed_at_the_end() -> None:
    events = decode_stream(
        [message_start(), block_start(), text_delta("x"), message_delta(), MESSAGE_STOP], anomalies=1
    )
    assert events[-2:] == [BlockFinished(0), FINISHED]


def test_blocks_may_be_open_at_the_same_time() -> None:
    reads = (block_start(0), block_start(1), delta(1, type="text_delta", text="b"), text_delta("a"))
    assert decode_body(*reads, block_stop(1), block_stop(0))[2:4] == [TextDelta(1, "b"), TextDelta(0, "a")]


def test_pings_unknown_events_and_done_are_passed_over() -> None:
    noise = [event("ping"), event("content_block_glow", index=0), b": comment\n\n", b"data: [DONE]\n\n"]
    assert texts(decode_body(*noise, block_start(), *noise, text_delta("x"), block_stop(), *noise)) == "x"


def test_events_without_names() -> None:
    start = {"type": "message_start", "message": {"id": "msg_1"}}
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    assert decode_stream([sse(start), sse(ending), sse({"type": "message_stop"})]) == [
        ResponseStarted("msg_1"),
        FINISHED,
    ]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: \xff\n\n",
        sse({"type": "content_block_start", "index": "0", "content_block": {}}),
        sse({"type": "content_block_start", "index": 0, "content_block": "text"}),
        sse({"type": "content_block_delta", "index": 0}),
        sse({"type": "content_block_delta", "index": None, "delta": {"type": "text_delta", "text": "x"}}),
        sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 1}}),
        sse({"type": "content_block_stop", "index": [0]}),
        sse({"type": "message_start", "message": None}),
    ],
)
def test_nonsense_is_an_anomaly_and_no_more(nonsense: bytes) -> None:
    assert texts(decode_body(block_start(), text_delta("x"), nonsense, block_stop(), anomalies=1)) == "x"


def test_types_that_are_no_strings_are_passed_over() -> None:
    weird = sse({"type": "content_block_delta", "index": 0, "delta": {"type": ["text_delta"], "text": "x"}})
    assert texts(decode_body(block_start(), weird, sse({"type": {"a": 1}}), block_stop())) == ""


# --- the end


@pytest.mark.parametrize("frames", range(len(WHOLE)))
def test_a_cut_stream_never_looks_finished(frames: int) -> None:
    events = decode_stream(WHOLE[:frames])
    assert events[-1] == StreamFailed()
    assert sum(isinstance(one, StreamFailed | ResponseFinished) for one in events) == 1


def test_a_stop_reason_without_message_stop_is_a_cut() -> None:
    assert decode_stream([message_start(), message_delta()])[-1] == StreamFailed()


def test_an_error_after_text_ends_the_stream_in_the_providers_words() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    decoder = AnthropicStreamDecoder(issuer="anthropic")
    events = [one for read in (message_start(), block_start(), text_delta("x"), error) for one in decoder.feed(read)]
    failed = events[-1]
    assert isinstance(failed, StreamFailed)
    assert failed.error is not None
    assert (failed.error.said.type, failed.error.said.message) == ("overloaded_error", "Overloaded")
    assert decoder.feed(MESSAGE_STOP) + decoder.close() == []
    assert_grammatical(events)


def test_an_error_as_the_first_event() -> None:
    (failed,) = decode_stream([sse({"error": {"message": "no"}})])
    assert isinstance(failed, StreamFailed)
    assert failed.error is not None
    assert failed.error.said.message == "no"


def test_what_comes_after_message_stop_is_an_anomaly() -> None:
    late = event("error", error={"type": "api_error", "message": "late"})
    assert (
        decode_stream([message_start(), message_delta(), MESSAGE_STOP, event("ping"), late], anomalies=1)[-1]
        == FINISHED
    )


def test_a_frame_beyond_the_limit_is_an_error() -> None:
    decoder = AnthropicStreamDecoder(issuer="anthropic", frame_bytes_max=100)
    with pytest.raises(UpstreamProtocolError):
        decoder.feed(b"data: " + b"x" * 200)


# --- bytes


@given(st.lists(st.integers(0, sum(map(len, WHOLE))), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    data = b"".join(WHOLE)
    places = [0, *sorted(cuts), len(data)]
    assert decode_stream(data[a:b] for a, b in pairwise(places)) == decode_stream(WHOLE)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.replace(b"data: ", b"data:"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"event: ", b"id: 7\nretry: 1\nevent: "),
        lambda data: b": hi\n\n" + data,
        lambda data: data.replace(b"data: {", b"data: {\ndata: "),
        lambda data: data.rstrip(b"\n"),
    ],
)
def test_any_form_of_server_sent_events(rewrite: Any) -> None:
    assert decode_stream([rewrite(b"".join(WHOLE))]) == decode_stream(WHOLE)


def test_byte_by_byte() -> None:
    data = b"".join(WHOLE)
    assert decode_stream(data[at : at + 1] for at in range(len(data))) == decode_stream(WHOLE)


def test_a_delta_of_300_kilobytes_and_1500_deltas() -> None:
    large = "é" * 150_000
    assert texts(decode_body(block_start(), text_delta(large), block_stop())) == large
    many = [text_delta(str(number)) for number in range(1500)]
    assert texts(decode_body(block_start(), *many, block_stop())) == "".join(map(str, range(1500)))


def test_line_separators_in_text_are_text() -> None:
    delta_in_utf8 = '{"type":"text_delta","text":"a\u2028b\x85c"}'.encode()
    read = b'data: {"type":"content_block_delta","index":0,"delta":' + delta_in_utf8 + b"}\n\n"
    assert texts(decode_body(block_start(), read, block_stop())) == "a\u2028b\x85c"


def test_a_stream_folds_into_text() -> None:
    assert fold(decode_stream(stream(message({"type": "text", "text": "Hello"})))).blocks == (Text("Hello"),)
