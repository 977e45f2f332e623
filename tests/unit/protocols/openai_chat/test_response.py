"""Single answers: what the relatives send, and what clients get."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import (
    Block,
    Citation,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolKind,
)
from lumen.protocols.canonical.events import FinishReason
from lumen.protocols.canonical.response import Response
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.response_decoder import decode_response
from lumen.protocols.openai_chat.response_encoder import encode_response
from lumen.protocols.seals import read_call_id
from lumen.protocols.stream_reader import UpstreamProtocolError
from lumen.protocols.tool_names import flat_name
from tests.unit.protocols.openai_chat.wire import decoded, reply

USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def wire(message: Any, finish: Any = "stop", **members: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "model": "m-1", "choices": [choice], **members}).encode()


def said(text: str | None = "hi", **members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **members}


def function(name: str = "f", arguments: Any = "{}", call_id: Any = "call_1", **members: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **members}


def blocks(message: Any, finish: Any = "stop") -> tuple[Block, ...]:
    return decode_response(wire(message, finish), "openai").blocks


def test_a_plain_answer() -> None:
    assert decode_response(wire(said(), usage=USAGE, service_tier="default"), "openai") == Response(
        "chatcmpl-1", "m-1", (Text("hi"),), FinishReason.STOP, "stop", None, TokenUsage(input=12, output=5), "default"
    )


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thinking_comes_first(name: str) -> None:
    assert blocks(said(**{name: "hm"})) == (Reasoning("hm"), Text("hi"))


def test_think_tags_are_left_alone() -> None:
    assert blocks(said("<think>hm</think>hi")) == (Text("<think>hm</think>hi"),)


@pytest.mark.parametrize("content", [None, "", []])
def test_an_empty_answer_has_no_blocks(content: Any) -> None:
    assert blocks(said(content, reasoning_content="", refusal=None, tool_calls=[], annotations=[])) == ()


def test_content_as_parts() -> None:
    parts: Any = [{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}]
    assert blocks(said(parts)) == (Text("ab"),)


def test_citations_are_on_the_text() -> None:
    annotation = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "u"}}
    (text,) = blocks(said(annotations=[annotation, {"type": "other"}]))
    assert isinstance(text, Text)
    (citation,) = text.citations
    assert (citation.url, citation.title, citation.start, citation.end) == ("u", "t", 0, 2)


@pytest.mark.parametrize("arguments", ["", None])
def test_no_arguments_are_an_empty_text(arguments: Any) -> None:
    assert blocks(said(None, tool_calls=[function(arguments=arguments)])) == (ToolCall("call_1", "f", ""),)


def test_arguments_as_an_object_are_their_json() -> None:
    assert blocks(said(None, tool_calls=[function(arguments={"a": 1})])) == (ToolCall("call_1", "f", '{"a":1}'),)


def test_custom_and_legacy_calls() -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "ls"}}
    assert blocks(said(None, tool_calls=[custom])) == (ToolCall("call_1", "c", "ls", ToolKind.CUSTOM),)
    legacy = blocks(said(None, function_call={"name": "f", "arguments": "{}"}), "function_call")
    assert legacy == (ToolCall("chatcmpl-1-0", "f", "{}"),)


def test_missing_and_repeated_ids_become_distinct() -> None:
    calls = [function(call_id=""), function(call_id="x"), function(call_id="x"), function(call_id=None)]
    ids = [block.call_id for block in blocks(said(None, tool_calls=calls)) if isinstance(block, ToolCall)]
    assert ids == ["chatcmpl-1-0", "x", "x-2", "chatcmpl-1-3"]


def test_googles_signature_is_a_seal() -> None:
    call = function(extra_content={"google": {"thought_signature": "c2ln"}})
    (block,) = blocks(said(None, tool_calls=[call]))
    assert block == ToolCall("call_1", "f", "{}", seal=Seal("google", "c2ln"))


CALLS = said(None, tool_calls=[function()])
REFUSED = said(None, refusal="no")


@pytest.mark.parametrize(
    ("message", "raw", "reason", "anomalies"),
    [
        (said(), "stop", FinishReason.STOP, 0),
        (said(), "length", FinishReason.LENGTH, 0),
        (said(), "content_filter", FinishReason.FILTERED, 0),
        (said(), "sensitive", FinishReason.FILTERED, 0),
        (said(), "model_context_window_exceeded", FinishReason.CONTEXT, 0),
        (said(), "eos", FinishReason.STOP, 1),
        (said(), None, FinishReason.STOP, 1),
        (said(), "tool_calls", FinishReason.STOP, 0),
        (CALLS, "tool_calls", FinishReason.TOOL_CALLS, 0),
        (CALLS, "stop", FinishReason.TOOL_CALLS, 0),
        (CALLS, "length", FinishReason.LENGTH, 0),
        (REFUSED, "stop", FinishReason.REFUSAL, 0),
    ],
)
def test_finish_reasons(message: Any, raw: Any, reason: FinishReason, anomalies: int) -> None:
    response = decode_response(wire(message, raw), "openai")
    assert (response.finish, response.raw_finish, response.anomalies) == (reason, raw or "", anomalies)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({**USAGE, "prompt_cache_hit_tokens": 4}, TokenUsage(input=8, cache_read=4, output=5)),
        ({**USAGE, "cached_tokens": 4}, TokenUsage(input=8, cache_read=4, output=5)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}, TokenUsage(input=8, cache_read=4, output=5)),
    ],
)
def test_usage_in_the_relatives_shapes(usage: dict[str, Any], read: TokenUsage) -> None:
    assert decode_response(wire(said(), usage=usage), "deepseek").usage == read


def test_usage_inside_the_choice() -> None:
    choice = {"message": said(), "finish_reason": "stop", "usage": USAGE}
    assert decode_response(json.dumps({"choices": [choice]}).encode(), "moonshot").usage == TokenUsage(
        input=12, output=5
    )


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"{}", b'{"choices": null}', b'{"choices": []}', b'{"choices": [1]}',
        b'{"choices": [{"finish_reason": "stop"}]}', b'{"choices": [{"message": "hi"}]}', b'{"x": "\xff"}',
        wire(said(), "network_error"), wire(said(), "insufficient_system_resource"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        decode_response(body, "openai")


# --- towards clients


def answer(*blocks: Block, finish: FinishReason = FinishReason.STOP, **members: Any) -> Response:
    return Response("up-1", "upstream-model", blocks, finish, **members)


def encoded(response: Response, **asked: Any) -> dict[str, Any]:
    body = encode_response(response, reply(decoded(**asked)))
    ChatCompletion.model_validate_json(body, strict=True)
    completion: dict[str, Any] = json.loads(body)
    return completion


def message(response: Response, **asked: Any) -> dict[str, Any]:
    said: dict[str, Any] = encoded(response, **asked)["choices"][0]["message"]
    return said


def test_the_whole_of_a_plain_answer() -> None:
    usage = TokenUsage(input=8, cache_read=4, output=5, reasoning=2)
    assert encoded(answer(Text("hi"), usage=usage, service_tier="flex")) == {
        "id": "chatcmpl-000000000000000000000001",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "client-model",
        "service_tier": "flex",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            **USAGE,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


def test_what_is_unknown_is_left_out() -> None:
    said = encoded(answer(Text("hi"), service_tier="standard"))
    assert "usage" not in said
    assert "service_tier" not in said


def test_usage_counts_every_bucket_in_its_total() -> None:
    usage = TokenUsage(1, 2, 3, 4, output=5, audio_input=6, audio_output=7, image_input=8)
    assert encoded(answer(usage=usage))["usage"] == {
        "prompt_tokens": 24,
        "completion_tokens": 12,
        "total_tokens": 36,
        "prompt_tokens_details": {
            "cached_tokens": 2,
            "cache_write_tokens": 7,
            "audio_tokens": 6,
            "image_tokens": 8,
        },
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 7},
    }


def test_an_answer_without_blocks_has_empty_content() -> None:
    assert message(answer())["content"] == ""


def test_thinking_is_reasoning_content_without_its_signature() -> None:
    thinking = (Reasoning("a", Seal("anthropic", "sig")), Reasoning("", Seal("anthropic", "x"), True), Reasoning("b"))
    said = message(answer(*thinking, Text("hi")))
    assert said["reasoning_content"] == "a\n\nb"
    assert said["content"] == "hi"
    assert "sig" not in str(said)


def test_texts_are_one_content_with_their_citations() -> None:
    cited = Text(
        "cd", (Citation("https://x", "t"), Citation(cited_text="of a document"), Citation("https://y", start=0, end=1))
    )
    said = message(answer(Text("ab"), cited))
    assert said["content"] == "abcd"
    assert [annotation["url_citation"] for annotation in said["annotations"]] == [
        {"start_index": 2, "end_index": 4, "title": "t", "url": "https://x"},
        {"start_index": 0, "end_index": 1, "title": "", "url": "https://y"},
    ]


def test_a_refusals_text_does_not_vanish() -> None:
    said = message(answer(Refusal("I will not."), finish=FinishReason.REFUSAL))
    assert (said["content"], said["refusal"]) == (None, "I will not.")


def test_call_ids_carry_their_seal() -> None:
    seal = Seal("google", "c2ln")
    (call,) = message(answer(ToolCall("up.1", "f", "", seal=seal)))["tool_calls"]
    assert call["function"] == {"name": "f", "arguments": "{}"}
    assert call["id"].startswith("call_")
    assert read_call_id(call["id"], "call_") == ("up.1", seal)


CUSTOM = {"tools": [{"type": "custom", "custom": {"name": "c"}}]}


@pytest.mark.parametrize(
    "call", [ToolCall("call_1", "c", '{"input":"ls"}'), ToolCall("call_1", "c", "ls", ToolKind.CUSTOM)]
)
def test_a_custom_tools_call_is_one_again(call: ToolCall) -> None:
    (said,) = message(answer(call), **CUSTOM)["tool_calls"]
    assert said == {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "ls"}}


def test_legacy_clients_get_one_function_call() -> None:
    two = answer(ToolCall("1", "f", ""), ToolCall("2", "g", "{}"), finish=FinishReason.TOOL_CALLS)
    said = encoded(two, functions=[{"name": "f"}])["choices"][0]
    assert said["finish_reason"] == "function_call"
    assert said["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in said["message"]


def test_a_renamed_tool_gets_its_name_back() -> None:
    tools = [{"type": "function", "function": {"name": "a.b"}}]
    (call,) = message(answer(ToolCall("call_1", flat_name(None, "a.b"), "{}")), tools=tools)["tool_calls"]
    assert call["function"]["name"] == "a.b"


@pytest.mark.parametrize(
    ("blocks", "finish", "word"),
    [
        ((Text("a"),), FinishReason.STOP, "stop"),
        ((Text("a"),), FinishReason.STOP_SEQUENCE, "stop"),
        ((Text("a"),), FinishReason.PAUSED, "stop"),
        ((Text("a"),), FinishReason.LENGTH, "length"),
        ((Text("a"),), FinishReason.CONTEXT, "length"),
        ((Text("a"),), FinishReason.FILTERED, "content_filter"),
        ((Text("a"),), FinishReason.REFUSAL, "content_filter"),
        ((Refusal("a"),), FinishReason.REFUSAL, "stop"),
        ((ToolCall("1", "f", ""),), FinishReason.TOOL_CALLS, "tool_calls"),
        ((ToolCall("1", "f", ""),), FinishReason.STOP, "tool_calls"),
        ((ToolCall("1", "f", ""),), FinishReason.LENGTH, "length"),
        ((Text("a"),), FinishReason.TOOL_CALLS, "stop"),
    ],
)
def test_finish_words(blocks: tuple[Block, ...], finish: FinishReason, word: str) -> None:
    assert encoded(answer(*blocks, finish=finish))["choices"][0]["finish_reason"] == word


def test_blocks_only_another_dialect_knows_are_left_out() -> None:
    search = Opaque(Dialect.ANTHROPIC_MESSAGES, "server_tool_use", {})
    assert message(answer(search, Text("a")))["content"] == "a"


def test_an_answer_survives_the_round_trip() -> None:
    annotation = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "u"}}
    calls = [function(), {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "ls"}}]
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    first = decode_response(
        wire(said(reasoning_content="hm", annotations=[annotation], tool_calls=calls), "tool_calls", usage=usage),
        "openai",
    )
    again = decode_response(encode_response(first, reply(decoded(**CUSTOM))), "openai")
    assert again.blocks == first.blocks
    assert (again.finish, again.raw_finish, again.usage) == (first.finish, first.raw_finish, first.usage)
