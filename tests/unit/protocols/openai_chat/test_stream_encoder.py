"""Events of any upstream as this dialect's chunks."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import Citation, Opaque, Seal, ToolKind
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
from lumen.protocols.canonical.response import fold
from lumen.protocols.codec import Reply
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.response_decoder import decode_response
from lumen.protocols.openai_chat.response_encoder import encode_response
from lumen.protocols.openai_chat.stream_encoder import OpenAIChatStreamEncoder
from lumen.protocols.seals import read_call_id
from lumen.protocols.tool_names import flat_name
from tests.unit.protocols.frames import payloads
from tests.unit.protocols.grammar import assert_grammatical
from tests.unit.protocols.openai_chat.streams import ANSWERS
from tests.unit.protocols.openai_chat.wire import decode_stream, decoded, encode_stream, reply

STARTED = ResponseStarted("up-1", "upstream-model")
USAGE = UsageReported(TokenUsage(input=12, output=5))
STOP = ResponseFinished(FinishReason.STOP, "end_turn")
CALLS = ResponseFinished(FinishReason.TOOL_CALLS, "tool_use")
CUSTOM = {"tools": [{"type": "custom", "custom": {"name": "c"}}]}


def block(index: int, kind: BlockKind, *deltas: Event, **members: Any) -> list[Event]:
    return [BlockStarted(index, kind, **members), *deltas, BlockFinished(index)]


def text(index: int, *pieces: str) -> list[Event]:
    return block(index, BlockKind.TEXT, *(TextDelta(index, piece) for piece in pieces))


def call(index: int, name: str, *pieces: str, **members: Any) -> list[Event]:
    deltas = [ArgumentsDelta(index, piece) for piece in pieces]
    return block(index, BlockKind.TOOL_CALL, *deltas, call_id=f"call_{index}", name=name, **members)


def chunks(*events: Event, to: Reply | None = None) -> list[Any]:
    """What a client reads between the start and `[DONE]`; the stream has to be in order."""
    assert_grammatical([STARTED, *events])
    *said, done = payloads(b"".join(encode_stream([STARTED, *events], to)))
    assert done == "[DONE]"
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in said}) == 1
    assert said[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    finishes = [choice["finish_reason"] for chunk in said for choice in chunk["choices"]]
    assert [finish is None for finish in finishes] == [True] * (len(finishes) - 1) + [False]
    return said


def deltas(*events: Event, to: Reply | None = None) -> list[Any]:
    """Those between the role and the finish."""
    said = [chunk["choices"][0]["delta"] for chunk in chunks(*events, to=to) if chunk["choices"]]
    assert said[-1] == {}
    return said[1:-1]


def test_a_whole_stream_byte_by_byte() -> None:
    head = (
        b'data: {"id":"chatcmpl-000000000000000000000001","object":"chat.completion.chunk","created":1790000000,'
        b'"model":"client-model",'
    )
    tail = b',"logprobs":null,"finish_reason":null}]}\n\n'
    assert encode_stream([STARTED, *text(0, 'a"\n'), USAGE, STOP]) == [
        head + b'"usage":null,"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null}' + tail,
        head + b'"usage":null,"choices":[{"index":0,"delta":{"content":"a\\"\\n"}' + tail,
        head
        + b'"usage":null,"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
        + head
        + b'"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,'
        b'"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}\n\n',
        b"data: [DONE]\n\n",
    ]


def test_an_empty_answer_still_has_its_role() -> None:
    assert deltas(USAGE, STOP) == []


def test_usage_is_last_and_only_for_those_who_take_it() -> None:
    first = UsageReported(TokenUsage(input=1, output=1))
    said = chunks(first, *text(0, "a"), USAGE, STOP)
    assert said[-1]["choices"] == []
    assert said[-1]["usage"]["total_tokens"] == 17
    assert all(chunk["usage"] is None for chunk in said[:-1])
    declined = chunks(first, *text(0, "a"), USAGE, STOP, to=reply(include_usage=False))
    assert all("usage" not in chunk and chunk["choices"] for chunk in declined)


def test_usage_from_the_start_counts_where_no_other_came() -> None:
    frames = encode_stream([ResponseStarted(usage=TokenUsage(input=3, output=1)), *text(0, "a"), STOP])
    assert payloads(b"".join(frames))[-2]["usage"]["total_tokens"] == 4


def test_without_usage_there_is_no_usage_chunk() -> None:
    assert all(chunk["choices"] for chunk in chunks(*text(0, "a"), STOP))


def test_the_service_tier_is_shown_if_openai_has_it() -> None:
    tiered = chunks(*text(0, "a"), UsageReported(USAGE.usage, "priority"), STOP)
    assert [chunk.get("service_tier") for chunk in tiered[-2:]] == ["priority", "priority"]
    assert "service_tier" not in chunks(UsageReported(USAGE.usage, "standard"), STOP)[-1]


def test_thinking_is_reasoning_content_and_signatures_are_left_out() -> None:
    seal = Seal("anthropic", "sig")
    thinking = block(0, BlockKind.REASONING, ReasoningDelta(0, "a"), SignatureDelta(0, seal))
    redacted = block(1, BlockKind.REASONING, seal=seal, is_redacted=True)
    empty = block(2, BlockKind.REASONING, ReasoningDelta(2, ""))
    more = block(3, BlockKind.REASONING, ReasoningDelta(3, "b"), ReasoningDelta(3, "c"))
    assert deltas(*thinking, *redacted, *empty, *more, *text(4, "hi"), STOP) == [
        {"reasoning_content": "a"},
        {"reasoning_content": "\n\nb"},
        {"reasoning_content": "c"},
        {"content": "hi"},
    ]


def test_a_refusal_is_shown_and_ends_with_stop() -> None:
    refusal = block(0, BlockKind.REFUSAL, RefusalDelta(0, "no"))
    said = chunks(*refusal, ResponseFinished(FinishReason.REFUSAL, "stop"))
    assert said[1]["choices"][0]["delta"] == {"refusal": "no"}
    assert said[2]["choices"][0]["finish_reason"] == "stop"


def test_a_call_has_its_head_first_then_its_pieces() -> None:
    assert deltas(*call(0, "f", '{"a"', "", ":1}"), CALLS) == [
        {"tool_calls": [{"index": 0, "id": "call_0", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    ]


def test_calls_count_from_zero_among_themselves_and_may_interleave() -> None:
    first, second = call(1, "f", "{}"), call(2, "g", "{}")
    events = [*text(0, "a"), first[0], second[0], second[1], first[1], second[2], first[2]]
    indexes = [delta["tool_calls"][0]["index"] for delta in deltas(*events, CALLS)[1:]]
    assert indexes == [0, 1, 1, 0]


@pytest.mark.parametrize("pieces", [(), ("",)])
def test_no_arguments_are_an_empty_object(pieces: tuple[str, ...]) -> None:
    assert deltas(*call(0, "f", *pieces), CALLS)[1:] == [
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    ]


def test_a_calls_id_carries_its_seal() -> None:
    seal = Seal("google", "c2ln")
    (head, _) = deltas(*call(0, "f", "{}", seal=seal), CALLS)
    assert read_call_id(head["tool_calls"][0]["id"], "call_") == ("call_0", seal)


def test_a_custom_tools_function_call_is_written_when_it_is_whole() -> None:
    said = deltas(*call(0, "c", '{"inp', 'ut":"ls"}'), CALLS, to=reply(decoded(**CUSTOM)))
    assert said == [
        {"tool_calls": [{"index": 0, "id": "call_0", "type": "custom", "custom": {"name": "c", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "ls"}}]},
    ]


def test_a_custom_call_flows_as_it_comes() -> None:
    said = deltas(*call(0, "c", "l", "s", tool_kind=ToolKind.CUSTOM), CALLS, to=reply(decoded(**CUSTOM)))
    assert [delta["tool_calls"][0]["custom"]["input"] for delta in said] == ["", "l", "s"]
    assert len(deltas(*call(0, "c", tool_kind=ToolKind.CUSTOM), CALLS, to=reply(decoded(**CUSTOM)))) == 1


def test_a_renamed_tool_gets_its_name_back() -> None:
    asked = decoded(tools=[{"type": "function", "function": {"name": "a.b"}}])
    (head, _) = deltas(*call(0, flat_name(None, "a.b"), "{}"), CALLS, to=reply(asked))
    assert head["tool_calls"][0]["function"]["name"] == "a.b"


def test_legacy_clients_get_one_function_call() -> None:
    legacy = reply(decoded(functions=[{"name": "f"}]))
    said = chunks(*call(0, "f", "{", "}"), *call(1, "g", "{}"), CALLS, to=legacy)
    assert [chunk["choices"][0]["delta"] for chunk in said[1:-1]] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{"}},
        {"function_call": {"arguments": "}"}},
    ]
    assert said[-1]["choices"][0]["finish_reason"] == "function_call"


def test_citations_of_pages_are_annotations() -> None:
    events = [
        *text(0, "ab"),
        BlockStarted(1, BlockKind.TEXT),
        TextDelta(1, "cd"),
        CitationAdded(1, Citation("https://x", "t")),
        CitationAdded(1, Citation(cited_text="of a document")),
        BlockFinished(1),
    ]
    cited = {"start_index": 2, "end_index": 4, "title": "t", "url": "https://x"}
    assert deltas(*events, STOP)[2:] == [{"annotations": [{"type": "url_citation", "url_citation": cited}]}]


def test_blocks_only_another_dialect_knows_are_left_out() -> None:
    opaque = OpaqueEvent(Opaque(Dialect.ANTHROPIC_MESSAGES, "server_tool_use", {}))
    assert deltas(opaque, *text(0, "a"), STOP) == [{"content": "a"}]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.STOP_SEQUENCE, "stop"),
        (FinishReason.PAUSED, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.CONTEXT, "length"),
        (FinishReason.FILTERED, "content_filter"),
        (FinishReason.REFUSAL, "content_filter"),
        (FinishReason.TOOL_CALLS, "stop"),
    ],
)
def test_finish_words(reason: FinishReason, word: str) -> None:
    said = chunks(*text(0, "a"), ResponseFinished(reason, "x"))
    assert said[-1]["choices"][0]["finish_reason"] == word


def test_there_are_no_sequence_numbers() -> None:
    assert OpenAIChatStreamEncoder(reply()).next_sequence is None


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_survives_the_round_trip(name: str) -> None:
    first = fold(decode_stream(ANSWERS[name]))
    again = fold(decode_stream(encode_stream(decode_stream(ANSWERS[name]))))
    assert (again.blocks, again.finish, again.raw_finish) == (first.blocks, first.finish, first.raw_finish)
    if first.usage is not None:
        assert again.usage == TokenUsage(input=12, cache_read=0, output=5, reasoning=0)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stream_and_a_single_answer_say_the_same_to_a_client(name: str) -> None:
    events = decode_stream(ANSWERS[name])
    streamed = fold(decode_stream(encode_stream(events)))
    single = decode_response(encode_response(fold(events), reply()), "openai")
    assert streamed == single


# --- OpenAI's own SDK


def sdk(frames: list[bytes]) -> openai.OpenAI:
    headers = {"content-type": "text/event-stream"}
    answer = httpx2.MockTransport(lambda request: httpx2.Response(200, content=b"".join(frames), headers=headers))
    return openai.OpenAI(api_key="k", base_url="http://lumen.test/v1", http_client=httpx2.Client(transport=answer))


@pytest.mark.parametrize("name", ANSWERS)
def test_openais_sdk_accumulates_the_stream_to_the_single_answer(name: str) -> None:
    events = decode_stream(ANSWERS[name])
    frames = encode_stream(events)
    for frame in payloads(b"".join(frames))[:-1]:
        ChatCompletionChunk.model_validate_json(json.dumps(frame), strict=True)
    with sdk(frames).chat.completions.stream(model="m", messages=[]) as stream:
        completion = stream.get_final_completion()
    single = json.loads(encode_response(fold(events), reply()))
    message, expected = completion.choices[0].message, single["choices"][0]["message"]
    assert (message.content or "", message.refusal) == (expected["content"] or "", expected["refusal"])
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
    assert calls == [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in expected.get("tool_calls", [])
    ]
    assert completion.choices[0].finish_reason == single["choices"][0]["finish_reason"]
    assert (completion.usage is None) is ("usage" not in single)


def test_openais_sdk_shows_thinking_and_annotations_to_those_who_look() -> None:
    thinking = block(0, BlockKind.REASONING, ReasoningDelta(0, "hm"))
    cited = block(1, BlockKind.TEXT, TextDelta(1, "a"), CitationAdded(1, Citation("https://x", "t")))
    frames = encode_stream([STARTED, *thinking, *cited, STOP])
    stream = sdk(frames).chat.completions.create(model="m", messages=[], stream=True)
    extras = [choice.delta.model_extra or {} for chunk in stream for choice in chunk.choices]
    assert [extra["reasoning_content"] for extra in extras if "reasoning_content" in extra] == ["hm"]
    assert sum("annotations" in extra for extra in extras) == 1
