"""Gemini streams: blocks, signatures, ends, and bytes however they come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Opaque, Reasoning, Seal, Text, ToolCall
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    FinishReason,
    ReasoningDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.canonical.response import Response, fold
from lumen.protocols.dialects import Dialect
from lumen.protocols.gemini_generate.response_decoder import decode_response
from lumen.protocols.gemini_generate.stream_decoder import GeminiStreamDecoder
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.gemini_generate.chunks import (
    RICH,
    RICH_WHOLE,
    call,
    chunk,
    decode,
    decode_counting,
    frame,
    frames,
    text,
    thought,
)

STREAM = b"".join(frames(RICH))
EVENTS = decode(frames(RICH))


def answer(*chunks: dict[str, Any]) -> Response:
    return fold(decode(frames(chunks)))


def test_the_events_of_a_rich_answer() -> None:
    usage = TokenUsage(input=12, output=5, reasoning=2)
    assert decode(frames(RICH)) == [
        ResponseStarted("r1", "gemini-3-pro", TokenUsage(input=12)),
        BlockStarted(0, BlockKind.REASONING),
        ReasoningDelta(0, "Let me "),
        ReasoningDelta(0, "see."),
        BlockFinished(0),
        BlockStarted(1, BlockKind.TEXT),
        TextDelta(1, "It is "),
        TextDelta(1, "sünny\u2028."),
        SignatureDelta(1, Seal("google", "c2ln")),
        BlockFinished(1),
        BlockStarted(2, BlockKind.TOOL_CALL, call_id="lumen-r1-0", name="get_weather", seal=Seal("google", "Y2FsbA==")),
        ArgumentsDelta(2, '{"city":"Köln"}'),
        BlockFinished(2),
        BlockStarted(3, BlockKind.TOOL_CALL, call_id="lumen-r1-1", name="get_time"),
        ArgumentsDelta(3, "{}"),
        BlockFinished(3),
        UsageReported(usage),
        ResponseFinished(FinishReason.TOOL_CALLS, "STOP"),
    ]


def test_a_stream_folds_into_the_single_answer() -> None:
    assert fold(EVENTS) == decode_response(json.dumps(RICH_WHOLE).encode(), "google")


@given(data=st.data(), line_end=st.sampled_from(["\r\n", "\n", "\r"]))
@settings(max_examples=150, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_events(data: st.DataObject, line_end: str) -> None:
    stream = b": comment" + 2 * line_end.encode() + b"".join(frame(payload, line_end) for payload in RICH)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=30)))
    reads = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode_counting(reads) == (EVENTS, 0)


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param([STREAM], id="one write"),
        pytest.param([bytes([byte]) for byte in STREAM], id="byte by byte"),
        pytest.param([STREAM[:-2]], id="the last blank line is missing"),
        pytest.param([b"\xef\xbb\xbf" + STREAM], id="a byte order mark"),
        pytest.param([STREAM.replace(b"data: ", b"data:")], id="no space after data:"),
        pytest.param([STREAM.replace(b"data: ", b"id: 7\r\nretry: 5\r\ndata: ")], id="id and retry lines"),
        pytest.param([STREAM + b"data: [DONE]\r\n\r\n"], id="a relative's [DONE]"),
        pytest.param([STREAM.replace(b'"candidates"', b'\r\ndata: "candidates"')], id="data in several lines"),
    ],
)
def test_odd_frames_say_the_same(reads: list[bytes]) -> None:
    assert decode_counting(reads) == (EVENTS, 0)


@pytest.mark.parametrize("count", range(len(RICH)))
def test_a_stream_cut_before_its_finish_reason_has_failed(count: int) -> None:
    assert decode(frames(RICH[:count]))[-1] == StreamFailed()


def test_a_stream_cut_inside_its_last_frame_has_failed() -> None:
    assert decode([STREAM[:-40]])[-1] == StreamFailed()


def test_usage_of_a_cut_stream_is_reported() -> None:
    events = decode(frames(RICH[:3]))
    assert UsageReported(TokenUsage(input=12, output=5, reasoning=2)) in events


def test_the_end_is_not_known_before_the_stream_is_closed() -> None:
    decoder = GeminiStreamDecoder(issuer="google")
    events = decoder.feed(STREAM)
    assert not any(isinstance(event, ResponseFinished | UsageReported) for event in events)
    assert isinstance(decoder.close()[-1], ResponseFinished)


def test_the_last_usage_wins() -> None:
    first, last = chunk(text("a")), chunk(finish="STOP")
    last["usageMetadata"] = {"promptTokenCount": 12, "candidatesTokenCount": 9, "totalTokenCount": 21}
    assert answer(first, last).usage == TokenUsage(input=12, output=9)


def test_usage_may_follow_the_finish_in_a_chunk_without_candidates() -> None:
    end = chunk(text("a"), finish="STOP")
    del end["usageMetadata"]
    response = answer(end, {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}})
    assert response.usage == TokenUsage(input=1, output=0)
    assert response.finish is FinishReason.STOP


def test_a_whole_answer_in_one_chunk() -> None:
    assert answer(RICH_WHOLE) == fold(EVENTS)


@pytest.mark.parametrize(
    ("raw", "finish"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.FILTERED),
        ("RECITATION", FinishReason.FILTERED),
        ("LANGUAGE", FinishReason.FILTERED),
        ("OTHER", FinishReason.FILTERED),
        ("BLOCKLIST", FinishReason.FILTERED),
        ("PROHIBITED_CONTENT", FinishReason.FILTERED),
        ("SPII", FinishReason.FILTERED),
        ("IMAGE_SAFETY", FinishReason.FILTERED),
    ],
)
@pytest.mark.parametrize("parts", [[], [text("Once")]])
def test_finish_reasons(raw: str, finish: FinishReason, parts: list[dict[str, Any]]) -> None:
    response = answer(chunk(*parts, finish=raw))
    assert (response.finish, response.raw_finish) == (finish, raw)
    assert response.blocks == ((Text("Once"),) if parts else ())


def test_an_unknown_finish_reason_is_an_anomaly() -> None:
    events, anomalies = decode_counting(frames([chunk(text("a"), finish="GROUNDHOG_DAY")]))
    assert events[-1] == ResponseFinished(FinishReason.STOP, "GROUNDHOG_DAY")
    assert anomalies == 1


@pytest.mark.parametrize("raw", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"])
def test_a_spoilt_answer_is_a_failure_in_the_providers_words(raw: str) -> None:
    *_, last = decode(frames([chunk(finish=raw, finishMessage=f"{raw}: call(")]))
    assert isinstance(last, StreamFailed)
    assert last.error is not None
    assert (last.error.said.message, last.error.said.code) == (f"{raw}: call(", raw)


def test_the_output_cap_within_a_call_is_no_call_to_run() -> None:
    assert answer(chunk(call("f"), finish="MAX_TOKENS")).finish is FinishReason.LENGTH


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "JAILBREAK", "BLOCKED_REASON_UNSPECIFIED"])
def test_a_blocked_prompt_has_no_candidates(reason: str) -> None:
    usage = {"promptTokenCount": 9, "totalTokenCount": 9}
    response = answer({"promptFeedback": {"blockReason": reason}, "usageMetadata": usage, "responseId": "r1"})
    assert (response.finish, response.raw_finish, response.blocks) == (FinishReason.FILTERED, reason, ())
    assert response.usage == TokenUsage(input=9, output=0)


def test_ids_of_calls_are_kept() -> None:
    response = answer(chunk(call("f", {}, "abc-1"), call("f", {}, "abc-2"), finish="STOP"))
    assert [block.call_id for block in response.blocks if isinstance(block, ToolCall)] == ["abc-1", "abc-2"]


def test_calls_without_ids_and_without_a_response_id_are_told_apart() -> None:
    one, two = (chunk(call("f", {"n": n}), call("f", {"n": n}), finish="STOP") for n in (1, 2))
    for payload in (one, two):
        del payload["responseId"]
    ids = [block.call_id for part in (one, two) for block in answer(part).blocks if isinstance(block, ToolCall)]
    assert len(set(ids)) == 4


def test_text_after_a_signed_part_is_a_block_of_its_own() -> None:
    response = answer(chunk(text("a"), text("b", thoughtSignature="s1"), text("c"), finish="STOP"))
    assert response.blocks == (Text("ab", seal=Seal("google", "s1")), Text("c"))


def test_a_signature_alone_is_the_open_blocks() -> None:
    response = answer(chunk(thought("hm")), chunk({"thoughtSignature": "s1"}), chunk(text("a"), finish="STOP"))
    assert response.blocks == (Reasoning("hm", Seal("google", "s1")), Text("a"))


def test_a_thought_that_is_a_signature_only() -> None:
    response = answer(chunk(thought("", thoughtSignature="s1"), text("a"), finish="STOP"))
    assert response.blocks == (Reasoning("", Seal("google", "s1")), Text("a"))


def test_a_signature_with_nothing_to_go_back_on_makes_no_empty_block() -> None:
    response = answer(chunk(call("f", {}, "i")), chunk(text("", thoughtSignature="s1"), finish="STOP"))
    assert response.blocks == (ToolCall("i", "f", "{}"),)


def test_thought_text_and_call_in_one_chunk() -> None:
    response = answer(chunk(thought("hm"), text("a"), call("f", {}, "i"), finish="STOP"))
    assert response.blocks == (Reasoning("hm"), Text("a"), ToolCall("i", "f", "{}"))


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "s"},
        {"somethingNew": {}},
    ],
)
def test_other_parts_are_opaque_and_keep_their_place(part: dict[str, Any]) -> None:
    response = answer(chunk(text("a")), chunk(part), chunk(text("b"), finish="STOP"))
    kind = next(iter(part))
    assert response.blocks == (Text("a"), Opaque(Dialect.GEMINI_GENERATE, kind, part), Text("b"))


def test_escaped_tool_names_are_read_back() -> None:
    response = answer(chunk(call("_lumen_3d_render", {}, "i"), finish="STOP"))
    assert response.blocks == (ToolCall("i", "3d_render", "{}"),)


@pytest.mark.parametrize("shape", ["object", "array"])
@pytest.mark.parametrize("before", [[], RICH[:3]])
def test_an_error_within_a_200_fails_the_stream(shape: str, before: list[dict[str, Any]]) -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    payloads = [*before, error if shape == "object" else [error], *RICH[3:]]
    *_, last = decode(frames(payloads))
    assert isinstance(last, StreamFailed)
    assert last.error is not None
    assert last.error.said.message == "The model is overloaded."
    assert (last.error.said.code, last.error.said.type) == ("503", "UNAVAILABLE")


def test_frames_that_are_no_objects_are_counted_and_skipped() -> None:
    reads = [*frames(RICH[:2]), b"data: {broken\r\n\r\n", b"data: 7\r\n\r\n", b"data: []\r\n\r\n", *frames(RICH[2:])]
    assert decode_counting(reads) == (EVENTS, 3)


@pytest.mark.parametrize(
    "payload",
    [
        {"candidates": None},
        {"candidates": [None]},
        {"candidates": [{"content": None}]},
        {"candidates": [{"content": {"parts": [None, {"text": None}, {}]}}]},
        {"candidates": [{"content": {"role": "model"}}]},
        {"candidates": [{"groundingMetadata": 7, "finishReason": 7}]},
        {"usageMetadata": None},
    ],
)
def test_members_of_the_wrong_type_say_nothing(payload: dict[str, Any]) -> None:
    response = fold(decode(frames([payload, chunk(text("a"), finish="STOP")])))
    assert response.blocks == (Text("a"),)


def test_other_candidates_are_left_out() -> None:
    second = chunk(text("b"), index=1)
    events, anomalies = decode_counting(frames([chunk(text("a")), second, chunk(finish="STOP")]))
    assert fold(events).blocks == (Text("a"),)
    assert anomalies == 1


def test_a_large_delta() -> None:
    words = "word " * 60_000
    assert answer(chunk(text(words), finish="STOP")).blocks == (Text(words),)


def test_a_frame_beyond_the_limit() -> None:
    decoder = GeminiStreamDecoder(issuer="google", frame_bytes_max=1000)
    with pytest.raises(UpstreamProtocolError, match="larger than 1000"):
        decoder.feed(b"data: " + b"x" * 1001)


def test_an_empty_stream_has_failed() -> None:
    assert decode([]) == [StreamFailed()]
