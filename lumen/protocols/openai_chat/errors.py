"""`{"error": {"message", "type", "param", "code"}}`, the shape of all of OpenAI's HTTP errors."""

from __future__ import annotations

import msgspec

from lumen.protocols.error_kinds import ERROR_ROWS, ApiError


def error_members(error: ApiError) -> dict[str, str | None]:
    row = ERROR_ROWS[error.kind]
    return {
        "message": error.message,
        "type": row.openai_type,
        "param": error.param,
        "code": error.code or row.openai_code,
    }


def encode_error(error: ApiError, request_id: str) -> bytes:
    """The request id travels in a header only."""
    return msgspec.json.encode({"error": error_members(error)})


def encode_stream_error(error: ApiError, request_id: str, next_sequence: int | None) -> bytes:
    return b"data: " + encode_error(error, request_id) + b"\n\n"
