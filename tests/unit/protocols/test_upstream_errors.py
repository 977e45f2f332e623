"""Provider errors in any shape become our client's error, without what they give away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ErrorKind, pass_on_upstream_error, read_upstream_error
from lumen.protocols.stream_tap import UpstreamStreamError
from lumen.protocols.upstream_errors import MESSAGE_CHARS_MAX, UpstreamMessage, sanitise

CLIENT_DIALECTS = [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES]
SECRETS = [
    "sk-proj-AbCdEf0123456789abcdef",
    "sk-ant-api03-abc_DEF-123",
    "sk-...aB3d",
    "sk-12*****89",
    "AIzaSyA1234567890abcdefghijklmnopqrstu",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def",
    "0123456789abcdef0123456789abcdef.AbCdEfGh12345678",
    "org-AbC123dEf456GhI789",
    "org_01ABCdef",
    "proj_abc123DEF456",
    "req_011CSHoEeqs5C35K2UUqR7Fy",
    "ops+team@provider.example.com",
    "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "Bearer abc.def.ghi",
]


def passed_on(status: int, body: Any, dialect: Dialect = Dialect.OPENAI_CHAT) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, out = pass_on_upstream_error(dialect, status, raw, "r-1")
    return status, json.loads(out)["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "bad thing", "type": "x", "code": None, "param": None}},
        {"type": "error", "error": {"type": "invalid_request_error", "message": "bad thing"}, "request_id": "req_1"},
        {"error": {"code": 400, "message": "bad thing", "status": "INVALID_ARGUMENT"}},
        [{"error": {"code": 400, "message": "bad thing", "status": "INVALID_ARGUMENT"}}],
        {"error": "bad thing"},
        {"message": "bad thing", "request_id": "1"},
        {"detail": "bad thing"},
        {"detail": [{"loc": ["body"], "msg": "bad thing"}]},
        {"base_resp": {"status_code": 1004, "status_msg": "bad thing"}},
        "bad thing",
    ],
)
@pytest.mark.parametrize("dialect", CLIENT_DIALECTS)
def test_the_message_is_found_in_every_shape(body: Any, dialect: Dialect) -> None:
    status, error = passed_on(400, body, dialect)
    assert (status, error["message"], error["type"]) == (400, "bad thing", "invalid_request_error")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html><body>502 Bad Gateway nginx</body></html>", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 99_999, b"12"],
)
@pytest.mark.parametrize("status", [400, 413, 422, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("dialect", CLIENT_DIALECTS)
def test_bodies_without_a_message_get_one(body: bytes, status: int, dialect: Dialect) -> None:
    passed_status, error = passed_on(status, body, dialect)
    assert passed_status == status
    assert error["message"].startswith("The provider ")


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_and_identifiers_are_removed(secret: str) -> None:
    message = f"Incorrect value provided: {secret}. See the documentation (request id: abc-{secret})"
    text = sanitise(message)
    assert secret not in text
    assert secret[-6:] not in text
    assert text.startswith("Incorrect value provided: ")
    assert "See the documentation" in text


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "messages.3: `tool_use` ids were found without `tool_result` blocks: toolu_01A09q90qw90lq917835lq9",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "Invalid schema for function 'task-risk-assess': key 'user_name' is missing",
    ],
)
def test_messages_that_help_the_client_stay_whole(message: str) -> None:
    assert sanitise(message) == message
    assert passed_on(400, {"error": {"message": message}})[1]["message"] == message


def test_long_messages_are_cut() -> None:
    assert len(passed_on(400, {"error": {"message": "x y " * 10_000}})[1]["message"]) <= MESSAGE_CHARS_MAX


def test_control_characters_are_removed() -> None:
    assert sanitise("a\x00b\x1b[31m\tc\nd") == "a b [31m\tc\nd"


@pytest.mark.parametrize("status", [401, 402, 403, 404])
@pytest.mark.parametrize("dialect", CLIENT_DIALECTS)
def test_our_accounts_faults_are_502_without_the_providers_text(status: int, dialect: Dialect) -> None:
    passed_status, error = passed_on(status, {"error": {"message": "Incorrect API key sk-abcdefgh"}}, dialect)
    assert passed_status == 502
    assert error["message"] == "The provider failed to answer this request."


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"code": "insufficient_quota", "message": "You exceeded your current quota"}),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}),
        (400, {"status": "INVALID_ARGUMENT", "message": "API key not valid. Please pass a valid API key."}),
        (429, {"code": "1113", "message": "您的账户余额不足"}),
    ],
)
def test_a_provider_account_that_is_refused_is_our_fault_whatever_the_status(
    status: int, error: dict[str, str]
) -> None:
    fault = read_upstream_error(status, json.dumps({"error": error}).encode())
    assert fault.is_account_fault
    assert fault.error.status == 502


def test_an_error_inside_a_stream_is_judged_the_same_way() -> None:
    account = UpstreamStreamError(UpstreamMessage("Your credit balance is too low", "invalid_request_error"))
    assert account.is_account_fault
    assert account.api_error().kind is ErrorKind.UPSTREAM_FAILED
    assert "credit" not in account.api_error().message
    busy = UpstreamStreamError(UpstreamMessage("Slow down, org-abc123DEF!", code="rate_limit_exceeded"))
    assert not busy.is_account_fault
    assert (busy.api_error().kind, busy.api_error().message) == (ErrorKind.RATE_LIMIT, "Slow down, [removed]!")


def test_a_missing_model_upstream_is_502_but_no_account_fault() -> None:
    fault = read_upstream_error(404, b'{"error":{"message":"no such model"}}')
    assert (fault.error.status, fault.is_account_fault) == (502, False)


@pytest.mark.parametrize(
    ("status", "anthropic_type"),
    [
        (400, "invalid_request_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_statuses_pass_with_the_dialects_type(status: int, anthropic_type: str) -> None:
    passed_status, error = passed_on(status, {"error": {"message": "m"}}, Dialect.ANTHROPIC_MESSAGES)
    assert (passed_status, error["type"]) == (status, anthropic_type)


def test_failures_of_the_provider_lose_their_text() -> None:
    assert "node-17" not in passed_on(500, {"error": {"message": "panic at node-17"}})[1]["message"]


def test_code_and_param_pass_when_they_are_names() -> None:
    known = {"message": "m", "code": "context_length_exceeded", "param": "messages.[0].content"}
    _, error = passed_on(400, {"error": known})
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages.[0].content")
    _, error = passed_on(400, {"error": {"message": "m", "code": "sk-abcdef123456", "param": "a b"}})
    assert (error["code"], error["param"]) == (None, None)


@given(st.integers(400, 599), st.binary(max_size=200))
def test_no_answer_makes_it_raise(status: int, body: bytes) -> None:
    passed_status, out = pass_on_upstream_error(Dialect.ANTHROPIC_MESSAGES, status, body, "r")
    assert 400 <= passed_status <= 599
    assert json.loads(out)["type"] == "error"
