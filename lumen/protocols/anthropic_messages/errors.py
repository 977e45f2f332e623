"""`{"type": "error", "error": {"type", "message"}, "request_id"}`, over HTTP and as an `error` event."""

from __future__ import annotations

import msgspec

from lumen.protocols.error_kinds import ERROR_ROWS, ApiError


def encode_error(error: ApiError, request_id: str) -> bytes:
    row = ERROR_ROWS[error.kind]
    members = {"type": row.anthropic_type, "message": error.message}
    return msgspec.json.encode({"type": "error", "error": members, "request_id": request_id})


def encode_stream_error(error: ApiError, request_id: str, next_sequence: int | None) -> bytes:
    return b"event: error\ndata: " + encode_error(error, request_id) + b"\n\n"
