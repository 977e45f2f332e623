"""Responses streams of OpenAI and its relatives, in the canonical model."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Opaque, Reasoning, Refusal, Seal, Text, ToolCall, ToolKind
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    Event,
    FinishReason,
    OpaqueEvent,
    ReasoningDelta,
    ResponseFinished,
    ResponseStarted,
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.canonical.response import Response, fold
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.response_decoder import decode_response
from lumen.protocols.openai_responses.stream_decoder import ResponsesStreamDecoder
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.frames import DONE, event, responses_stream
from tests.unit.protocols.grammar import assert_grammatical
from tests.unit.protocols.openai_responses.lifecycle import assert_lifecycle
from tests.unit.protocols.openai_responses.samples import (
    CALL,
    CREATED,
    CUSTOM_CALL,
    FULL,
    MESSAGE,
    REASONING,
    REFUSAL,
    SEARCH_CALL,
    decode,
    encode,
    item_frames,
    response,
    stream,
    terminal,
)


def checked(reads: list[bytes]) -> list[Event]:
    events = decode(reads)
    assert_grammatical(events)
    return events


def folded(reads: list[bytes]) -> Response:
    return fold(checked(reads))


def failure(events: list[Event]) -> StreamFailed:
    failed = events[-1]
    assert isinstance(failed, StreamFailed)
    return failed


def anomalies(reads: list[bytes]) -> int:
    decoder = ResponsesStreamDecoder(issuer="openai")
    for read in reads:
        decoder.feed(read)
    decoder.close()
    return decoder.anomalies


def unary(*output: dict[str, Any], **members: Any) -> Response:
    return decode_response(msgspec.json.encode(response(*output, **members)), "openai")


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def delta(text: str, **members: Any) -> bytes:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return event("response.output_text.delta", **{**place, "delta": text, **members})


@pytest.mark.parametrize(
    "output",
    [FULL, (), (MESSAGE,), (REASONING, CALL), (REFUSAL,), (CUSTOM_CALL, CALL), (MESSAGE, REASONING, MESSAGE)],
    ids=["full", "empty", "text", "call", "refusal", "calls", "several messages"],
)
def test_a_stream_folds_into_the_single_answer(output: tuple[dict[str, Any], ...]) -> None:
    assert folded(stream(*output)) == unary(*output)


def test_a_full_answer() -> None:
    assert folded(stream(*FULL)) == Response(
        "resp_1",
        "gpt-x-2026",
        (
            Reasoning("First.\n\nThen.", Seal("openai", "gAAAA==")),
            Opaque(Dialect.OPENAI_RESPONSES, "web_search_call", SEARCH_CALL),
            Text("Hello", folded(stream(MESSAGE)).blocks[0].citations),  # type: ignore[union-attr]
            Refusal("I will not."),
            ToolCall("call_1", "look", '{"at":"sky"}'),
            ToolCall("call_2", "apply_patch", "*** Begin", ToolKind.CUSTOM),
        ),
        FinishReason.TOOL_CALLS,
        "completed",
        usage=TokenUsage(input=5, cache_read=4, cache_write_5m=3, output=5, reasoning=2),
        service_tier="default",
    )


def test_text_comes_with_the_read_that_brought_it() -> None:
    decoder = ResponsesStreamDecoder(issuer="openai")
    assert decoder.feed(CREATED) == [ResponseStarted("resp_1", "gpt-x-2026")]
    assert decoder.feed(delta("Hel")) == [BlockStarted(0, BlockKind.TEXT), TextDelta(0, "Hel")]
    assert decoder.feed(delta("lo")) == [TextDelta(0, "lo")]


def test_reasoning_parts_are_joined_by_blank_lines() -> None:
    texts = [event.text for event in checked(stream(REASONING)) if isinstance(event, ReasoningDelta)]
    assert texts == ["Fir", "st.", "\n\nTh", "en."]


def test_the_seal_is_the_finished_items() -> None:
    early = {**REASONING, "summary": [], "encrypted_content": "part"}
    added = event("response.output_item.added", output_index=0, item=early)
    done = event("response.output_item.done", output_index=0, item=REASONING)
    (block,) = folded([CREATED, added, done, terminal(REASONING)]).blocks
    assert block == Reasoning("First.\n\nThen.", Seal("openai", "gAAAA=="))


def test_reasoning_that_says_nothing_is_no_block() -> None:
    empty = {"id": "rs_1", "type": "reasoning", "summary": []}
    assert [type(block) for block in folded(stream(empty, MESSAGE)).blocks] == [Text]
    assert [type(block) for block in unary(empty, MESSAGE).blocks] == [Text]


def test_reasoning_text_of_open_models() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hmm"}]}
    place = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    part = {"type": "reasoning_text", "text": "hmm"}
    frames = [
        CREATED,
        event("response.output_item.added", output_index=0, item={**item, "content": []}),
        event("response.content_part.added", **place, part={**part, "text": ""}),
        event("response.reasoning_text.delta", **place, delta="hmm"),
        event("response.content_part.done", **place, part=part),
        event("response.output_item.done", output_index=0, item=item),
        terminal(item),
    ]
    assert folded(frames) == unary(item)
    assert folded(frames).blocks == (Reasoning("hmm"),)
    assert anomalies(frames) == 0


def test_items_side_by_side_are_told_apart() -> None:
    first, second = item_frames(0, CALL), item_frames(1, {**CALL, "call_id": "call_9", "arguments": '{"at":"sea"}'})
    mixed = [frame for pair in zip(first, second, strict=True) for frame in pair]
    events = checked([CREATED, *mixed, terminal()])
    assert [block.arguments for block in fold(events).blocks if isinstance(block, ToolCall)] == [
        '{"at":"sky"}',
        '{"at":"sea"}',
    ]


def test_a_call_is_known_before_its_arguments() -> None:
    added, first, *_ = item_frames(0, CALL)
    decoder = ResponsesStreamDecoder(issuer="openai")
    decoder.feed(CREATED)
    assert decoder.feed(added) == [BlockStarted(0, BlockKind.TOOL_CALL, "call_1", "look")]
    assert decoder.feed(first) == [ArgumentsDelta(0, '{"at":')]


def test_a_namespace_is_part_of_the_call() -> None:
    (call,) = folded(stream({**CALL, "namespace": "files"})).blocks
    assert isinstance(call, ToolCall)
    assert call.namespace == "files"


def test_a_second_done_changes_nothing() -> None:
    frames = item_frames(0, CALL)
    assert folded([CREATED, *frames, frames[-1], frames[-1], terminal(CALL)]) == folded(stream(CALL))


def test_a_second_or_late_created_changes_nothing() -> None:
    frames = stream(MESSAGE)
    assert folded([CREATED, *frames]) == folded(frames)
    late = checked([*frames[1:3], CREATED, *frames[3:]])
    assert sum(isinstance(event, ResponseStarted) for event in late) == 1


# --- relatives


def test_item_ids_that_change_with_every_event() -> None:
    frames = []
    for i, frame in enumerate(stream(REASONING, MESSAGE, CALL)):
        for name in (b"rs_1", b"msg_1", b"fc_1"):
            frame = frame.replace(name, b"x%d" % i)
        frames.append(frame)
    assert folded(frames) == folded(stream(REASONING, MESSAGE, CALL))


def test_no_output_index() -> None:
    frames = [frame.replace(b'"output_index":', b'"was_index":') for frame in stream(REASONING, MESSAGE, CALL)]
    assert folded(frames) == folded(stream(REASONING, MESSAGE, CALL))


def test_no_item_added() -> None:
    frames = [frame for frame in stream(REASONING, MESSAGE, CALL) if b"output_item.added" not in frame]
    assert folded(frames) == folded(stream(REASONING, MESSAGE, CALL))


def test_only_finished_items() -> None:
    frames = [frame for frame in stream(*FULL) if b"output_item.done" in frame or b"completed\n" in frame]
    got = folded(frames)
    assert got.blocks == folded(stream(*FULL)).blocks
    assert got.response_id is None


def test_no_finished_items() -> None:
    frames = [frame for frame in stream(*FULL) if b".done" not in frame.split(b"\n")[0]]
    assert sorted(map(repr, folded(frames).blocks)) == sorted(map(repr, folded(stream(*FULL)).blocks))


def test_only_the_terminal_response() -> None:
    assert folded([terminal(*FULL)]) == unary(*FULL)


def test_deltas_and_an_empty_terminal_output() -> None:
    frames = [CREATED, *item_frames(0, MESSAGE), terminal()]
    assert folded(frames).blocks == folded(stream(MESSAGE)).blocks


def test_the_simplest_relative() -> None:
    got = folded(responses_stream())
    assert (got.blocks, got.finish) == ((Text("Hello"),), FinishReason.STOP)


def test_no_event_lines_no_sequence_numbers_and_crlf() -> None:
    frames = [frame.split(b"\n", 1)[1].replace(b"\n", b"\r\n") for frame in stream(*FULL)]
    assert folded(frames) == folded(stream(*FULL))


def test_done_text_that_contradicts_the_deltas_is_an_anomaly_and_not_repeated() -> None:
    other = {**MESSAGE, "content": [{"type": "output_text", "text": "Help me!", "annotations": []}]}
    frames = [CREATED, delta("Hello"), event("response.output_item.done", output_index=0, item=other), terminal(other)]
    assert text_of(checked(frames)) == "Hello"
    assert anomalies(frames) == 1


def test_deltas_after_done_are_an_anomaly() -> None:
    frames = [CREATED, *item_frames(0, MESSAGE), delta("more"), terminal(MESSAGE)]
    assert text_of(checked(frames)) == "Hello"
    assert anomalies(frames) == 1


def test_arguments_as_an_object() -> None:
    item = {**CALL, "arguments": {"at": "sky"}}
    (call,) = folded([CREATED, event("response.output_item.done", output_index=0, item=item), terminal()]).blocks
    assert call == ToolCall("call_1", "look", '{"at":"sky"}')


def test_local_shell_calls() -> None:
    action = {"type": "exec", "command": ["ls"], "env": {}}
    item = {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_1", "action": action, "status": "completed"}
    frames = [CREATED, event("response.output_item.done", output_index=0, item=item), terminal(item)]
    assert folded(frames) == unary(item)
    assert folded(frames).blocks == (
        ToolCall("call_1", "local_shell", '{"type":"exec","command":["ls"],"env":{}}', ToolKind.LOCAL_SHELL),
    )


# --- the end


@pytest.mark.parametrize(
    ("members", "finish", "raw"),
    [
        ({}, FinishReason.STOP, "completed"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            FinishReason.LENGTH,
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            FinishReason.FILTERED,
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": None}, FinishReason.LENGTH, "incomplete"),
    ],
)
def test_why_it_ended(members: dict[str, Any], finish: FinishReason, raw: str) -> None:
    got = folded(stream(MESSAGE, **members))
    assert (got.finish, got.raw_finish) == (finish, raw)
    assert got == unary(MESSAGE, **members)


def test_a_refusal_is_why_it_ended() -> None:
    assert folded(stream(REFUSAL)).finish is FinishReason.REFUSAL


@pytest.mark.parametrize("kept", range(len(stream(*FULL))))
def test_a_stream_cut_after_any_frame_has_failed(kept: int) -> None:
    events = decode(stream(*FULL)[:kept])
    assert_grammatical(events)
    assert events[-1] == StreamFailed(None)


def test_a_closed_stream_has_no_more_to_say() -> None:
    decoder = ResponsesStreamDecoder(issuer="openai")
    assert decoder.close() == [StreamFailed()]
    assert decoder.feed(CREATED) == decoder.close() == []


def test_done_alone_is_no_end() -> None:
    assert failure(checked([*stream(MESSAGE)[:-1], DONE])).error is None


def test_done_after_the_end_says_nothing() -> None:
    assert folded([*stream(MESSAGE), DONE]) == folded(stream(MESSAGE))


def test_a_last_frame_without_its_blank_line_counts() -> None:
    *frames, last = stream(MESSAGE)
    assert folded([*frames, last.rstrip(b"\n")]) == folded(stream(MESSAGE))


def test_a_last_frame_cut_in_the_middle_does_not() -> None:
    *frames, last = stream(MESSAGE)
    assert failure(checked([*frames, last[:-20]])).error is None


def test_nothing_counts_after_the_end() -> None:
    error = event("error", code="server_error", message="late")
    assert isinstance(checked([*stream(MESSAGE), error, delta("x")])[-1], ResponseFinished)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_an_error_event_after_some_text_keeps_its_words(count: int) -> None:
    error = event("error", code="rate_limit_exceeded", message="Slow down.", param=None, sequence_number=9)
    failed = failure(checked([*stream(MESSAGE)[:count], error, terminal(MESSAGE)]))
    assert failed.error is not None
    assert (failed.error.said.code, failed.error.said.message) == ("rate_limit_exceeded", "Slow down.")


def test_a_failed_response_reports_its_usage_and_its_words() -> None:
    failed = event(
        "response.failed",
        response=response(status="failed", error={"code": "server_error", "message": "Oh no."}),
    )
    events = checked([CREATED, delta("a"), failed])
    assert isinstance(events[-2], UsageReported)
    said = failure(events).error
    assert said is not None
    assert said.said.message == "Oh no."


def test_a_completed_event_of_a_failed_response_is_a_failure() -> None:
    error = {"code": "server_error", "message": "Oh no."}
    failed = failure(checked([CREATED, event("response.completed", response=response(status="failed", error=error))]))
    assert failed.error is not None
    assert failed.error.said.message == "Oh no."


def test_a_first_event_that_is_a_plain_error() -> None:
    failed = failure(checked([b'data: {"error":{"message":"Overloaded.","code":529}}\n\n']))
    assert failed.error is not None
    assert (failed.error.said.message, failed.error.said.code) == ("Overloaded.", "529")


@pytest.mark.parametrize(
    "frame",
    [
        b"data: not json\n\n",
        b'data: ["x"]\n\n',
        b'data: {"type":"response.output_text.delta","delta":{"text":"x"}}\n\n',
        b'data: {"type":"response.output_item.done","item":null}\n\n',
        b'data: {"type":"response.output_text.delta","delta":"\xff"}\n\n',
        b'data: {"x":' + b"[" * 100_000 + b"\n\n",
    ],
)
def test_a_frame_nothing_can_be_made_of_is_an_anomaly(frame: bytes) -> None:
    frames = stream(MESSAGE)
    reads = [*frames[:4], frame, *frames[4:]]
    assert folded(reads).blocks == folded(frames).blocks
    assert anomalies(reads) == 1


@pytest.mark.parametrize(
    "frame",
    [
        b": keep-alive\n\n",
        event("ping"),
        event("keepalive", sequence_number=3),
        event("response.newer_thing", delta="x", output_index=9),
        b"id: 7\nretry: 10\n\n",
        b"event: response.output_text.delta\n\n",
    ],
)
def test_comments_pings_and_unknown_events_say_nothing(frame: bytes) -> None:
    reads = [part for each in stream(*FULL) for part in (frame, each)]
    assert folded(reads) == folded(stream(*FULL))
    assert anomalies(reads) == 0


def test_usage_null_is_not_reported() -> None:
    assert folded(stream(MESSAGE, usage=None)).usage is None


def test_line_separators_inside_a_text_are_text() -> None:
    odd = "a\u2028b\u0085c\x0bd"
    frame = (
        b'data: {"type":"response.output_text.delta","delta":"' + odd.replace("\x0b", "\\u000b").encode() + b'"}\n\n'
    )
    assert text_of(checked([CREATED, frame, terminal()])) == odd


def test_a_very_long_delta_and_very_many() -> None:
    frames = [CREATED, delta("x" * 300_000), *[delta("y")] * 1500, terminal()]
    assert text_of(checked([b"".join(frames)])) == "x" * 300_000 + "y" * 1500


def test_a_frame_beyond_the_limit_is_a_protocol_error() -> None:
    with pytest.raises(UpstreamProtocolError):
        decode([delta("x" * 1000)[:-2]], frame_bytes_max=500)


WHOLE = b"\xef\xbb\xbf" + b"".join(
    stream(*FULL, {**MESSAGE, "content": [{"type": "output_text", "text": "größer 🙂"}]})
)
EXPECTED = decode([WHOLE])


@given(st.lists(st.integers(0, len(WHOLE)), max_size=30))
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    places = sorted({0, len(WHOLE), *cuts})
    assert decode([WHOLE[a:b] for a, b in pairwise(places)]) == EXPECTED


@given(st.lists(st.sampled_from(stream(*FULL)), max_size=40))
def test_frames_in_any_order_lost_or_repeated_make_a_grammatical_stream(frames: list[bytes]) -> None:
    events = checked(frames)
    if isinstance(events[-1], ResponseFinished):
        assert_lifecycle(encode(events))


def test_byte_by_byte() -> None:
    assert decode([WHOLE[i : i + 1] for i in range(len(WHOLE))]) == EXPECTED
    assert isinstance(EXPECTED[-1], ResponseFinished)
    assert any(isinstance(event, OpaqueEvent) for event in EXPECTED)
    assert sum(isinstance(event, BlockFinished) for event in EXPECTED) == sum(
        isinstance(event, BlockStarted) for event in EXPECTED
    )
