"""A chunk as it is on the wire, its members loosely typed: what is no string where one belongs is sorted out by who
reads it, so that one odd member of a relative does not cost the chunk.

https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from typing import Any

import msgspec

from lumen.protocols.provider_values import UNREADABLE


class Delta(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    annotations: Any = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(msgspec.Struct, gc=False):
    delta: Delta | None = None
    finish_reason: Any = None
    index: Any = 0
    usage: Any = None


class Chunk(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None
    usage: Any = None
    id: Any = None
    model: Any = None
    service_tier: Any = None
    error: Any = None
    code: Any = None
    message: Any = None
    base_resp: Any = None


_chunks = msgspec.json.Decoder(Chunk)


def decode_chunk(data: bytes) -> Chunk | None:
    """None for what is none: `[DONE]`, or nothing that can be read."""
    try:
        return _chunks.decode(data)
    except UNREADABLE:
        return None


def is_error(chunk: Chunk) -> bool:
    """`{"error": ...}`, DashScope's `{"code", "message"}`, MiniMax's `base_resp` with a status that is not 0."""
    if chunk.error:
        return True
    if isinstance(chunk.base_resp, dict) and chunk.base_resp.get("status_code"):
        return True
    return bool(chunk.code) and isinstance(chunk.message, str)
