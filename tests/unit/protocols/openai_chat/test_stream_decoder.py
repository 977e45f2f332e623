"""Streams of OpenAI and its relatives as events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Block, Citation, Reasoning, Refusal, Seal, Text, ToolCall, ToolKind
from lumen.protocols.canonical.events import (
    BlockFinished,
    BlockKind,
    BlockStarted,
    Event,
    FinishReason,
    ResponseFinished,
    ResponseStarted,
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.canonical.response import Response, fold
from lumen.protocols.openai_chat.response_decoder import decode_response
from lumen.protocols.openai_chat.stream_decoder import OpenAIChatStreamDecoder
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.frames import CHAT_USAGE, DONE, chunk, sse, usage_chunk
from tests.unit.protocols.grammar import assert_grammatical
from tests.unit.protocols.openai_chat.streams import ANSWERS, CALLS_FINISH, END, INTERLEAVED, ROLE, STOP, TEXT, piece
from tests.unit.protocols.openai_chat.test_response import said, wire
from tests.unit.protocols.openai_chat.wire import decode_stream

USAGE = TokenUsage(input=12, output=5)


def events_of(reads: list[bytes]) -> list[Event]:
    events = decode_stream(reads)
    assert_grammatical(events)
    return events


def answer(reads: list[bytes]) -> Response:
    return fold(events_of(reads))


def blocks(*reads: bytes) -> tuple[Block, ...]:
    """Of a stream that begins and ends in the ordinary way."""
    return answer([ROLE, *reads, *END]).blocks


def anomalies(reads: list[bytes]) -> int:
    decoder = OpenAIChatStreamDecoder(issuer="openai")
    for read in reads:
        decoder.feed(read)
    decoder.close()
    return decoder.anomalies


def test_an_ordinary_stream_event_by_event() -> None:
    assert events_of(ANSWERS["openai"]) == [
        ResponseStarted("chatcmpl-1", "m-1"),
        BlockStarted(0, BlockKind.TEXT),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        UsageReported(USAGE),
        BlockFinished(0),
        ResponseFinished(FinishReason.STOP, "stop"),
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_grammatical_and_without_anomalies(name: str) -> None:
    events_of(ANSWERS[name])
    assert anomalies(ANSWERS[name]) == 0


F_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
G_CALL = {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}
NO_ARGUMENTS = {**F_CALL, "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("name", "message", "finish", "usage"),
    [
        ("openai", said("Hello"), "stop", CHAT_USAGE),
        ("deepseek thinks first", said("Hello", reasoning_content="hm"), "stop", CHAT_USAGE),
        ("calls interleaved", said(None, tool_calls=[F_CALL, G_CALL]), "tool_calls", CHAT_USAGE),
        ("text then a call", said("Hello", tool_calls=[NO_ARGUMENTS]), "tool_calls", CHAT_USAGE),
        ("refusal", said(None, refusal="I will not."), "stop", CHAT_USAGE),
        ("usage with the finish (GLM)", said("Hello"), "stop", CHAT_USAGE),
        ("no usage", said("Hello"), "stop", None),
        ("empty", said(""), "stop", CHAT_USAGE),
    ],
)
def test_a_stream_and_a_single_answer_say_the_same(name: str, message: Any, finish: str, usage: Any) -> None:
    assert answer(ANSWERS[name]) == decode_response(wire(message, finish, usage=usage), "openai")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_any_split_of_the_bytes_gives_the_same_events(name: str, data: st.DataObject) -> None:
    whole = b": comment\r\n\r\n" + b"".join(ANSWERS[name])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=30)))
    reads = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert decode_stream(reads) == decode_stream(ANSWERS[name])


@pytest.mark.parametrize("name", ANSWERS)
def test_one_byte_at_a_time(name: str) -> None:
    whole = b"".join(ANSWERS[name])
    assert decode_stream([whole[i : i + 1] for i in range(len(whole))]) == decode_stream(ANSWERS[name])


@pytest.mark.parametrize("name", ANSWERS)
def test_a_cut_stream_fails_unless_it_had_finished(name: str) -> None:
    frames = ANSWERS[name]
    finish_at = next(at for at, frame in enumerate(frames) if b'"finish_reason":null' not in frame)
    for kept in range(len(frames)):
        events = events_of(frames[:kept])
        if kept <= finish_at:
            assert events[-1] == StreamFailed(None)
        else:
            assert isinstance(events[-1], ResponseFinished)


def test_a_stream_cut_inside_a_frame_fails() -> None:
    assert events_of([ROLE, TEXT[0], TEXT[1][:-20]])[-1] == StreamFailed(None)


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends(end: bytes) -> None:
    reads = [frame.replace(b"\n", end) for frame in ANSWERS["openai"]]
    assert decode_stream(reads) == decode_stream(ANSWERS["openai"])


def test_odd_framing() -> None:
    """A BOM, comments, ids, retries, no space after the colon, no blank line at the end, no `[DONE]`."""
    reads = [b"\xef\xbb\xbf: hello\n\n", b"id: 7\nretry: 10\n" + ROLE, TEXT[0].replace(b"data: ", b"data:")]
    reads += [TEXT[1], STOP, b": before usage\n\n", usage_chunk()[:-2]]
    assert answer(reads) == answer(ANSWERS["openai"])


def test_data_over_several_lines() -> None:
    spread = b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"x"}}]}\n\n'
    assert blocks(spread) == (Text("x"),)


def test_separators_that_are_no_line_ends_stay_in_the_text() -> None:
    text = "a\u2028b\u0085c\x0bd"
    raw = 'data: {"choices":[{"index":0,"delta":{"content":"a\u2028b\u0085c\\u000bd"}}]}\n\n'.encode()
    assert blocks(raw) == (Text(text),)


def test_one_large_delta_and_many_small_ones() -> None:
    assert blocks(chunk({"content": "x" * 300_000})) == (Text("x" * 300_000),)
    assert blocks(b"".join(chunk({"content": "y"}) for _ in range(1500))) == (Text("y" * 1500),)


def test_a_frame_without_an_end_is_an_error() -> None:
    decoder = OpenAIChatStreamDecoder(issuer="openai", frame_bytes_max=100)
    with pytest.raises(UpstreamProtocolError):
        decoder.feed(b"data: " + b"x" * 200)


def test_text_reasoning_and_a_call_in_one_chunk() -> None:
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{}"}}
    everything = chunk({"content": "a", "reasoning_content": "b", "tool_calls": [call]})
    assert blocks(everything) == (Reasoning("b"), Text("a"), ToolCall("call_1", "f", "{}"))


def test_a_whole_call_with_its_finish_and_usage_in_one_chunk() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    response = answer([chunk({"role": "assistant", "tool_calls": [call]}, "tool_calls", usage=CHAT_USAGE)])
    assert response.blocks == (ToolCall("call_1", "f", "{}"),)
    assert (response.finish, response.usage) == (FinishReason.TOOL_CALLS, USAGE)


@pytest.mark.parametrize("later_id", ["call_1", "", None, "chatcmpl-tool-77"])
@pytest.mark.parametrize("later_name", ["", None])
def test_later_pieces_with_odd_ids_and_names_belong_to_their_call(later_id: Any, later_name: Any) -> None:
    later = sse(
        {
            "choices": [
                {
                    "delta": {
                        "tool_calls": [
                            {"index": 0, "id": later_id, "function": {"name": later_name, "arguments": ":1}"}}
                        ]
                    }
                }
            ]
        }
    )
    assert blocks(piece(0, "call_1", "f", '{"a"'), later) == (ToolCall("call_1", "f", '{"a":1}'),)


def test_a_name_that_is_repeated_begins_no_other_call() -> None:
    assert blocks(piece(0, "call_1", "f", "{"), piece(0, "call_1", "f", "}")) == (ToolCall("call_1", "f", "{}"),)


def test_several_calls_under_one_index_are_several() -> None:
    assert blocks(piece(0, "call_1", "f", "{}"), piece(0, "call_2", "f", "{}")) == (
        ToolCall("call_1", "f", "{}"),
        ToolCall("call_2", "f", "{}"),
    )


def test_calls_without_an_index() -> None:
    assert blocks(piece(None, "a", "f", "{"), piece(None, arguments="}"), piece(None, None, "g", "{}")) == (
        ToolCall("a", "f", "{}"),
        ToolCall("chatcmpl-1-1", "g", "{}"),
    )


def test_calls_without_ids_and_with_the_same_one_get_their_own() -> None:
    got = blocks(piece(0, "", "f", "{}"), piece(1, None, "f", "{}"), piece(2, "x", "f"), piece(3, "x", "f"))
    assert [block.call_id for block in got if isinstance(block, ToolCall)] == [
        "chatcmpl-1-0", "chatcmpl-1-1", "x", "x-3",
    ]  # fmt: skip


def test_a_name_that_comes_late_waits_for_its_arguments() -> None:
    got = blocks(piece(0, arguments='{"a"'), piece(0, "call_1", arguments=":"), piece(0, None, "f", "1}"))
    assert got == (ToolCall("call_1", "f", '{"a":1}'),)


def test_a_call_that_never_has_a_name_is_an_anomaly() -> None:
    reads = [ROLE, piece(0, "call_1", arguments="{}"), *END]
    assert answer(reads).finish is FinishReason.STOP
    assert anomalies(reads) == 1


def test_no_arguments_and_arguments_as_an_object() -> None:
    assert blocks(piece(0, "call_1", "f"), piece(1, "call_2", "g", {"a": 1})) == (
        ToolCall("call_1", "f", ""),
        ToolCall("call_2", "g", '{"a":1}'),
    )


def test_googles_signature_is_the_calls_seal() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    got = blocks(piece(0, "call_1", "f", "{}", extra_content=extra))
    assert got == (ToolCall("call_1", "f", "{}", seal=Seal("google", "c2ln")),)


def test_custom_and_legacy_calls() -> None:
    custom = chunk(
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "c", "input": "l"}}]}
    )
    more = chunk({"tool_calls": [{"index": 0, "custom": {"input": "s"}}]})
    assert blocks(custom, more) == (ToolCall("call_1", "c", "ls", ToolKind.CUSTOM),)
    legacy = [chunk({"function_call": {"name": "f", "arguments": "{"}}), chunk({"function_call": {"arguments": "}"}})]
    assert blocks(*legacy) == (ToolCall("chatcmpl-1-0", "f", "{}"),)


def test_a_call_ends_the_text_before_it_and_text_after_it_is_another_block() -> None:
    got = blocks(
        chunk({"content": "a"}), piece(0, "call_1", "f", "{"), chunk({"content": "b"}), piece(0, arguments="}")
    )
    assert got == (Text("a"), ToolCall("call_1", "f", "{}"), Text("b"))


def test_thinking_under_its_other_name_and_not_twice() -> None:
    assert blocks(chunk({"reasoning": "a"}), chunk({"reasoning": "b", "reasoning_content": "b"})) == (Reasoning("ab"),)


def test_think_tags_are_text() -> None:
    assert blocks(chunk({"content": "<think>"}), chunk({"content": "a</think>b"})) == (Text("<think>a</think>b"),)


def test_empty_and_null_deltas_open_nothing() -> None:
    nothing: dict[str, Any] = {
        "content": "",
        "reasoning_content": "",
        "reasoning": None,
        "refusal": None,
        "tool_calls": [],
        "x": 1,
    }
    assert blocks(chunk(nothing), sse({"choices": [{"index": 0, "delta": None}]}), sse({"choices": None})) == ()


def test_content_as_parts() -> None:
    assert blocks(chunk({"content": [{"type": "text", "text": "a"}]})) == (Text("a"),)


def test_citations_belong_to_the_text() -> None:
    annotation = {"type": "url_citation", "url_citation": {"url": "https://x", "title": "t"}}
    (text,) = blocks(chunk({"content": "a"}), chunk({"annotations": [annotation]}))
    assert isinstance(text, Text)
    assert [(citation.url, citation.title) for citation in text.citations] == [("https://x", "t")]
    (alone,) = blocks(chunk({"annotations": [annotation]}))
    assert isinstance(alone, Text)
    assert isinstance(alone.citations[0], Citation)


def finished(*reads: bytes) -> FinishReason:
    return answer([ROLE, *reads, DONE]).finish


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.FILTERED),
        ("sensitive", FinishReason.FILTERED),
        ("model_context_window_exceeded", FinishReason.CONTEXT),
        ("tool_calls", FinishReason.STOP),
    ],
)
def test_finish_reasons(raw: str, reason: FinishReason) -> None:
    assert finished(chunk(finish=raw)) is reason


def test_stop_after_calls_means_tool_calls() -> None:
    assert finished(piece(0, "call_1", "f", "{}"), STOP) is FinishReason.TOOL_CALLS


def test_stop_after_a_refusal_is_a_refusal() -> None:
    response = answer(ANSWERS["refusal"])
    assert (response.finish, response.blocks) == (FinishReason.REFUSAL, (Refusal("I will not."),))


@pytest.mark.parametrize("raw", ["network_error", "insufficient_system_resource"])
def test_an_answer_the_provider_gave_up_on_is_no_clean_end(raw: str) -> None:
    events = events_of([ROLE, *TEXT, chunk(finish=raw, usage=CHAT_USAGE), DONE])
    assert isinstance(events[-1], StreamFailed)
    assert events[-1].error is not None
    assert events[-1].error.said.code == raw
    assert UsageReported(USAGE) in events


def test_done_without_a_finish_reason_ends_the_answer() -> None:
    reads = [ROLE, *TEXT, DONE]
    response = answer(reads)
    assert (response.finish, response.raw_finish, response.blocks) == (FinishReason.STOP, "", (Text("Hello"),))
    assert anomalies(reads) == 1


def test_done_alone_is_no_answer() -> None:
    assert events_of([DONE]) == [StreamFailed(None)]
    assert events_of([]) == [StreamFailed(None)]


def test_an_empty_finish_reason_is_none() -> None:
    reads = [chunk({"content": "a"}, ""), chunk({"content": "b"}, ""), STOP, DONE]
    assert answer(reads).blocks == (Text("ab"),)


def test_text_after_the_finish_still_counts_and_what_follows_done_does_not() -> None:
    response = answer([ROLE, chunk({"content": "a"}), STOP, chunk({"content": "b"}), DONE, chunk({"content": "c"})])
    assert response.blocks == (Text("ab"),)


def test_the_whole_message_at_the_end_is_not_said_twice() -> None:
    whole = sse(
        {"object": "chat.completion", "choices": [{"index": 0, "message": said("Hello"), "finish_reason": "stop"}]}
    )
    assert answer([ROLE, *TEXT, whole, DONE]).blocks == (Text("Hello"),)


def inside(usage: dict[str, Any]) -> bytes:
    return sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]})


@pytest.mark.parametrize(
    "reads",
    [
        [*TEXT, STOP, usage_chunk()],
        [*TEXT, usage_chunk(), STOP],
        [*TEXT, chunk(finish="stop", usage=CHAT_USAGE)],
        [*TEXT, inside(CHAT_USAGE)],
        [
            chunk({"content": "Hello"}, usage={**CHAT_USAGE, "completion_tokens": 1}),
            chunk(finish="stop", usage=CHAT_USAGE),
        ],
        [*TEXT, STOP, usage_chunk(), usage_chunk()],
    ],
    ids=["after the finish", "before it", "with it", "inside the choice", "in every chunk", "twice"],
)
def test_usage_wherever_it_is(reads: list[bytes]) -> None:
    response = answer([ROLE, *reads, DONE])
    assert (response.usage, response.blocks) == (USAGE, (Text("Hello"),))


@pytest.mark.parametrize("members", [{"prompt_cache_hit_tokens": 4}, {"cached_tokens": 4}])
def test_cache_hits_in_the_relatives_places(members: dict[str, Any]) -> None:
    usage = usage_chunk({**CHAT_USAGE, **members})
    assert answer([ROLE, *TEXT, STOP, usage, DONE]).usage == TokenUsage(input=8, cache_read=4, output=5)


def test_the_service_tier_comes_with_usage() -> None:
    reads = [chunk({"content": "a"}, service_tier="flex"), STOP, usage_chunk(), DONE]
    assert answer(reads).service_tier == "flex"


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "boom", "type": "server_error"}},
        {"error": "boom"},
        {"code": "InternalError", "message": "boom", "request_id": "r"},
        {"base_resp": {"status_code": 1000, "status_msg": "boom"}, "choices": None},
    ],
)
@pytest.mark.parametrize("before", [[], [ROLE, *TEXT]])
def test_an_error_ends_the_stream_in_the_providers_words(error: dict[str, Any], before: list[bytes]) -> None:
    events = events_of([*before, sse(error), STOP, DONE])
    assert isinstance(events[-1], StreamFailed)
    assert events[-1].error is not None
    assert events[-1].error.said.message == "boom"


def test_an_error_after_the_finish_changes_nothing() -> None:
    assert answer([ROLE, *TEXT, STOP, sse({"error": {"message": "boom"}}), DONE]).blocks == (Text("Hello"),)


def test_an_ordinary_base_resp_is_no_error() -> None:
    assert answer([chunk({"content": "a"}, base_resp={"status_code": 0, "status_msg": ""}), *END]).blocks == (
        Text("a"),
    )


def test_other_choices_and_nonsense_are_anomalies() -> None:
    reads = [
        ROLE,
        chunk({"content": "x"}, index=1),
        b"data: {oops\n\n",
        b"data: 7\n\n",
        sse({"choices": "x"}),
        *TEXT,
        *END,
    ]
    assert answer(reads).blocks == (Text("Hello"),)
    assert anomalies(reads) == 4


def test_unknown_events_and_pings_are_ignored() -> None:
    reads = [b"event: ping\ndata: {}\n\n", ROLE, *TEXT, sse({"type": "ping"}), *END]
    assert answer(reads) == answer(ANSWERS["openai"])


def test_all_in_one_read() -> None:
    assert decode_stream([b"".join(INTERLEAVED)]) == decode_stream(INTERLEAVED)


def test_a_call_closes_only_at_the_end() -> None:
    events = events_of([ROLE, piece(0, "call_1", "f", "{}"), piece(1, "call_2", "g", "{}"), CALLS_FINISH, DONE])
    assert events[-3:-1] == [BlockFinished(0), BlockFinished(1)]
