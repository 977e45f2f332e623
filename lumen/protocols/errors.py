"""Lumen's errors in each client dialect's official shape, before and inside a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lumen.protocols.anthropic_messages import errors as _anthropic_messages
from lumen.protocols.dialects import Dialect
from lumen.protocols.error_kinds import ERROR_ROWS, ApiError, ErrorKind, ErrorRow
from lumen.protocols.openai_chat import errors as _openai_chat
from lumen.protocols.openai_responses import errors as _openai_responses
from lumen.protocols.upstream_errors import UpstreamFault, read_upstream_error

__all__ = [
    "ERROR_ROWS",
    "ApiError",
    "ErrorKind",
    "ErrorRow",
    "UpstreamFault",
    "encode_error",
    "encode_stream_error",
    "pass_on_upstream_error",
    "read_upstream_error",
]

_ENCODERS: Mapping[Dialect, Callable[[ApiError, str], bytes]] = {
    Dialect.OPENAI_CHAT: _openai_chat.encode_error,
    Dialect.OPENAI_RESPONSES: _openai_responses.encode_error,
    Dialect.ANTHROPIC_MESSAGES: _anthropic_messages.encode_error,
}

_STREAM_ENCODERS: Mapping[Dialect, Callable[[ApiError, str, int | None], bytes]] = {
    Dialect.OPENAI_CHAT: _openai_chat.encode_stream_error,
    Dialect.OPENAI_RESPONSES: _openai_responses.encode_stream_error,
    Dialect.ANTHROPIC_MESSAGES: _anthropic_messages.encode_stream_error,
}


def encode_error(dialect: Dialect, error: ApiError, request_id: str) -> bytes:
    """The JSON body of an error answer; its status is `error.status`. KeyError for a dialect no client speaks."""
    return _ENCODERS[dialect](error, request_id)


def encode_stream_error(dialect: Dialect, error: ApiError, request_id: str, *, next_sequence: int | None) -> bytes:
    """One SSE frame for a stream that cannot go on. `next_sequence` is the frame's number (Responses only)."""
    return _STREAM_ENCODERS[dialect](error, request_id, next_sequence)


def pass_on_upstream_error(dialect: Dialect, status: int, body: bytes, request_id: str) -> tuple[int, bytes]:
    """A provider's error answer as (status, body) for our client: its dialect, nothing of our provider account."""
    error = read_upstream_error(status, body).error
    return error.status, encode_error(dialect, error, request_id)
