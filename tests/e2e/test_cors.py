"""A page of the console may call the public endpoint with a key; pages of others may not."""

from __future__ import annotations

import httpx
import pytest

from tests.fixtures.stack import Customer, Stack

PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/balance")


@pytest.fixture(scope="module")
def customer(stack: Stack) -> Customer:
    return stack.customer("1")


def call(stack: Stack, method: str, path: str, origin: str, key: str = "") -> httpx.Response:
    headers = {"origin": origin, **({"authorization": f"Bearer {key}"} if key else {})}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    body = {"model": "claude-opus-4-8", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]}
    return httpx.request(
        method,
        f"{stack.base_url}{path}",
        headers=headers | (asked if method == "OPTIONS" else {}),
        json=body if method == "POST" else None,
        timeout=30,
    )


@pytest.mark.parametrize("path", PATHS)
def test_the_consoles_origin_is_answered_and_others_are_not(stack: Stack, customer: Customer, path: str) -> None:
    method = "POST" if path in PATHS[:2] else "GET"
    ours = stack.env["LUMEN_CONSOLE_URL"]
    preflight = call(stack, "OPTIONS", path, ours)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, ours)
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    answered = call(stack, method, path, ours, customer.key)
    assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, ours)
    assert "x-request-id" in answered.headers["access-control-expose-headers"]
    refused = call(stack, method, path, ours)  # the page must be able to read why
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ours)
    for origin in ("https://evil.example", "null"):
        assert "access-control-allow-origin" not in call(stack, method, path, origin, customer.key).headers
        assert call(stack, "OPTIONS", path, origin).status_code == 405
