"""The errors and headers that OpenAI's two APIs share. https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations

from typing import Any

from simulator.dialect import encode_json

# status -> (type, code)
_ERRORS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    422: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
    503: ("service_unavailable_error", "server_overloaded"),
}


def encode_openai_error(status: int, message: str, param: str | None) -> bytes:
    kind, code = _ERRORS.get(status, ("server_error", None))
    return encode_json({"error": {"message": message, "type": kind, "param": param, "code": code}})


def stream_error_members(message: str) -> dict[str, Any]:
    return {
        "message": message or "The server had an error while processing your request.",
        "param": None,
        "code": "server_error",
    }


def openai_headers(digest: str) -> list[tuple[str, str]]:
    return [
        ("x-request-id", f"req_{digest}"),
        ("openai-organization", "org-simulated"),
        ("openai-processing-ms", "12"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-remaining-requests", "9999"),
    ]
