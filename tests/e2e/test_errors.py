"""Every refusal in the client's own dialect, with the headers that tell its SDK what to do next."""

from __future__ import annotations

import time
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.fixtures.stack import Customer, Stack, until

ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
CLAUDE = "claude-opus-4-8"


@pytest.fixture(scope="module")
def customer(stack: Stack) -> Customer:
    return stack.customer("10")


def body_for(endpoint: str, model: str = CLAUDE, prompt: str = "Hello") -> dict[str, Any]:
    if endpoint == "/v1/responses":
        return {"model": model, "input": prompt, "stream": False}
    return {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": prompt}], "stream": False}


def post(stack: Stack, endpoint: str, key: str | None, body: Any = None, **headers: str) -> httpx.Response:
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    content = body if isinstance(body, bytes) else None
    document = None if isinstance(body, bytes) else body or body_for(endpoint)
    return httpx.post(f"{stack.base_url}{endpoint}", json=document, content=content, headers=headers, timeout=30)


def expect_error(answer: httpx.Response, endpoint: str, status: int, openai_code: str | None, kind: str) -> None:
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert answer.headers["x-request-id"].startswith("req_")
    assert document["error"]["message"]
    if endpoint == "/v1/messages":
        assert document["type"] == "error"
        assert document["error"]["type"] == kind
        assert document["request_id"] == answer.headers["request-id"]
    else:
        assert set(document["error"]) == {"message", "type", "param", "code"}
        assert document["error"]["code"] == openai_code
    if status in (401, 402, 403, 404):
        assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_missing_key_is_401(stack: Stack, endpoint: str) -> None:
    expect_error(post(stack, endpoint, None), endpoint, 401, "invalid_api_key", "authentication_error")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_unknown_key_is_401(stack: Stack, endpoint: str) -> None:
    answer = post(stack, endpoint, "sk-lumen-" + "x" * 40)
    expect_error(answer, endpoint, 401, "invalid_api_key", "authentication_error")


def test_x_api_key_is_told_where_the_key_belongs(stack: Stack, customer: Customer) -> None:
    answer = post(stack, "/v1/messages", None, **{"x-api-key": customer.key})
    expect_error(answer, "/v1/messages", 401, None, "authentication_error")
    assert "Authorization: Bearer" in answer.json()["error"]["message"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": 5}', b'{"model": "claude-opus-4-8"}', b'{"x": "\xff"}'])
def test_an_invalid_body_is_400(stack: Stack, customer: Customer, endpoint: str, body: bytes) -> None:
    answer = post(stack, endpoint, customer.key, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_credits_is_402(stack: Stack, endpoint: str) -> None:
    poor = stack.customer("0")
    answer = post(stack, endpoint, poor.key)
    expect_error(answer, endpoint, 402, "insufficient_quota", "billing_error")


def test_credits_that_arrive_end_the_402_at_once(stack: Stack) -> None:
    poor = stack.customer("0")
    assert post(stack, "/v1/messages", poor.key).status_code == 402
    stack.credit(poor.account, "5")
    assert post(stack, "/v1/messages", poor.key).status_code == 200


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_restricted_group_is_403_for_strangers(stack: Stack, endpoint: str) -> None:
    restricted = stack.customer("5", "cc_only")
    answer = post(stack, endpoint, restricted.key)
    expect_error(answer, endpoint, 403, "permission_denied", "permission_error")


def test_a_restricted_group_serves_claude_code(stack: Stack) -> None:
    restricted = stack.customer("5", "cc_only")
    answer = httpx.post(
        f"{stack.base_url}/v1/messages?beta=true",
        json=body_for("/v1/messages"),
        headers={
            "authorization": f"Bearer {restricted.key}",
            "user-agent": "claude-cli/2.1.330 (external, cli)",
            "x-app": "cli",
            "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
            "anthropic-version": "2023-06-01",
        },
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_model_outside_the_group_is_404(stack: Stack, customer: Customer, endpoint: str) -> None:
    answer = post(stack, endpoint, customer.key, body_for(endpoint, model="no-such-model"))
    expect_error(answer, endpoint, 404, "model_not_found", "not_found_error")


def test_a_model_the_key_may_not_use_is_403(stack: Stack) -> None:
    limited = stack.customer("5", models=["gpt-5.5"])
    answer = post(stack, "/v1/chat/completions", limited.key)
    expect_error(answer, "/v1/chat/completions", 403, "permission_denied", "permission_error")
    allowed = body_for("/v1/chat/completions", model="gpt-5.5")
    assert post(stack, "/v1/chat/completions", limited.key, allowed).status_code == 200


def test_an_address_the_key_may_not_use_is_403(stack: Stack) -> None:
    elsewhere = stack.customer("5", ips=["192.0.2.0/24"])
    answer = post(stack, "/v1/messages", elsewhere.key)
    expect_error(answer, "/v1/messages", 403, None, "permission_error")


def test_a_rate_limit_is_429_with_retry_after(stack: Stack) -> None:
    slow = stack.customer("5", rpm=2)
    statuses = [post(stack, "/v1/chat/completions", slow.key) for _ in range(3)]
    assert [answer.status_code for answer in statuses] == [200, 200, 429]
    expect_error(statuses[-1], "/v1/chat/completions", 429, "rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(statuses[-1].headers["retry-after"]) <= 60


def test_a_spend_limit_of_the_key_is_402(stack: Stack) -> None:
    limited = stack.customer("5", spend_limit_usd="0.000001")
    answer = post(stack, "/v1/messages", limited.key)
    expect_error(answer, "/v1/messages", 402, None, "billing_error")
    assert "spend limit" in answer.json()["error"]["message"]


def test_a_body_that_is_too_large_is_413(stack: Stack, customer: Customer) -> None:
    answer = post(stack, "/v1/messages", customer.key, b'{"x": "' + b"y" * (33 * 1024 * 1024) + b'"}')
    expect_error(answer, "/v1/messages", 413, "request_too_large", "request_too_large")


def test_a_revoked_key_stops_within_a_second(stack: Stack) -> None:
    leaver = stack.customer("5")
    assert post(stack, "/v1/messages", leaver.key).status_code == 200
    stack.admin("POST", f"/keys/{leaver.key_id}/revoke")
    revoked_at = time.monotonic()
    until(lambda: post(stack, "/v1/messages", leaver.key).status_code == 401, "the key is refused", 5)
    assert time.monotonic() - revoked_at < 1.0


def test_a_suspended_account_is_403(stack: Stack) -> None:
    suspended = stack.customer("5")
    assert post(stack, "/v1/messages", suspended.key).status_code == 200
    stack.admin("POST", f"/accounts/{suspended.account}/status", {"status": "suspended"})
    until(lambda: post(stack, "/v1/messages", suspended.key).status_code == 403, "the account is refused", 5)


@pytest.mark.parametrize("path", ["/v1/v1/chat/completions", "/chat/completions", "/v1/nothing"])
def test_an_unknown_route_is_404_with_a_hint(stack: Stack, customer: Customer, path: str) -> None:
    answer = post(stack, path, customer.key, {"model": "x"})
    expect_error(answer, "/v1/chat/completions", 404, "unknown_url", "not_found_error")
    if "chat" in path:
        assert "did you mean /v1/chat/completions?" in answer.json()["error"]["message"].replace("Did", "did")


def test_get_on_a_model_endpoint_is_405(stack: Stack) -> None:
    answer = httpx.get(f"{stack.base_url}/v1/messages")
    assert answer.status_code == 405
    assert answer.json()["type"] == "error"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ({"status": 429, "retry_after": 7}, 429),
        ({"status": 500}, 500),
        ({"status": 529}, 529),
        ({"status": 400, "message": "max_tokens is too large"}, 400),
        ({"status": 422}, 422),
    ],
)
def test_an_upstream_status_passes_through(
    stack: Stack, customer: Customer, script: dict[str, Any], status: int
) -> None:
    directive = " ".join(
        f'{name}="{value}"' if " " in str(value) else f"{name}={value}" for name, value in script.items()
    )
    answer = post(stack, "/v1/messages", customer.key, body_for("/v1/messages", prompt=f"[[sim {directive}]]"))
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == "error"
    if "retry_after" in script:
        assert answer.headers["retry-after"] == "7"
    if "message" in script:
        assert "max_tokens is too large" in answer.json()["error"]["message"]


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_trouble_of_our_provider_account_is_502_without_its_words(
    stack: Stack, customer: Customer, status: int
) -> None:
    prompt = f'[[sim status={status} message="the key sk-secret is wrong"]]'
    answer = post(stack, "/v1/chat/completions", customer.key, body_for("/v1/chat/completions", prompt=prompt))
    expect_error(answer, "/v1/chat/completions", 502, "upstream_failed", "api_error")
    assert "sk-secret" not in answer.text


def test_a_providers_429_without_a_time_gets_one(stack: Stack, customer: Customer) -> None:
    answer = post(stack, "/v1/responses", customer.key, body_for("/v1/responses", prompt="[[sim status=429]]"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_failed_requests_cost_nothing(stack: Stack) -> None:
    unlucky = stack.customer("1")
    prompt = "[[sim status=500]]"
    assert post(stack, "/v1/messages", unlucky.key, body_for("/v1/messages", prompt=prompt)).status_code == 500
    assert stack.lumen("reconcile")["is_ok"]
    assert stack.balance_nanousd(unlucky.account) == unlucky.credits_nanousd


def test_sdks_raise_their_own_exceptions(stack: Stack, customer: Customer) -> None:
    with (
        openai.OpenAI(base_url=f"{stack.base_url}/v1", api_key="sk-lumen-wrong", max_retries=2) as client,
        pytest.raises(openai.AuthenticationError) as wrong_key,
    ):
        client.chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": "x"}])
    assert wrong_key.value.code == "invalid_api_key"
    with (
        anthropic.Anthropic(base_url=stack.base_url, auth_token=customer.key, api_key=None, max_retries=0) as claude,
        pytest.raises(anthropic.NotFoundError),
    ):
        claude.messages.create(model="nothing", max_tokens=1, messages=[{"role": "user", "content": "x"}])
