"""OpenAI's shape over HTTP; inside a stream an `error` event.

The event carries its members twice: beside `type` as the reference documents it, and under `error`, where the official
SDKs look before they raise. https://platform.openai.com/docs/api-reference/responses-streaming/error
"""

from __future__ import annotations

import msgspec

from lumen.protocols.error_kinds import ApiError
from lumen.protocols.openai_chat.errors import encode_error, error_members

__all__ = ["encode_error", "encode_stream_error"]


def encode_stream_error(error: ApiError, request_id: str, next_sequence: int | None) -> bytes:
    members = error_members(error)
    event = {
        "type": "error",
        "code": members["code"] or members["type"],
        "message": error.message,
        "param": error.param,
        "sequence_number": next_sequence or 0,
        "error": members,
    }
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
