"""What a provider says went wrong, read from any shape and made fit for our client.

Whose fault decides. The client's (400, 413, 422 ...) and the provider's load (429) keep their message; our provider
account's (401, 402, 403, 404, or another status that speaks of its credit) and the provider's own failures get ours:
their text would only tell about the account. Every message that is kept loses keys and identifiers first.

Shapes seen: {"error": {...}} (OpenAI, Gemini), {"type": "error", "error": {...}} (Anthropic), [{"error": {...}}]
(Gemini streams), {"error": "..."}, {"message": "..."}, {"detail": ...}, {"base_resp": {...}} (MiniMax), HTML, nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from lumen.protocols.error_kinds import ApiError, ErrorKind
from lumen.protocols.provider_values import UNREADABLE

MESSAGE_CHARS_MAX = 2000
_BODY_BYTES_MAX = 64 * 1024

FAILED_MESSAGE = "The provider failed to answer this request."
_BUSY_MESSAGE = "The provider is limiting requests at the moment. Please retry."
_REFUSED_MESSAGE = "The provider refused this request."

_KIND_BY_STATUS = {
    400: ErrorKind.INVALID_REQUEST,
    408: ErrorKind.UPSTREAM_TIMEOUT,
    409: ErrorKind.INVALID_REQUEST,
    413: ErrorKind.TOO_LARGE,
    422: ErrorKind.INVALID_REQUEST,
    429: ErrorKind.RATE_LIMIT,
    500: ErrorKind.INTERNAL,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.UPSTREAM_TIMEOUT,
    529: ErrorKind.OVERLOADED,
}
# Statuses whose message is about what the client sent, or about load.
_MESSAGE_KEPT = frozenset({400, 409, 413, 422, 429})

# Our account at the provider has run dry or its key is refused. Statuses do not tell: Anthropic says the former with a
# 400, OpenAI and the Chinese providers with a 429, and Gemini the latter with a 400.
_ACCOUNT_CODES = frozenset(
    {
        "insufficient_quota",
        "exceeded_current_quota_error",
        "billing_error",
        "billing_hard_limit_reached",
        "account_deactivated",
        "arrearage",
        "invalid_api_key",
        "api_key_invalid",
        "authentication_error",
        "permission_error",
    }
)
_ACCOUNT_PHRASES = re.compile(
    r"exceeded your current quota|credit balance is too low|insufficient balance|api key not valid|余额不足|欠费",
    re.IGNORECASE,
)
_PHRASE_CHARS_MAX = 4000

_REMOVALS = (
    # Keys, whole or masked with stars or dots: OpenAI and its many relatives, Google, AWS, JWTs, Zhipu.
    re.compile(r"\bBearer\s+[\w.~+/=*-]+", re.IGNORECASE),
    re.compile(r"\b(?:sk|pk|rk|ak|xai|gsk)-[\w*.-]{4,}", re.IGNORECASE),
    re.compile(r"\b(?:AIza[\w-]{20,}|AKIA[0-9A-Z]{12,}|eyJ[\w-]{8,}(?:\.[\w-]+)*|[0-9a-f]{32}\.[\w-]{8,})"),
    # Identifiers of an organisation, project, request ...; the digit tells them from words such as `user_name`.
    re.compile(r"\b(?:org|proj|project|req|user|acct|team|ws|wrkspc|workspace|key|apikey)[-_](?=[\w-]*\d)[\w-]{6,}"),
    re.compile(r"\b[\w.%+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}\b"),
    re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE),
    # A request id of any other form, as it is quoted at the end of many messages, with its name and brackets.
    re.compile(
        r"[(\[]?\b(?:request|req|trace|log|correlation)[ _-]?id\b[\"']?\s{0,3}[:=]?\s{0,3}[\"']?"
        r"(?=[\w.:/+-]{0,40}\d)[\w.:/+-]{6,200}[\"']?[)\]]?",
        re.IGNORECASE,
    ),
)
_REMOVED = "[removed]"
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# What may be passed on as `code` or `param`: names, paths such as `messages.[0].content`, and nothing that is a secret.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{0,99}")


@dataclass(frozen=True, slots=True)
class UpstreamFault:
    """`error` is for our client. `is_account_fault`: our provider account's, so another channel may do better."""

    error: ApiError
    is_account_fault: bool


@dataclass(frozen=True, slots=True)
class UpstreamMessage:
    """The provider's own words, not yet sanitised."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""


def read_upstream_error(status: int, body: bytes) -> UpstreamFault:
    """`status` is the provider's (4xx or 5xx), `body` whatever came with it."""
    said = parse_message(body)
    if status in (401, 402, 403, 404) or speaks_of_account(said):
        return UpstreamFault(ApiError(ErrorKind.UPSTREAM_FAILED, FAILED_MESSAGE), status != 404)
    kind = _KIND_BY_STATUS.get(status, ErrorKind.UPSTREAM_FAILED)
    if status in _MESSAGE_KEPT:
        default = _BUSY_MESSAGE if status == 429 else _REFUSED_MESSAGE
        message = sanitise(said.message) or default
        error = ApiError(kind, message, _name(said.param), _name(said.code), status=status)
    elif status >= 500:
        error = ApiError(kind, FAILED_MESSAGE, status=status)
    else:
        error = ApiError(kind, FAILED_MESSAGE)
    return UpstreamFault(error, False)


def speaks_of_account(said: UpstreamMessage) -> bool:
    """Whether it is about our account at the provider rather than about the request."""
    if said.code.lower() in _ACCOUNT_CODES or said.type.lower() in _ACCOUNT_CODES:
        return True
    return _ACCOUNT_PHRASES.search(said.message, 0, _PHRASE_CHARS_MAX) is not None


def parse_message(body: bytes) -> UpstreamMessage:
    """Never raises; what is not JSON says nothing."""
    try:
        return message_of(msgspec.json.decode(body)) if len(body) <= _BODY_BYTES_MAX else UpstreamMessage()
    except UNREADABLE:
        return UpstreamMessage()


def message_of(payload: Any) -> UpstreamMessage:
    """From a decoded error body, or the payload of an error event."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if isinstance(payload, str):
        return UpstreamMessage(payload)
    if not isinstance(payload, dict):
        return UpstreamMessage()
    error = payload.get("error") or payload.get("detail") or payload.get("base_resp") or payload
    if isinstance(error, list):
        error = error[0] if error else payload
    if isinstance(error, str):
        return UpstreamMessage(error, code=_text(payload.get("code")))
    if not isinstance(error, dict):
        error = payload
    return UpstreamMessage(
        message=_text(error.get("message") or error.get("msg") or error.get("status_msg") or payload.get("message")),
        type=_text(error.get("type") or error.get("status")),
        code=_text(error.get("code") or error.get("status_code")),
        param=_text(error.get("param")),
    )


def sanitise(message: str) -> str:
    """Without keys, identifiers of our provider account and control characters; at most MESSAGE_CHARS_MAX."""
    text = _CONTROLS.sub(" ", message[: 2 * MESSAGE_CHARS_MAX])
    for pattern in _REMOVALS:
        text = pattern.sub(_REMOVED, text)
    return text[:MESSAGE_CHARS_MAX].strip()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _name(text: str) -> str | None:
    return text if _NAME.fullmatch(text) and sanitise(text) == text else None
