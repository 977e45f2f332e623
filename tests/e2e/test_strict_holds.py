"""Strict groups near the end of their credits: the output cap that goes upstream is what the account affords."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack

CLAUDE = "claude-opus-4-8"
_OUTPUT_TOKENS_MAX = 128_000  # the demo catalog's
_OUTPUT_NANOUSD = 25_000  # per token, as all prices of the demo catalog
_PROMPT_DEAREST_NANOUSD = 10_000


def ask(stack: Stack, customer: Customer, directive: str, **more: Any) -> httpx.Response:
    document = {"model": CLAUDE, "messages": [{"role": "user", "content": f"[[sim {directive}]]"}], "stream": False}
    return httpx.post(
        f"{stack.base_url}/v1/chat/completions",
        json=document | more,
        headers={"authorization": f"Bearer {customer.key}"},
        timeout=60,
    )


def cap_seen(stack: Stack) -> int:
    """By the provider, in its last request."""
    body = stack.provider_requests()[0]["json"]
    cap = body.get("max_completion_tokens", body.get("max_tokens"))
    assert isinstance(cap, int)
    return cap


def test_the_provider_sees_the_cap_that_the_balance_affords(stack: Stack) -> None:
    customer = stack.customer("0.1", "strict")
    answer = ask(stack, customer, "tokens=9000 input=10")
    assert answer.status_code == 200, answer.text
    cap = cap_seen(stack)
    assert 0 < cap < _OUTPUT_TOKENS_MAX
    assert (
        cap * _OUTPUT_NANOUSD < customer.credits_nanousd <= (cap + 1) * _OUTPUT_NANOUSD + 1500 * _PROMPT_DEAREST_NANOUSD
    )
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    cost = cost_nanousd(CLAUDE, input=10, output=cap)
    stack.until_balance(customer.account, customer.credits_nanousd - cost)


def test_a_strict_balance_is_used_to_its_end_and_never_below(stack: Stack) -> None:
    customer = stack.customer("0.2", "strict")
    left = customer.credits_nanousd
    caps = []
    while (answer := ask(stack, customer, "tokens=9000 input=10", max_tokens=2_500)).status_code == 200:
        caps.append(cap_seen(stack))
        left -= cost_nanousd(CLAUDE, input=10, output=caps[-1])
        assert left >= 0
        stack.until_balance(customer.account, left)
    assert answer.status_code == 402, answer.text
    assert caps[0] == 2_500
    assert 0 < caps[-1] < 2_500
    assert caps == sorted(caps, reverse=True)
    # less is left than the prompt's worst case and sixteen tokens
    assert left < 1500 * _PROMPT_DEAREST_NANOUSD + 16 * _OUTPUT_NANOUSD


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_the_other_dialects_caps_are_lowered_too(stack: Stack, path: str) -> None:
    customer = stack.customer("0.1", "strict")
    member = "max_tokens" if path == "/v1/messages" else "max_output_tokens"
    prompt = "[[sim tokens=3 input=10]]"
    body: dict[str, Any] = {"model": CLAUDE, member: 100_000, "stream": False}
    body |= {"messages": [{"role": "user", "content": prompt}]} if path == "/v1/messages" else {"input": prompt}
    headers = {"authorization": f"Bearer {customer.key}"}
    answer = httpx.post(f"{stack.base_url}{path}", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    assert 0 < stack.provider_requests()[0]["json"][member] < 4_000


def test_a_strict_account_that_cannot_pay_the_prompt_is_402(stack: Stack) -> None:
    customer = stack.customer("0.005", "strict")
    answer = ask(stack, customer, "tokens=1")
    assert answer.status_code == 402
    assert answer.headers["x-should-retry"] == "false"
