"""Whole answers, from the provider and to the client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lumen.money.usage import TokenUsage
from lumen.protocols import seals
from lumen.protocols.anthropic_messages.response_decoder import decode_response
from lumen.protocols.anthropic_messages.response_encoder import encode_response
from lumen.protocols.canonical.content import (
    Block,
    Citation,
    Extras,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
)
from lumen.protocols.canonical.events import FinishReason
from lumen.protocols.canonical.response import Response
from lumen.protocols.dialects import Dialect
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.anthropic_messages.answers import (
    BLOCKS,
    CITATION,
    SERVER_CALL,
    SERVER_RESULT,
    message,
    reply,
)

ANTHROPIC = Dialect.ANTHROPIC_MESSAGES
COUNTS = TokenUsage(
    input=12,
    cache_read=100,
    cache_write_5m=10,
    cache_write_1h=20,
    output=5,
    reasoning=2,
    server_tool_requests=1,
)


def decode(whole: Any, issuer: str = "anthropic") -> Response:
    return decode_response(json.dumps(whole).encode(), issuer)


def encode(*blocks: Block, finish: FinishReason = FinishReason.STOP, **members: Any) -> dict[str, Any]:
    response = Response("resp_1", "gpt-x", blocks, finish, **members)
    encoded: dict[str, Any] = json.loads(encode_response(response, reply()))
    return encoded


def test_an_answer_of_every_kind_of_block() -> None:
    assert decode(message(*BLOCKS, stop_reason="tool_use")) == Response(
        "msg_1",
        "claude-x",
        (
            Reasoning("hm, é\u2028", Seal("anthropic", "sig/+==")),
            Reasoning("", Seal("anthropic", "enc=="), is_redacted=True),
            Opaque(ANTHROPIC, "server_tool_use", SERVER_CALL),
            Opaque(ANTHROPIC, "web_search_tool_result", SERVER_RESULT),
            Text("Hello", (Citation("https://a", "T", "c", extras=Extras(ANTHROPIC, CITATION)),)),
            ToolCall("toolu_1", "f", '{"a":[1,"é"]}'),
            ToolCall("toolu_2", "g", "{}"),
        ),
        FinishReason.TOOL_CALLS,
        "tool_use",
        None,
        COUNTS,
        "standard",
    )


def test_seals_are_the_models_vendors() -> None:
    (block,) = decode(message({"type": "thinking", "thinking": "", "signature": "s"}), "minimax").blocks
    assert block == Reasoning("", Seal("minimax", "s"))


@pytest.mark.parametrize(
    ("raw", "finish"),
    [
        ("end_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("stop_sequence", FinishReason.STOP_SEQUENCE),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("pause_turn", FinishReason.PAUSED),
        ("refusal", FinishReason.REFUSAL),
        ("model_context_window_exceeded", FinishReason.CONTEXT),
        ("sensitive", FinishReason.FILTERED),
        ("something_new", FinishReason.STOP),
    ],
)
def test_stop_reasons(raw: str, finish: FinishReason) -> None:
    response = decode(message(stop_reason=raw))
    assert (response.finish, response.raw_finish, response.blocks) == (finish, raw, ())


def test_an_end_with_calls_is_a_tool_turn() -> None:
    response = decode(message(BLOCKS[-1], stop_reason="end_turn"))
    assert (response.finish, response.raw_finish) == (FinishReason.TOOL_CALLS, "end_turn")


def test_the_sequence_that_stopped_it() -> None:
    assert decode(message(stop_reason="stop_sequence", stop_sequence="END")).stop_sequence == "END"


def test_a_refusals_explanation_does_not_vanish() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "I cannot."}
    response = decode(message({"type": "text", "text": "So"}, stop_reason="refusal", stop_details=details))
    assert response.blocks == (Text("So"), Refusal("I cannot."))


def test_what_is_no_block_is_an_anomaly() -> None:
    response = decode({**message(), "content": [1, {"type": "text", "text": "Hi"}, {}], "usage": "none"})
    assert (response.blocks, response.anomalies, response.usage) == ((Text("Hi"),), 3, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"{}", b'{"content": "x"}', b"\xff"])
def test_what_is_no_answer_is_an_error_of_the_provider(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        decode_response(body, "anthropic")


def test_a_client_gets_its_own_model_and_a_message_id() -> None:
    encoded = encode(Text("Hi"), usage=TokenUsage(input=3, output=4))
    assert encoded == {
        "id": "msg_" + "0" * 24,
        "type": "message",
        "role": "assistant",
        "model": "the-model",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 4,
        },
    }


def test_usage_that_nobody_reported_is_zero_and_audio_and_images_are_input() -> None:
    assert encode()["usage"]["input_tokens"] == 0
    usage = encode(usage=TokenUsage(input=1, audio_input=2, image_input=4, output=8, audio_output=16))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (7, 24)


@pytest.mark.parametrize(
    ("block", "sent"),
    [
        (Text(""), None),
        (Refusal("I cannot."), {"type": "text", "text": "I cannot."}),
        (Reasoning(""), None),
        (Reasoning("", is_redacted=True), None),
        (Reasoning("hm"), {"type": "thinking", "thinking": "hm", "signature": ""}),
        (
            Reasoning("", Seal("openai", "enc==")),
            {"type": "thinking", "thinking": "", "signature": "lumen1.openai.enc=="},
        ),
        (ToolCall("toolu_1", "f", ""), {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}),
        (ToolCall("", "f", '{"a":1}'), {"type": "tool_use", "id": "toolu_" + "0" * 24, "name": "f", "input": {"a": 1}}),
        (Opaque(Dialect.OPENAI_RESPONSES, "web_search_call", {}), None),
        (Opaque(ANTHROPIC, "web_search_tool_result", SERVER_RESULT), SERVER_RESULT),
        (Text("Hi", (Citation(url="https://a"),)), {"type": "text", "text": "Hi"}),
    ],
)
def test_blocks_for_a_client(block: Block, sent: dict[str, Any] | None) -> None:
    assert encode(block)["content"] == ([] if sent is None else [sent])


def test_other_vendors_call_ids_and_seals_travel_in_the_id() -> None:
    seal = Seal("google", "thought==")
    call_id = encode(ToolCall("call:1", "f", "{}", seal=seal))["content"][0]["id"]
    assert seals.read_call_id(call_id, "toolu_") == ("call:1", seal)


@pytest.mark.parametrize(
    ("finish", "blocks", "sent"),
    [
        (FinishReason.STOP, (), "end_turn"),
        (FinishReason.STOP, (Refusal("no"),), "refusal"),
        (FinishReason.STOP, (ToolCall("a", "f", ""),), "tool_use"),
        (FinishReason.STOP_SEQUENCE, (), "stop_sequence"),
        (FinishReason.LENGTH, (ToolCall("a", "f", ""),), "max_tokens"),
        (FinishReason.CONTEXT, (), "model_context_window_exceeded"),
        (FinishReason.TOOL_CALLS, (), "tool_use"),
        (FinishReason.REFUSAL, (), "refusal"),
        (FinishReason.FILTERED, (), "refusal"),
        (FinishReason.PAUSED, (), "pause_turn"),
    ],
)
def test_stop_reasons_for_a_client(finish: FinishReason, blocks: tuple[Block, ...], sent: str) -> None:
    assert encode(*blocks, finish=finish)["stop_reason"] == sent


def test_a_filters_own_word_is_kept() -> None:
    details = encode(finish=FinishReason.FILTERED, raw_finish="RECITATION")["stop_details"]
    assert "RECITATION" in details["explanation"]
    assert encode(finish=FinishReason.REFUSAL)["stop_details"]["explanation"] is None
