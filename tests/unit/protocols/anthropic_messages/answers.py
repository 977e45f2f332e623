"""Answers as Anthropic sends them, whole and as streams, and what a client reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lumen.protocols.anthropic_messages.stream_decoder import AnthropicStreamDecoder
from lumen.protocols.anthropic_messages.stream_encoder import AnthropicStreamEncoder
from lumen.protocols.canonical.events import Event, StreamFailed
from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Reply, StreamDecoder, StreamEncoder
from lumen.protocols.dialects import Dialect
from tests.unit.protocols.frames import MESSAGE_STOP, event, payloads
from tests.unit.protocols.grammar import assert_grammatical

USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 5,
    "output_tokens_details": {"thinking_tokens": 2},
    "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
    "service_tier": "standard",
}
CITATION = {
    "type": "web_search_result_location",
    "url": "https://a",
    "title": "T",
    "cited_text": "c",
    "encrypted_index": "e",
}
SERVER_CALL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
SERVER_RESULT = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "hm, é\u2028", "signature": "sig/+=="},
    {"type": "redacted_thinking", "data": "enc=="},
    SERVER_CALL,
    SERVER_RESULT,
    {"type": "text", "text": "Hello", "citations": [CITATION]},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, "é"]}},
    {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
]


def message(*blocks: dict[str, Any], stop_reason: str | None = "end_turn", **members: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(blocks),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": USAGE,
        **members,
    }


def stream(whole: dict[str, Any]) -> list[bytes]:
    """The frames that spell a message out."""
    start = {**whole, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    frames = [event("message_start", message=start), event("ping")]
    for index, block in enumerate(whole["content"]):
        frames.append(event("content_block_start", index=index, content_block=_opening(block)))
        frames += [event("content_block_delta", index=index, delta=delta) for delta in _deltas(block)]
        frames.append(event("content_block_stop", index=index))
    ending = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in whole}
    return [*frames, event("message_delta", delta=ending, usage={"output_tokens": 5}), MESSAGE_STOP]


def _opening(block: dict[str, Any]) -> dict[str, Any]:
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    opening = {name: empty.get(name, value) for name, value in block.items()}
    opening.pop("citations", None)
    return opening


def _deltas(block: dict[str, Any]) -> Iterable[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": char} for char in block["thinking"])
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            yield from ({"type": "text_delta", "text": char} for char in block["text"])
            yield from ({"type": "citations_delta", "citation": one} for one in block.get("citations", ()))
        case "tool_use" | "server_tool_use":
            arguments = json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False) if block["input"] else ""
            yield {"type": "input_json_delta", "partial_json": ""}
            yield from ({"type": "input_json_delta", "partial_json": char} for char in arguments)


def decode_stream(reads: Iterable[bytes], *, anomalies: int = 0) -> list[Event]:
    decoder: StreamDecoder = AnthropicStreamDecoder(issuer="anthropic")
    events = [decoded for read in reads for decoded in decoder.feed(read)] + decoder.close()
    assert_grammatical(events)
    assert decoder.anomalies == anomalies
    return events


def reply(request: Request | None = None) -> Reply:
    return Reply(request or Request(Dialect.ANTHROPIC_MESSAGES, "m", ()), "the-model", 1_790_000_000, lambda: "0" * 24)


def encode_stream(events: Iterable[Event]) -> bytes:
    """What the client gets of a stream that ends well."""
    encoder: StreamEncoder = AnthropicStreamEncoder(reply())
    written = b""
    for one in events:
        assert not isinstance(one, StreamFailed)
        written += encoder.encode(one)
    return written + encoder.close()


def read_stream(events: Iterable[Event]) -> list[Any]:
    """Decoded frames; every one is named by its type."""
    written = encode_stream(events)
    read = payloads(written)
    named = [line.removeprefix(b"event: ").decode() for line in written.split(b"\n") if line.startswith(b"event: ")]
    assert named == [frame["type"] for frame in read]
    return read
