"""Gemini's chunks, and what a decoder makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lumen.protocols.canonical.events import Event
from lumen.protocols.gemini_generate.stream_decoder import GeminiStreamDecoder
from tests.unit.protocols.grammar import assert_grammatical

USAGE = {
    "promptTokenCount": 12,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 17,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
}


def chunk(*parts: dict[str, Any], finish: str | None = None, **members: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if not parts:
        del candidate["content"]
    if finish is not None:
        candidate["finishReason"] = finish
    candidate.update(members)
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-3-pro", "responseId": "r1"}


def text(value: str, **members: Any) -> dict[str, Any]:
    return {"text": value, **members}


def thought(value: str, **members: Any) -> dict[str, Any]:
    return {"text": value, "thought": True, **members}


def call(name: str, args: dict[str, Any] | None = None, call_id: str = "", **members: Any) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if args is not None:
        function["args"] = args
    if call_id:
        function["id"] = call_id
    return {"functionCall": function, **members}


def frame(payload: Any, line_end: str = "\r\n") -> bytes:
    return f"data: {json.dumps(payload, ensure_ascii=False)}{line_end}{line_end}".encode()


def frames(payloads: Iterable[Any]) -> list[bytes]:
    return [frame(payload) for payload in payloads]


def decode(reads: Iterable[bytes]) -> list[Event]:
    """All events of a stream, which are grammatical."""
    return decode_counting(reads)[0]


def decode_counting(reads: Iterable[bytes]) -> tuple[list[Event], int]:
    """(events, anomalies)"""
    decoder = GeminiStreamDecoder(issuer="google", frame_bytes_max=1 << 20)
    events = [event for data in reads for event in decoder.feed(data)]
    events += decoder.close()
    assert_grammatical(events)
    return events, decoder.anomalies


# One answer in pieces, and whole.
RICH = [
    chunk(thought("Let me ")),
    chunk(thought("see.")),
    chunk(text("It is ")),
    chunk(text("sünny\u2028.")),
    chunk(text("", thoughtSignature="c2ln")),
    chunk(call("get_weather", {"city": "Köln"}, thoughtSignature="Y2FsbA=="), call("get_time")),
    chunk(text(""), finish="STOP"),
]
RICH_WHOLE = chunk(
    thought("Let me see."),
    text("It is sünny\u2028.", thoughtSignature="c2ln"),
    call("get_weather", {"city": "Köln"}, thoughtSignature="Y2FsbA=="),
    call("get_time"),
    finish="STOP",
)
