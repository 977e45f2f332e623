"""The vendors' own SDKs against Lumen: text, usage, and a balance that falls by exactly the price."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack

PROMPT = "Say something. [[sim tokens=12 input=40 cached=16]]"
INPUT, CACHED, OUTPUT = 40, 16, 12


@pytest.fixture
def customer(stack: Stack) -> Customer:
    return stack.customer("10")


@pytest.fixture
def openai_client(stack: Stack, customer: Customer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.base_url}/v1", api_key=customer.key, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(stack: Stack, customer: Customer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.base_url, auth_token=customer.key, api_key=None, max_retries=0) as client:
        yield client


def expect_charged(stack: Stack, customer: Customer, model: str) -> None:
    cost = cost_nanousd(model, input=INPUT, cache_read=CACHED, output=OUTPUT)
    stack.until_balance(customer.account, customer.credits_nanousd - cost)


def test_chat_single(stack: Stack, customer: Customer, openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": PROMPT}])
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == INPUT + CACHED
    assert answer.usage.completion_tokens == OUTPUT
    assert answer._request_id is not None
    assert answer._request_id.startswith("req_")
    expect_charged(stack, customer, "gpt-5.5")


def test_chat_stream(stack: Stack, customer: Customer, openai_client: openai.OpenAI) -> None:
    chunks = list(
        openai_client.chat.completions.create(
            model="gpt-5.5", messages=[{"role": "user", "content": PROMPT}], stream=True
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert [chunk for chunk in chunks if chunk.usage] == [chunks[-1]]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == OUTPUT
    expect_charged(stack, customer, "gpt-5.5")


def test_responses_single(stack: Stack, customer: Customer, openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(model="gpt-5.5", input=PROMPT)
    assert answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.input_tokens == INPUT + CACHED
    expect_charged(stack, customer, "gpt-5.5")


def test_responses_stream(stack: Stack, customer: Customer, openai_client: openai.OpenAI) -> None:
    with openai_client.responses.stream(model="gpt-5.5", input=PROMPT) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text
    assert final.usage is not None
    assert final.usage.output_tokens == OUTPUT
    expect_charged(stack, customer, "gpt-5.5")


def test_messages_single(stack: Stack, customer: Customer, anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(
        model="claude-opus-4-8", max_tokens=100, messages=[{"role": "user", "content": PROMPT}]
    )
    assert answer.content[0].type == "text"
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens == INPUT
    assert answer.usage.cache_read_input_tokens == CACHED
    assert answer._request_id is not None
    expect_charged(stack, customer, "claude-opus-4-8")


def test_messages_stream(stack: Stack, customer: Customer, anthropic_client: anthropic.Anthropic) -> None:
    with anthropic_client.messages.stream(
        model="claude-opus-4-8", max_tokens=100, messages=[{"role": "user", "content": PROMPT}]
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text
    assert final.usage.output_tokens == OUTPUT
    expect_charged(stack, customer, "claude-opus-4-8")


def test_an_alias_is_charged_as_its_model(
    stack: Stack, customer: Customer, anthropic_client: anthropic.Anthropic
) -> None:
    anthropic_client.messages.create(
        model="claude-opus-4-8-20260801", max_tokens=100, messages=[{"role": "user", "content": PROMPT}]
    )
    expect_charged(stack, customer, "claude-opus-4-8")


def test_count_tokens_is_free(stack: Stack, customer: Customer, anthropic_client: anthropic.Anthropic) -> None:
    counted = anthropic_client.messages.count_tokens(
        model="claude-opus-4-8", messages=[{"role": "user", "content": "one two three"}]
    )
    assert counted.input_tokens > 3
    assert stack.balance_nanousd(customer.account) == customer.credits_nanousd


def test_models_are_listed_in_both_shapes(openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic) -> None:
    ids = [model.id for model in openai_client.models.list()]
    assert "gpt-5.5" in ids
    assert "claude-opus-4-8" in ids
    assert openai_client.models.retrieve("gpt-5.5").owned_by == "openai"
    named = {model.id: model.display_name for model in anthropic_client.models.list(limit=5)}
    assert named["claude-opus-4-8"] == "Claude Opus 4.8"
    assert set(named) == set(ids)
    assert anthropic_client.models.retrieve("claude-opus-4-8-20260801").id == "claude-opus-4-8-20260801"


def test_ten_answers_cost_their_sum(stack: Stack, customer: Customer, openai_client: openai.OpenAI) -> None:
    expected = 0
    for tokens in range(1, 11):
        answer = openai_client.chat.completions.create(
            model="deepseek-v4-pro", messages=[{"role": "user", "content": f"[[sim tokens={tokens} input={tokens}]]"}]
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens == tokens
        expected += cost_nanousd("deepseek-v4-pro", input=tokens, output=tokens)
    stack.until_balance(customer.account, customer.credits_nanousd - expected)
    report = stack.usage(customer.account)
    assert report["total"]["cost_nanousd"] == expected
    assert report["total"]["requests"] == 10
