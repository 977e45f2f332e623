"""What a Responses client is streamed, and that the single answer says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Citation, Opaque, Reasoning, Seal, ToolCall, ToolKind
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
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.canonical.request import Request
from lumen.protocols.canonical.response import fold
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.request_decoder import decode_request
from lumen.protocols.openai_responses.response_decoder import decode_response
from lumen.protocols.openai_responses.response_encoder import encode_response
from lumen.protocols.openai_responses.stream_encoder import ResponsesStreamEncoder
from tests.unit.protocols.grammar import assert_grammatical
from tests.unit.protocols.openai_responses.lifecycle import assert_lifecycle, read_events
from tests.unit.protocols.openai_responses.samples import (
    CODEX_REQUEST,
    FULL,
    body,
    decode,
    encode,
    items,
    reply,
    stream,
)

START = ResponseStarted("up_1", "up-x")
USAGE = UsageReported(TokenUsage(input=8, cache_read=4, output=5, reasoning=2))
STOP = ResponseFinished(FinishReason.STOP, "end_turn")
TOOLS = ResponseFinished(FinishReason.TOOL_CALLS, "tool_use")


def block(kind: BlockKind, *deltas: Any, index: int = 0, **members: Any) -> list[Event]:
    return [BlockStarted(index, kind, **members), *deltas, BlockFinished(index)]


def text(*pieces: str, index: int = 0) -> list[Event]:
    return block(BlockKind.TEXT, *[TextDelta(index, piece) for piece in pieces], index=index)


def call(*pieces: str, name: str = "f", index: int = 0, **members: Any) -> list[Event]:
    deltas = [ArgumentsDelta(index, piece) for piece in pieces]
    return block(BlockKind.TOOL_CALL, *deltas, index=index, name=name, **{"call_id": "call_1", **members})


def answer(*events: Event | list[Event], end: ResponseFinished = STOP) -> list[Event]:
    said = [event for given in events for event in (given if isinstance(given, list) else [given])]
    return [START, *said, USAGE, end]


def terminal(events: list[Event], request: Request | None = None) -> dict[str, Any]:
    """The response a strict client ends up with; the single answer has the same output."""
    assert_grammatical(events)
    streamed = assert_lifecycle(encode(events, reply(request)))
    single = json.loads(encode_response(fold(events), reply(request)))
    assert _without_ids(single) == _without_ids(streamed)
    return streamed


def _without_ids(response: dict[str, Any]) -> dict[str, Any]:
    return {**response, "id": "", "output": [{**item, "id": ""} for item in response["output"]]}


def kinds(data: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in read_events(data)]


def test_a_text_goes_through_every_step_of_its_life() -> None:
    assert kinds(encode(answer(text("Hel", "lo")))) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_the_shape_of_a_text_delta() -> None:
    delta = read_events(encode(answer(text('a "b"\n\u2028🙂'))))[4]
    assert delta == {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "item_id": delta["item_id"],
        "output_index": 0,
        "content_index": 0,
        "logprobs": [],
        "delta": 'a "b"\n\u2028🙂',
    }


def test_every_kind_of_block_in_one_answer() -> None:
    reasoning = [ReasoningDelta(0, "Hm"), ReasoningDelta(0, "m"), SignatureDelta(0, Seal("anthropic", "sig"))]
    events = answer(
        block(BlockKind.REASONING, *reasoning),
        text("a", "b", index=1),
        block(BlockKind.REFUSAL, RefusalDelta(2, "no"), index=2),
        call('{"a"', ":1}", index=3),
        call("x", "y", name="p", index=4, tool_kind=ToolKind.CUSTOM),
        end=TOOLS,
    )
    response = terminal(events)
    reasoning_item, message, refusal, function, custom = response["output"]
    assert reasoning_item["summary"] == [{"type": "summary_text", "text": "Hmm"}]
    assert reasoning_item["encrypted_content"] == "lumen1.anthropic.sig"
    assert message["content"] == [{"type": "output_text", "annotations": [], "logprobs": [], "text": "ab"}]
    assert refusal["content"] == [{"type": "refusal", "refusal": "no"}]
    assert (function["arguments"], function["call_id"], function["name"]) == ('{"a":1}', "call_1", "f")
    assert (custom["type"], custom["input"]) == ("custom_tool_call", "xy")
    assert response["status"] == "completed"


def test_blocks_open_side_by_side_keep_their_items_apart() -> None:
    events = answer(
        BlockStarted(0, BlockKind.TEXT),
        TextDelta(0, "a"),
        BlockStarted(1, BlockKind.TOOL_CALL, call_id="call_1", name="f"),
        ArgumentsDelta(1, "{"),
        TextDelta(0, "b"),
        ArgumentsDelta(1, "}"),
        BlockFinished(1),
        TextDelta(0, "c"),
        BlockFinished(0),
    )
    message, function = terminal(events)["output"]
    assert message["content"][0]["text"] == "abc"
    assert function["arguments"] == "{}"


def test_reasoning_without_text_has_an_empty_summary_and_its_seal() -> None:
    events = answer(block(BlockKind.REASONING, SignatureDelta(0, Seal("openai", "gAAA"))))
    data = encode(events)
    assert kinds(data)[2:4] == ["output_item.added", "output_item.done"]
    (item,) = terminal(events)["output"]
    assert (item["summary"], item["encrypted_content"]) == ([], "gAAA")


@pytest.mark.parametrize("is_redacted", [True, False])
def test_reasoning_without_text_comes_back_as_what_it_was(is_redacted: bool) -> None:
    seal = Seal("anthropic", "sig.na==")
    (item,) = terminal(answer(block(BlockKind.REASONING, seal=seal, is_redacted=is_redacted)))["output"]
    (turn,) = decode_request(items(item)).turns
    (back,) = turn.content
    assert isinstance(back, Reasoning)
    assert (back.text, back.seal, back.is_redacted) == ("", seal, is_redacted)


def test_thinking_comes_back_letter_for_letter() -> None:
    thinking = " a\n\nb\n"
    deltas = [ReasoningDelta(0, thinking), SignatureDelta(0, Seal("anthropic", "sig"))]
    (item,) = terminal(answer(block(BlockKind.REASONING, *deltas)))["output"]
    (turn,) = decode_request(items(item)).turns
    (back,) = turn.content
    assert isinstance(back, Reasoning)
    assert (back.text, back.seal) == (thinking, Seal("anthropic", "sig"))


def test_a_thought_signature_survives_in_the_call_id() -> None:
    seal = Seal("google", "c2ln")
    (item,) = terminal(answer(call("{}", call_id="gen 1", seal=seal)))["output"]
    assert item["call_id"].startswith("call_")
    answered, _ = decode_request(
        items(item, {"type": "function_call_output", "call_id": item["call_id"], "output": "x"})
    ).turns
    (back,) = answered.content
    assert isinstance(back, ToolCall)
    assert (back.call_id, back.seal) == ("gen 1", seal)


@pytest.mark.parametrize("pieces", [(), ("",)])
def test_a_call_without_arguments_has_an_empty_object(pieces: tuple[str, ...]) -> None:
    (item,) = terminal(answer(call(*pieces)))["output"]
    assert item["arguments"] == "{}"


CODEX = decode_request(CODEX_REQUEST)


def test_a_function_that_stood_for_a_custom_tool_is_turned_back() -> None:
    events = answer(call('{"inp', 'ut":"*** Begin"}', name="apply_patch"))
    (item,) = terminal(events, CODEX)["output"]
    assert (item["type"], item["input"], item["name"]) == ("custom_tool_call", "*** Begin", "apply_patch")
    deltas = [event for event in read_events(encode(events, reply(CODEX))) if event["type"].endswith("input.delta")]
    assert [event["delta"] for event in deltas] == ["*** Begin"]


@pytest.mark.parametrize("said", ['{"patch":"x"}', "not json", '{"input":7}'])
def test_a_custom_call_that_broke_its_schema_loses_nothing(said: str) -> None:
    (item,) = terminal(answer(call(said, name="apply_patch")), CODEX)["output"]
    assert item["input"] == said


def test_an_empty_custom_input() -> None:
    (item,) = terminal(answer(call(name="apply_patch", tool_kind=ToolKind.CUSTOM)), CODEX)["output"]
    assert item["input"] == ""


def test_a_flattened_function_gets_its_namespace_back() -> None:
    (item,) = terminal(answer(call("{}", name="files__read")), CODEX)["output"]
    assert (item["name"], item["namespace"]) == ("read", "files")


def test_a_function_that_stood_for_the_local_shell_is_turned_back() -> None:
    request = decode_request(body(tools=[{"type": "local_shell"}]))
    events = answer(text("a"), call('{"command":', '["ls"]}', name="local_shell", index=1), text("b", index=2))
    _, item, _ = terminal(events, request)["output"]
    assert (item["type"], item["status"]) == ("local_shell_call", "completed")
    assert item["action"] == {"type": "exec", "command": ["ls"], "env": {}}


def test_citations_are_annotations_of_the_text_they_cover() -> None:
    cited = [
        CitationAdded(0, Citation(url="https://a.test", title="A")),
        TextDelta(0, "Hello"),
        CitationAdded(0, Citation(url="https://b.test", start=1, end=3)),
        CitationAdded(0, Citation(cited_text="no url")),
    ]
    events = answer(block(BlockKind.TEXT, *cited))
    (message,) = terminal(events)["output"]
    assert message["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://a.test", "title": "A"},
        {"type": "url_citation", "start_index": 1, "end_index": 3, "url": "https://b.test", "title": ""},
    ]
    assert kinds(encode(events)).count("output_text.annotation.added") == 2


def test_blocks_of_other_dialects_are_left_out_and_own_ones_kept() -> None:
    own = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
    events = answer(
        OpaqueEvent(Opaque(Dialect.ANTHROPIC_MESSAGES, "server_tool_use", {})),
        OpaqueEvent(Opaque(Dialect.OPENAI_RESPONSES, "web_search_call", own)),
        text("a"),
    )
    assert terminal(events)["output"][0] == own
    assert len(terminal(events)["output"]) == 2


def test_an_answer_without_blocks() -> None:
    assert terminal(answer())["output"] == []


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        (FinishReason.STOP, "completed", None),
        (FinishReason.STOP_SEQUENCE, "completed", None),
        (FinishReason.TOOL_CALLS, "completed", None),
        (FinishReason.PAUSED, "completed", None),
        (FinishReason.LENGTH, "incomplete", "max_output_tokens"),
        (FinishReason.CONTEXT, "incomplete", "max_output_tokens"),
        (FinishReason.FILTERED, "incomplete", "content_filter"),
        (FinishReason.REFUSAL, "incomplete", "content_filter"),
    ],
)
def test_how_it_ended(reason: FinishReason, status: str, why: str | None) -> None:
    response = terminal(answer(text("a"), end=ResponseFinished(reason, "raw")))
    assert response["status"] == status
    assert response["incomplete_details"] == (None if why is None else {"reason": why})


def test_a_refusal_in_words_is_a_completed_answer() -> None:
    refusal = block(BlockKind.REFUSAL, RefusalDelta(0, "no"))
    assert terminal(answer(refusal, end=ResponseFinished(FinishReason.REFUSAL, "x")))["status"] == "completed"


def test_usage_has_all_its_details() -> None:
    assert terminal(answer(text("a")))["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 17,
    }
    assert terminal([START, UsageReported(TokenUsage(output=1)), STOP])["usage"]["input_tokens"] == 0
    assert terminal([START, STOP])["usage"] is None


def test_usage_known_at_the_start_counts_until_there_is_more() -> None:
    started = ResponseStarted("x", "m", TokenUsage(input=3, output=1))
    assert terminal([started, STOP])["usage"]["input_tokens"] == 3
    assert terminal([started, USAGE, STOP])["usage"]["input_tokens"] == 12


def test_the_response_repeats_its_request() -> None:
    request = decode_request(
        body(
            instructions="Be brief.",
            tools=CODEX_REQUEST["tools"],
            tool_choice={"type": "function", "name": "read"},
            temperature=0,
            max_output_tokens=100,
            max_tool_calls=3,
            parallel_tool_calls=False,
            reasoning={"effort": "low"},
            text={"format": {"type": "json_object"}},
            metadata={"a": "b"},
            user="u",
            truncation="auto",
        )
    )
    for response in (read_events(encode(answer(), reply(request)))[0]["response"], terminal(answer(), request)):
        assert response["instructions"] == "Be brief."
        assert response["tools"] == CODEX_REQUEST["tools"]
        assert response["tool_choice"] == {"type": "function", "name": "read"}
        assert (response["temperature"], response["top_p"]) == (0, 1.0)
        assert (response["max_output_tokens"], response["max_tool_calls"]) == (100, 3)
        assert response["parallel_tool_calls"] is False
        assert response["reasoning"] == {"effort": "low", "summary": None}
        assert response["text"] == {"format": {"type": "json_object"}, "verbosity": "medium"}
        assert (response["metadata"], response["user"], response["safety_identifier"]) == ({"a": "b"}, "u", None)
        assert (response["truncation"], response["store"]) == ("auto", False)
        assert (response["model"], response["created_at"]) == ("gpt-x", 1_790_000_000)


def test_developer_messages_are_not_repeated_as_instructions() -> None:
    assert terminal(answer(), CODEX)["instructions"] is None


def test_the_next_sequence_number_is_that_of_the_frame_after() -> None:
    encoder = ResponsesStreamEncoder(reply())
    assert encoder.next_sequence == 0
    data = b"".join(encoder.encode(event) for event in answer(text("a", "b"))[:4])
    assert encoder.next_sequence == len(read_events(data)) == 6


def test_a_failure_writes_nothing() -> None:
    encoder = ResponsesStreamEncoder(reply())
    assert encoder.encode(StreamFailed()) == encoder.close() == b""


def test_empty_deltas_write_nothing() -> None:
    assert "output_text.delta" not in kinds(encode(answer(text("", ""))))


def test_a_stream_of_this_dialect_comes_back_the_same() -> None:
    events = decode(stream(*FULL))
    assert fold(decode([encode(events)])).blocks == fold(events).blocks
    assert fold(decode([encode(events)])).usage == fold(events).usage


def test_an_answer_of_this_dialect_comes_back_the_same() -> None:
    response = fold(decode(stream(*FULL)))
    again = decode_response(encode_response(response, reply()), "openai")
    assert (again.blocks, again.usage, again.finish) == (response.blocks, response.usage, response.finish)
