"""CPU of one text delta on its way through a tap: passed through, and translated into each client's dialect.

In process and single-threaded: the least of several repeats, as every other figure is that plus what the machine was
doing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Reply
from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect
from lumen.protocols.sse_reader import FRAME_BYTES_MAX
from lumen.protocols.stream_tap import StreamTap
from lumen.protocols.translating_tap import TranslatingTap
from lumen.protocols.translation import stream_decoder, stream_encoder

_DELTAS = 2000
_REPEATS = 15
_TEXT = "a token "

Feed = Callable[[bytes], bytes]


def measure() -> dict[str, float]:
    """`<upstream> -> <client>` -> microseconds per delta; `passed through` where no translation takes place."""
    costs: dict[str, float] = {}
    for upstream, (opening, delta) in _STREAMS.items():
        if upstream in CLIENT_DIALECTS.values():
            costs[f"{upstream} passed through"] = _least(partial(_passing, upstream), opening, delta)
        for client in CLIENT_DIALECTS.values():
            if client is not upstream:
                costs[f"{upstream} -> {client}"] = _least(partial(_translating, upstream, client), opening, delta)
    return costs


def _passing(dialect: Dialect) -> Feed:
    return StreamTap(dialect).feed


def _translating(upstream: Dialect, client: Dialect) -> Feed:
    reply = Reply(Request(client, "m", ()), "m", 1_790_000_000, lambda: "0" * 24)
    decoder = stream_decoder(upstream, issuer="vendor", frame_bytes_max=FRAME_BYTES_MAX)
    return TranslatingTap(decoder, stream_encoder(client, reply)).feed


def _least(new_feed: Callable[[], Feed], opening: Sequence[bytes], delta: bytes) -> float:
    least = float("inf")
    for _ in range(_REPEATS):
        feed = new_feed()
        for frame in opening:
            feed(frame)
        assert _TEXT.encode() in feed(delta)
        started = time.process_time()
        for _ in range(_DELTAS):
            feed(delta)
        least = min(least, (time.process_time() - started) / _DELTAS * 1e6)
    return least


def _sse(payload: Mapping[str, Any], event: str = "") -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(payload, separators=(',', ':'))}\n\n".encode()


def _event(kind: str, **members: Any) -> bytes:
    return _sse({"type": kind, **members}, kind)


def _chunk(delta: Mapping[str, Any]) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    envelope = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "m"}
    return _sse({**envelope, "system_fingerprint": None, "choices": [choice], "usage": None})


_MESSAGE: Mapping[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
}
_ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
_PART = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
_AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}

# What opens the text, and one delta of it.
_STREAMS: Mapping[Dialect, tuple[Sequence[bytes], bytes]] = {
    Dialect.OPENAI_CHAT: ([_chunk({"role": "assistant", "content": ""})], _chunk({"content": _TEXT})),
    Dialect.OPENAI_RESPONSES: (
        [
            _event("response.created", sequence_number=0, response={"id": "resp_1", "model": "m", "output": []}),
            _event("response.output_item.added", sequence_number=1, output_index=0, item=_ITEM),
            _event("response.content_part.added", sequence_number=2, **_AT, part=_PART),
        ],
        _event("response.output_text.delta", sequence_number=3, **_AT, delta=_TEXT, logprobs=[], obfuscation="x"),
    ),
    Dialect.ANTHROPIC_MESSAGES: (
        [
            _event("message_start", message={**_MESSAGE, "usage": {"input_tokens": 5, "output_tokens": 1}}),
            _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ],
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": _TEXT}),
    ),
    Dialect.GEMINI_GENERATE: (
        [],
        _sse(
            {
                "candidates": [{"content": {"parts": [{"text": _TEXT}], "role": "model"}, "index": 0}],
                "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
                "modelVersion": "m",
                "responseId": "r",
            }
        ),
    ),
}
