"""Frames as the providers send them, and what a client would make of the bytes."""

from __future__ import annotations

import json
from typing import Any

from lumen.protocols.dialects import Dialect
from lumen.protocols.sse import frame_data, split_frames
from lumen.protocols.stream_tap import StreamTap

BYTES_MAX = 1 << 20


def sse(payload: Any, event: str | None = None) -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(payload, separators=(',', ':'))}\n\n".encode()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **members: Any) -> bytes:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return sse({**_CHUNK, "choices": [choice], **members})


_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "m-1"}
CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
DONE = b"data: [DONE]\n\n"


def usage_chunk(usage: dict[str, Any] | None = None) -> bytes:
    return sse({**_CHUNK, "choices": [], "usage": usage or CHAT_USAGE})


def event(kind: str, **members: Any) -> bytes:
    return sse({"type": kind, **members}, kind)


def message_start(**usage: Any) -> bytes:
    counts = {"input_tokens": 12, "output_tokens": 1, **usage}
    return event("message_start", message={"id": "msg_1", "type": "message", "content": [], "usage": counts})


def text_delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def message_delta(stop_reason: str | None = "end_turn", **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": stop_reason}, usage={"output_tokens": 5, **usage})


MESSAGE_STOP = event("message_stop")


def anthropic_stream() -> list[bytes]:
    return [
        message_start(),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        text_delta("Hel"),
        text_delta("lo"),
        event("content_block_stop", index=0),
        message_delta(),
        MESSAGE_STOP,
    ]


def chat_stream() -> list[bytes]:
    return [
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk({"content": "Hel"}, usage=None),
        chunk({"content": "lo"}, usage=None),
        chunk(finish="stop", usage=None),
        usage_chunk(),
        DONE,
    ]


RESPONSES_USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 17,
}


def response(status: str, **members: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, "error": None, "usage": None, **members}


def responses_stream() -> list[bytes]:
    return [
        event("response.created", sequence_number=0, response=response("in_progress")),
        event("response.in_progress", sequence_number=1, response=response("in_progress")),
        event("response.output_text.delta", sequence_number=2, item_id="msg_1", delta="Hel"),
        event("response.output_text.delta", sequence_number=3, item_id="msg_1", delta="lo"),
        event("response.output_text.done", sequence_number=4, item_id="msg_1", text="Hello"),
        event("response.completed", sequence_number=5, response=response("completed", usage=RESPONSES_USAGE)),
    ]


STREAMS = {
    Dialect.OPENAI_CHAT: chat_stream(),
    Dialect.OPENAI_RESPONSES: responses_stream(),
    Dialect.ANTHROPIC_MESSAGES: anthropic_stream(),
}
# How many frames of each stream go out before the finish.
FRAMES_BEFORE_FINISH = {
    Dialect.OPENAI_CHAT: 3,
    Dialect.OPENAI_RESPONSES: 5,
    Dialect.ANTHROPIC_MESSAGES: 6,
}


def tap_for(dialect: Dialect, **options: Any) -> StreamTap:
    options = {"suppress_usage_chunk": False, "frame_bytes_max": BYTES_MAX, "held_bytes_max": BYTES_MAX, **options}
    return StreamTap(dialect, **options)


def run(dialect: Dialect, reads: list[bytes], **options: Any) -> tuple[StreamTap, bytes]:
    """(the closed tap, what it let out)"""
    tap = tap_for(dialect, **options)
    relayed = b"".join(tap.feed(read) for read in reads)
    tap.close()
    return tap, relayed


def payloads(data: bytes) -> list[Any]:
    """What a client reads: decoded events, and "[DONE]"."""
    said = [frame_data(frame) for frame in split_frames(data)]
    return ["[DONE]" if text == b"[DONE]" else json.loads(text) for text in said if text is not None]
