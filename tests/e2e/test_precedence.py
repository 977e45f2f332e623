"""Of two errors in one request the client is told the one that DESIGN.md section 7 puts first.

401, 403 (client, IP), 400, 404, 403 (the key's models), 429, 402.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fixtures.stack import Customer, Stack, until

CLAUDE = "claude-opus-4-8"
MESSAGE = {"model": CLAUDE, "max_tokens": 5, "stream": False, "messages": [{"role": "user", "content": "x"}]}


def post(stack: Stack, key: str, body: Any, path: str = "/v1/messages") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    if isinstance(body, bytes):
        return httpx.post(f"{stack.base_url}{path}", content=body, headers=headers)
    return httpx.post(f"{stack.base_url}{path}", json=body, headers=headers)


@pytest.fixture(scope="module")
def stranger(stack: Stack) -> Customer:
    """A key of a group for Claude Code, without credits."""
    return stack.customer("0", "cc_only")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_401_before_400(stack: Stack, path: str) -> None:
    assert post(stack, "sk-lumen-nobody", b"{", path).status_code == 401


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_wrong_client_before_a_broken_body(stack: Stack, stranger: Customer, path: str) -> None:
    assert post(stack, stranger.key, b"{", path).status_code == 403


def test_a_wrong_client_before_an_unknown_model_and_no_credits(stack: Stack, stranger: Customer) -> None:
    assert post(stack, stranger.key, {**MESSAGE, "model": "none"}).status_code == 403


def test_a_wrong_address_before_a_broken_body(stack: Stack) -> None:
    elsewhere = stack.customer("0", ips=["192.0.2.0/24"])
    assert post(stack, elsewhere.key, b"{").status_code == 403


def test_a_broken_body_before_an_unknown_model_and_no_credits(stack: Stack) -> None:
    poor = stack.customer("0")
    assert post(stack, poor.key, {"model": "none", "messages": []}).status_code == 400


def test_an_unknown_model_before_the_keys_models_and_no_credits(stack: Stack) -> None:
    poor = stack.customer("0", models=["gpt-5.5"])
    assert post(stack, poor.key, {**MESSAGE, "model": "none"}).status_code == 404
    assert post(stack, poor.key, MESSAGE).status_code == 403


def test_the_rate_limit_before_no_credits(stack: Stack) -> None:
    poor = stack.customer("0", rpm=1)
    assert [post(stack, poor.key, MESSAGE).status_code for _ in range(2)] == [402, 429]


def test_an_expired_key_is_401(stack: Stack) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    brief = stack.customer("5", expires=soon)
    assert post(stack, brief.key, MESSAGE).status_code == 200
    answer = until(lambda: expired(post(stack, brief.key, MESSAGE)), "the key has expired", 10)
    assert answer.json()["error"]["type"] == "authentication_error"
    assert "expired" in answer.json()["error"]["message"]


def expired(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code == 401 else None


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/v1/messages", "POST"), ("PUT", "/v1/chat/completions", "POST"), ("POST", "/v1/models", "GET")],
)
def test_a_wrong_method_is_405_and_told_the_right_one(stack: Stack, method: str, path: str, allow: str) -> None:
    answer = httpx.request(method, f"{stack.base_url}{path}")
    assert answer.status_code == 405
    assert allow in answer.headers["allow"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_count_tokens_passes_a_provider_that_fails_over_and_reports_its_status(stack: Stack) -> None:
    customer = stack.customer("5")
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": "one two three"}]}
    counted = post(stack, customer.key, body, "/v1/messages/count_tokens")
    assert counted.status_code == 200
    assert counted.json()["input_tokens"] > 0
    body["messages"] = [{"role": "user", "content": "[[sim status=429 retry_after=3]]"}]
    limited = post(stack, customer.key, body, "/v1/messages/count_tokens")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
    assert limited.headers["request-id"].startswith("req_")


def test_an_empty_answer_is_502_and_costs_nothing(stack: Stack) -> None:
    customer = stack.customer("5")
    headers = {"authorization": f"Bearer {customer.key}"}
    for stream in (False, True):
        prompt = "[[sim status=200 error_body=empty]]"
        body = {**MESSAGE, "stream": stream, "messages": [{"role": "user", "content": prompt}]}
        answer = httpx.post(f"{stack.base_url}/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 502, answer.text
    assert stack.balance_nanousd(customer.account) == customer.credits_nanousd
