"""What reaches the client of a stream, byte by byte, and what it is charged when a stream does not end well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack, until

CLAUDE = "claude-opus-4-8"
ENDS = {"/v1/chat/completions": "[DONE]", "/v1/responses": "response.completed", "/v1/messages": "message_stop"}


@pytest.fixture
def customer(stack: Stack) -> Customer:
    return stack.customer("10")


def body_for(endpoint: str, directive: str, **more: Any) -> dict[str, Any]:
    prompt = f"Hello [[sim {directive}]]"
    if endpoint == "/v1/responses":
        return {"model": CLAUDE, "input": prompt, **more}
    return {"model": CLAUDE, "max_tokens": 4000, "messages": [{"role": "user", "content": prompt}], **more}


@contextmanager
def streaming(stack: Stack, customer: Customer, endpoint: str, directive: str, **more: Any) -> Iterator[httpx.Response]:
    with httpx.stream(
        "POST",
        f"{stack.base_url}{endpoint}",
        json=body_for(endpoint, directive, **{"stream": True, **more}),
        headers={"authorization": f"Bearer {customer.key}"},
        timeout=30,
    ) as response:
        yield response


def frames_of(stack: Stack, customer: Customer, endpoint: str, directive: str, **more: Any) -> list[str]:
    with streaming(stack, customer, endpoint, directive, **more) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return [frame for frame in "".join(response.iter_text()).split("\n\n") if frame]


def payload(frame: str) -> Any:
    data = next(line for line in frame.split("\n") if line.startswith("data:"))[5:].strip()
    return data if data == "[DONE]" else json.loads(data)


def only_usage_row(stack: Stack, customer: Customer) -> dict[str, Any]:
    rows = until(lambda: stack.usage(customer.account)["rows"], "a usage row")
    assert len(rows) == 1
    row: dict[str, Any] = rows[0]
    return row


@pytest.mark.parametrize("endpoint", ENDS)
def test_a_stream_arrives_frame_by_frame_and_ends_in_the_dialects_way(
    stack: Stack, customer: Customer, endpoint: str
) -> None:
    frames = frames_of(stack, customer, endpoint, "tokens=30 input=10 unicode=true")
    assert ENDS[endpoint] in frames[-1]
    assert sum(ENDS[endpoint] in frame for frame in frames) == 1
    cost = cost_nanousd(CLAUDE, input=10, output=30)
    stack.until_balance(customer.account, customer.credits_nanousd - cost)


def test_frames_are_the_providers_own_bytes(stack: Stack, customer: Customer) -> None:
    through = frames_of(stack, customer, "/v1/messages", "tokens=20 thinking=5")
    body = body_for("/v1/messages", "tokens=20 thinking=5", stream=True)
    direct = httpx.post(
        f"{stack.env['LUMEN_SIMULATOR_URL']}/anthropic/v1/messages",
        json=body,
        headers={"x-api-key": "any", "anthropic-version": "2023-06-01"},
    )
    assert [frame for frame in direct.text.split("\n\n") if frame] == through


@pytest.mark.parametrize("usage", ["default", "every", "finish", "inside_choice", "before_finish"])
def test_a_chat_streams_usage_chunk_is_always_last(stack: Stack, customer: Customer, usage: str) -> None:
    frames = frames_of(stack, customer, "/v1/chat/completions", f"tokens=5 input=7 usage={usage}")
    assert payload(frames[-1]) == "[DONE]"
    last = payload(frames[-2])
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (7, 5)
    stack.until_balance(customer.account, customer.credits_nanousd - cost_nanousd(CLAUDE, input=7, output=5))


def test_include_usage_false_gets_no_usage_chunk_and_is_charged(stack: Stack, customer: Customer) -> None:
    frames = frames_of(
        stack, customer, "/v1/chat/completions", "tokens=5 input=7", stream_options={"include_usage": False}
    )
    assert all(not (payload(frame) != "[DONE]" and payload(frame).get("choices") == []) for frame in frames)
    stack.until_balance(customer.account, customer.credits_nanousd - cost_nanousd(CLAUDE, input=7, output=5))


@pytest.mark.parametrize(
    ("accept", "stream", "is_stream"),
    [
        ("*/*", None, True),
        ("application/json", None, False),
        ("text/event-stream", None, True),
        ("application/json, text/event-stream", None, True),
        ("application/json", True, True),
        ("text/event-stream", False, False),
    ],
)
def test_absent_stream_means_what_accept_says(
    stack: Stack, customer: Customer, accept: str, stream: bool | None, is_stream: bool
) -> None:
    body = body_for("/v1/chat/completions", "tokens=3", stream=stream)
    answer = httpx.post(
        f"{stack.base_url}/v1/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {customer.key}", "accept": accept},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream") is is_stream


@pytest.mark.parametrize("endpoint", ENDS)
def test_a_stream_that_is_cut_ends_in_an_error_and_is_charged_at_most_its_cost(
    stack: Stack, customer: Customer, endpoint: str
) -> None:
    frames = frames_of(stack, customer, endpoint, "tokens=100 input=10 cut_after=20")
    assert "error" in frames[-1]
    assert all(ENDS[endpoint] not in frame for frame in frames)
    row = only_usage_row(stack, customer)
    assert 0 < row["cost_nanousd"] <= cost_nanousd(CLAUDE, input=40, output=100)


@pytest.mark.parametrize("endpoint", ENDS)
def test_an_error_after_text_reaches_the_client_and_costs_nothing(
    stack: Stack, customer: Customer, endpoint: str
) -> None:
    frames = frames_of(stack, customer, endpoint, 'tokens=50 error_after=10 message="Overloaded for a moment"')
    assert "Overloaded for a moment" in frames[-1]
    assert all(ENDS[endpoint] not in frame for frame in frames)
    assert only_usage_row(stack, customer)["cost_nanousd"] == 0
    assert stack.balance_nanousd(customer.account) == customer.credits_nanousd


@pytest.mark.parametrize("endpoint", ENDS)
def test_an_error_instead_of_the_first_event_is_an_error_answer(
    stack: Stack, customer: Customer, endpoint: str
) -> None:
    with streaming(stack, customer, endpoint, "tokens=50 error_after=0") as response:
        assert response.status_code >= 500
        assert "error" in json.loads(response.read())


@pytest.mark.parametrize("endpoint", ENDS)
def test_an_answer_without_usage_is_estimated(stack: Stack, customer: Customer, endpoint: str) -> None:
    frames = frames_of(stack, customer, endpoint, "tokens=40 usage=none")
    assert ENDS[endpoint] in frames[-1]
    row = only_usage_row(stack, customer)
    assert row["output_tokens"] > 0
    assert row["cost_nanousd"] > 0


def test_a_stream_its_client_left_is_read_on_and_charged_in_full(stack: Stack, customer: Customer) -> None:
    with streaming(stack, customer, "/v1/messages", "tokens=60 input=10 delay_ms=10") as response:
        for line in response.iter_lines():
            if "content_block_delta" in line:
                break
    cost = cost_nanousd(CLAUDE, input=10, output=60)
    stack.until_balance(customer.account, customer.credits_nanousd - cost)


def test_a_slow_first_byte_is_waited_for(stack: Stack, customer: Customer) -> None:
    frames = frames_of(stack, customer, "/v1/messages", "tokens=3 first_byte_ms=600")
    assert "message_stop" in frames[-1]


@pytest.mark.parametrize("endpoint", ENDS)
def test_garbage_frames_do_not_stop_a_stream(stack: Stack, customer: Customer, endpoint: str) -> None:
    frames = frames_of(stack, customer, endpoint, "tokens=20 input=10 garbage_after=8")
    assert ENDS[endpoint] in frames[-1]
    stack.until_balance(customer.account, customer.credits_nanousd - cost_nanousd(CLAUDE, input=10, output=20))


def test_the_clients_key_never_reaches_the_provider(stack: Stack, customer: Customer) -> None:
    frames_of(stack, customer, "/v1/messages", "tokens=1")
    requests = stack.provider_requests(5)
    assert requests
    assert customer.key not in json.dumps(requests)


def test_prompts_and_secrets_are_not_logged(stack: Stack, customer: Customer) -> None:
    marker = "an-unmistakable-prompt-word"
    frames_of(stack, customer, "/v1/chat/completions", f'tokens=1 tag="{marker}"')
    for process in ("edge", "auth", "router", "billing", "console"):
        log = stack.log(process)
        assert marker not in log
        assert customer.key not in log
        assert stack.env["LUMEN_ADMIN_TOKEN"] not in log


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("endpoint", ENDS)
def test_output_a_provider_does_not_report_is_estimated_and_the_prompt_is_as_reported(
    stack: Stack, customer: Customer, endpoint: str, stream: bool
) -> None:
    body = body_for(endpoint, "tokens=40 input=11 usage=input_only", stream=stream)
    answer = httpx.post(
        f"{stack.base_url}{endpoint}", json=body, headers={"authorization": f"Bearer {customer.key}"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    row = only_usage_row(stack, customer)
    assert row["input_tokens"] == 11
    assert row["output_tokens"] > 1
    assert row["cost_nanousd"] == cost_nanousd(CLAUDE, input=11, output=row["output_tokens"])
