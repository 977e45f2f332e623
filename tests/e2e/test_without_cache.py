"""LUMEN_EDGE_CACHE=off: every request asks auth and router; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack

ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")


def post(stack: Stack, customer: Customer, endpoint: str, *, stream: bool) -> httpx.Response:
    prompt = "[[sim tokens=9 input=20]]"
    body: dict[str, object] = {"model": "claude-opus-4-8", "stream": stream}
    if endpoint == "/v1/responses":
        body["input"] = prompt
    else:
        body |= {"max_tokens": 50, "messages": [{"role": "user", "content": prompt}]}
    headers = {"authorization": f"Bearer {customer.key}"}
    return httpx.post(f"{stack.base_url}{endpoint}", json=body, headers=headers, timeout=30)


@pytest.mark.slow
def test_answers_charges_and_refusals_are_the_same(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(LUMEN_EDGE_CACHE="off")
    customer = stack.customer("5")
    answers = [post(stack, customer, endpoint, stream=stream) for endpoint in ENDPOINTS for stream in (True, False)]
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text[:200] for answer in answers]
    stack.until_balance(
        customer.account, customer.credits_nanousd - 6 * cost_nanousd("claude-opus-4-8", input=20, output=9)
    )

    poor = stack.customer("0")
    assert post(stack, poor, "/v1/messages", stream=True).status_code == 402
    stack.admin("POST", f"/keys/{customer.key_id}/revoke")
    assert post(stack, customer, "/v1/messages", stream=True).status_code == 401
    assert stack.admin("GET", "/reconcile")["is_ok"]
