"""The vendors' own SDKs raise their typed exceptions for our bytes, before and inside a stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ERROR_ROWS, ApiError, ErrorKind, encode_error, encode_stream_error
from tests.unit.protocols.frames import FRAMES_BEFORE_FINISH, STREAMS

OPENAI_EXCEPTIONS: dict[ErrorKind, type[openai.APIStatusError]] = {
    ErrorKind.INVALID_REQUEST: openai.BadRequestError,
    ErrorKind.AUTHENTICATION: openai.AuthenticationError,
    ErrorKind.CREDITS_EXHAUSTED: openai.APIStatusError,
    ErrorKind.PERMISSION: openai.PermissionDeniedError,
    ErrorKind.NOT_FOUND: openai.NotFoundError,
    ErrorKind.UNKNOWN_ROUTE: openai.NotFoundError,
    ErrorKind.TOO_LARGE: openai.APIStatusError,
    ErrorKind.RATE_LIMIT: openai.RateLimitError,
    ErrorKind.UPSTREAM_FAILED: openai.InternalServerError,
    ErrorKind.UPSTREAM_TIMEOUT: openai.InternalServerError,
    ErrorKind.OVERLOADED: openai.InternalServerError,
    ErrorKind.INTERNAL: openai.InternalServerError,
}
# The SDK keeps the classes of the rarer statuses in a private module.
ANTHROPIC_EXCEPTIONS: dict[ErrorKind, str] = {
    ErrorKind.INVALID_REQUEST: "BadRequestError",
    ErrorKind.AUTHENTICATION: "AuthenticationError",
    ErrorKind.CREDITS_EXHAUSTED: "PaymentRequiredError",
    ErrorKind.PERMISSION: "PermissionDeniedError",
    ErrorKind.NOT_FOUND: "NotFoundError",
    ErrorKind.UNKNOWN_ROUTE: "NotFoundError",
    ErrorKind.TOO_LARGE: "ContentTooLargeError",
    ErrorKind.RATE_LIMIT: "RateLimitError",
    ErrorKind.UPSTREAM_FAILED: "InternalServerError",
    ErrorKind.UPSTREAM_TIMEOUT: "GatewayTimeoutError",
    ErrorKind.OVERLOADED: "ServiceUnavailableError",
    ErrorKind.INTERNAL: "InternalServerError",
}


def openai_client(status: int, content: bytes, content_type: str = "application/json") -> openai.OpenAI:
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(
            status, content=content, headers={"content-type": content_type, "x-request-id": "r-1"}
        )
    )
    http_client = httpx2.Client(transport=transport)
    return openai.OpenAI(api_key="k", base_url="http://lumen.test/v1", http_client=http_client, max_retries=0)


def anthropic_client(status: int, content: bytes, content_type: str = "application/json") -> anthropic.Anthropic:
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(status, content=content, headers={"content-type": content_type})
    )
    http_client = httpx2.Client(transport=transport)
    return anthropic.Anthropic(auth_token="k", base_url="http://lumen.test", http_client=http_client, max_retries=0)


def test_every_kind_has_a_row() -> None:
    assert set(ERROR_ROWS) == set(ErrorKind) == set(OPENAI_EXCEPTIONS) == set(ANTHROPIC_EXCEPTIONS)


def ask_chat(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="m", messages=[])


def ask_responses(client: openai.OpenAI) -> Any:
    return client.responses.create(model="m", input="x")


@pytest.mark.parametrize("kind", list(ErrorKind))
@pytest.mark.parametrize(
    ("dialect", "ask"), [(Dialect.OPENAI_CHAT, ask_chat), (Dialect.OPENAI_RESPONSES, ask_responses)]
)
def test_the_openai_sdk_raises_its_typed_exception(
    dialect: Dialect, ask: Callable[[openai.OpenAI], Any], kind: ErrorKind
) -> None:
    error = ApiError(kind, "It is so.", param="model")
    client = openai_client(error.status, encode_error(dialect, error, "r-1"))
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client)
    row = ERROR_ROWS[kind]
    assert type(caught.value) is OPENAI_EXCEPTIONS[kind]
    assert caught.value.status_code == row.status
    assert (caught.value.type, caught.value.code, caught.value.param) == (row.openai_type, row.openai_code, "model")
    assert "It is so." in caught.value.message
    assert caught.value.request_id == "r-1"


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_the_anthropic_sdk_raises_its_typed_exception(kind: ErrorKind) -> None:
    error = ApiError(kind, "It is so.")
    client = anthropic_client(error.status, encode_error(Dialect.ANTHROPIC_MESSAGES, error, "r-1"))
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[])
    assert type(caught.value).__name__ == ANTHROPIC_EXCEPTIONS[kind]
    assert caught.value.status_code == ERROR_ROWS[kind].status
    assert caught.value.type == ERROR_ROWS[kind].anthropic_type
    assert caught.value.body == {
        "type": "error",
        "error": {"type": ERROR_ROWS[kind].anthropic_type, "message": "It is so."},
        "request_id": "r-1",
    }


def broken_stream(dialect: Dialect) -> bytes:
    error = ApiError(ErrorKind.OVERLOADED, "The provider is overloaded.")
    frames = STREAMS[dialect][: FRAMES_BEFORE_FINISH[dialect]]
    return b"".join(frames) + encode_stream_error(dialect, error, "r-1", next_sequence=5)


def test_the_openai_sdk_surfaces_an_error_inside_a_chat_stream() -> None:
    client = openai_client(200, broken_stream(Dialect.OPENAI_CHAT), "text/event-stream")
    chunks: list[Any] = []
    with pytest.raises(openai.APIError, match="The provider is overloaded") as caught:
        chunks.extend(client.chat.completions.create(model="m", messages=[], stream=True))
    assert caught.value.code == "server_is_overloaded"


def test_the_openai_sdk_surfaces_an_error_inside_a_responses_stream() -> None:
    client = openai_client(200, broken_stream(Dialect.OPENAI_RESPONSES), "text/event-stream")
    events: list[Any] = []
    with pytest.raises(openai.APIError, match="The provider is overloaded") as caught:
        events.extend(client.responses.create(model="m", input="x", stream=True))
    assert caught.value.code == "server_is_overloaded"


def test_the_responses_error_event_has_its_documented_members() -> None:
    error = ApiError(ErrorKind.INTERNAL, "Oh.")
    frame = encode_stream_error(Dialect.OPENAI_RESPONSES, error, "r-1", next_sequence=7)
    event = json.loads(frame.split(b"data: ")[1])
    assert frame.startswith(b"event: error\n")
    assert {name: event[name] for name in ("type", "code", "message", "param", "sequence_number")} == {
        "type": "error",
        "code": "internal_error",
        "message": "Oh.",
        "param": None,
        "sequence_number": 7,
    }


def test_the_anthropic_sdk_surfaces_an_error_inside_a_stream() -> None:
    client = anthropic_client(200, broken_stream(Dialect.ANTHROPIC_MESSAGES), "text/event-stream")
    events: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        events.extend(client.messages.create(model="m", max_tokens=1, messages=[], stream=True))
    assert caught.value.type == "overloaded_error"
    assert caught.value.api_message == "The provider is overloaded."
    assert len(events) == FRAMES_BEFORE_FINISH[Dialect.ANTHROPIC_MESSAGES] - 1  # the SDK skips the ping


def test_code_and_status_can_be_overridden() -> None:
    error = ApiError(ErrorKind.INVALID_REQUEST, "Too long.", "messages", "context_length_exceeded", status=422)
    assert error.status == 422
    body = json.loads(encode_error(Dialect.OPENAI_CHAT, error, "r"))
    assert body["error"] == {
        "message": "Too long.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }


def test_an_api_error_reads_as_its_message() -> None:
    assert str(ApiError(ErrorKind.INTERNAL, "Oh.")) == "Oh."
