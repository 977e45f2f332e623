"""What can go wrong for a client, as data: one row per kind with its status and each dialect's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ErrorKind(StrEnum):
    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    CREDITS_EXHAUSTED = "credits_exhausted"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    UNKNOWN_ROUTE = "unknown_route"
    TOO_LARGE = "too_large"
    RATE_LIMIT = "rate_limit"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class ErrorRow:
    status: int
    openai_type: str
    openai_code: str | None
    anthropic_type: str


# https://platform.openai.com/docs/guides/error-codes, https://docs.claude.com/en/api/errors
ERROR_ROWS: Mapping[ErrorKind, ErrorRow] = {
    ErrorKind.INVALID_REQUEST: ErrorRow(400, "invalid_request_error", None, "invalid_request_error"),
    ErrorKind.AUTHENTICATION: ErrorRow(401, "invalid_request_error", "invalid_api_key", "authentication_error"),
    ErrorKind.CREDITS_EXHAUSTED: ErrorRow(402, "insufficient_quota", "insufficient_quota", "billing_error"),
    ErrorKind.PERMISSION: ErrorRow(403, "invalid_request_error", "permission_denied", "permission_error"),
    ErrorKind.NOT_FOUND: ErrorRow(404, "invalid_request_error", "model_not_found", "not_found_error"),
    ErrorKind.UNKNOWN_ROUTE: ErrorRow(404, "invalid_request_error", "unknown_url", "not_found_error"),
    ErrorKind.TOO_LARGE: ErrorRow(413, "invalid_request_error", "request_too_large", "request_too_large"),
    ErrorKind.RATE_LIMIT: ErrorRow(429, "requests", "rate_limit_exceeded", "rate_limit_error"),
    ErrorKind.UPSTREAM_FAILED: ErrorRow(502, "server_error", "upstream_failed", "api_error"),
    ErrorKind.UPSTREAM_TIMEOUT: ErrorRow(504, "server_error", "upstream_timeout", "timeout_error"),
    ErrorKind.OVERLOADED: ErrorRow(503, "server_error", "server_is_overloaded", "overloaded_error"),
    ErrorKind.INTERNAL: ErrorRow(500, "server_error", "internal_error", "api_error"),
}


class ApiError(Exception):
    """An error on its way to the client. `message` is read by people; `code` and `status` override the table's."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        param: str | None = None,
        code: str | None = None,  # OpenAI's dialects only; Anthropic has none
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.code = code
        self.status = status or ERROR_ROWS[kind].status
        self.retry_after_s = retry_after_s
