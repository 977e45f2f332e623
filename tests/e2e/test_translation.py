"""Any client dialect reaches a provider of any other: text, usage, tools, thinking, errors, through the vendors' SDKs.

A stack of its own, whose channels each speak one dialect: `claude-opus-4-8` Anthropic Messages, `gpt-5.5` Responses,
`gemini-3.1-pro-preview` Gemini, `deepseek-v4-pro` Chat Completions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
import yaml

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack, until

SPOKEN = {
    "claude-opus-4-8": "anthropic_messages",
    "gpt-5.5": "openai_responses",
    "gemini-3.1-pro-preview": "gemini_generate",
    "deepseek-v4-pro": "openai_chat",
}
CLIENTS = ("chat", "responses", "messages")
MODELS = tuple(SPOKEN)
# Shared: loading the certificates of a client that needs none takes longer than a test.
OPENAI_HTTP = openai.DefaultHttpxClient(verify=False)
ANTHROPIC_HTTP = anthropic.DefaultHttpxClient(verify=False)


@pytest.fixture(scope="module")
def spoken_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("translation") / "state") as running:
        document = yaml.safe_load((running.state_dir / "catalog.yaml").read_text())
        template = document["channels"][0]
        document["channels"] = [
            {**template, "name": model, "models": {model: model}, "dialects": {dialect: template["dialects"][dialect]}}
            for model, dialect in SPOKEN.items()
        ]
        running.admin("POST", "/catalog", {"content": yaml.safe_dump(document), "source_name": "spoken"})
        host, _, port = running.base_url.rpartition(":")
        metrics = f"{host}:{int(port) + 10}/metrics"
        until(lambda: "lumen_edge_catalog_revision 2.0" in httpx.get(metrics).text, "the edge has the catalog")
        yield running


@pytest.fixture
def customer(spoken_stack: Stack) -> Customer:
    return spoken_stack.customer("10")


class Conversation:
    """One question through one vendor's SDK; `ask` gives what an application would see of the answer."""

    def __init__(self, stack: Stack, customer: Customer) -> None:
        self.openai = openai.OpenAI(
            base_url=f"{stack.base_url}/v1", api_key=customer.key, max_retries=0, http_client=OPENAI_HTTP
        )
        self.anthropic = anthropic.Anthropic(
            base_url=stack.base_url,
            auth_token=customer.key,
            api_key=None,
            max_retries=0,
            http_client=ANTHROPIC_HTTP,
        )

    def ask(self, client: str, model: str, prompt: str, *, stream: bool, tools: bool = False) -> dict[str, Any]:
        ask: Any = getattr(self, f"_{client}_{'stream' if stream else 'single'}")
        answer: dict[str, Any] = ask(model, prompt, tools)
        return answer

    @staticmethod
    def _chat_arguments(model: str, prompt: str, tools: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        if tools:
            arguments["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
        return arguments

    def _chat_single(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        answer = self.openai.chat.completions.create(**self._chat_arguments(model, prompt, tools), stream=False)
        choice, usage = answer.choices[0], answer.usage
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]
        return seen(choice.message.content, calls, choice.finish_reason, usage.prompt_tokens, usage.completion_tokens)

    def _chat_stream(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        with self.openai.chat.completions.stream(**self._chat_arguments(model, prompt, tools)) as events:
            for _ in events:
                pass
            answer = events.get_final_completion()
        choice, usage = answer.choices[0], answer.usage
        assert usage is not None
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]
        return seen(choice.message.content, calls, choice.finish_reason, usage.prompt_tokens, usage.completion_tokens)

    @staticmethod
    def _responses_arguments(model: str, prompt: str, tools: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {"model": model, "input": prompt}
        if tools:
            arguments["tools"] = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
        return arguments

    def _responses_single(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        return self._response(
            self.openai.responses.create(**self._responses_arguments(model, prompt, tools), stream=False)
        )

    def _responses_stream(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        with self.openai.responses.stream(**self._responses_arguments(model, prompt, tools)) as events:
            for _ in events:
                pass
            return self._response(events.get_final_response())

    @staticmethod
    def _response(answer: Any) -> dict[str, Any]:
        calls = [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
        return seen(answer.output_text, calls, answer.status, answer.usage.input_tokens, answer.usage.output_tokens)

    @staticmethod
    def _messages_arguments(model: str, prompt: str, tools: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": model,
            "max_tokens": 4000,
            "messages": [{"role": "user", "content": prompt}],
        }
        if tools:
            arguments["tools"] = [{"name": "get_weather", "input_schema": SCHEMA}]
        return arguments

    def _messages_single(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        return self._message(self.anthropic.messages.create(**self._messages_arguments(model, prompt, tools)))

    def _messages_stream(self, model: str, prompt: str, tools: bool) -> dict[str, Any]:
        with self.anthropic.messages.stream(**self._messages_arguments(model, prompt, tools)) as events:
            return self._message(events.get_final_message())

    @staticmethod
    def _message(answer: Any) -> dict[str, Any]:
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        prompt = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
        return seen(text, calls, answer.stop_reason, prompt, answer.usage.output_tokens)


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ENDS = {"chat": "stop", "responses": "completed", "messages": "end_turn"}
TOOL_ENDS = {"chat": "tool_calls", "responses": "completed", "messages": "tool_use"}


def seen(text: str | None, calls: list[Any], finish: str, prompt: int, output: int) -> dict[str, Any]:
    return {"text": text or "", "calls": calls, "finish": finish, "prompt": prompt, "output": output}


def rows_of(stack: Stack, customer: Customer) -> Any:
    return stack.usage(customer.account)["rows"]


@pytest.mark.parametrize("stream", [False, True], ids=["single", "stream"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_text_and_usage_are_the_providers_and_the_price_is_exact(
    spoken_stack: Stack, customer: Customer, client: str, model: str, stream: bool
) -> None:
    answer = Conversation(spoken_stack, customer).ask(
        client, model, "Hi [[sim tokens=12 input=30 cached=10 unicode=true]]", stream=stream
    )
    assert answer["finish"] == ENDS[client]
    assert len(answer["text"]) > 12
    assert (answer["prompt"], answer["output"]) == (40, 12)
    cost = cost_nanousd(model, input=30, cache_read=10, output=12)
    spoken_stack.until_balance(customer.account, customer.credits_nanousd - cost)


@pytest.mark.parametrize("stream", [False, True], ids=["single", "stream"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_parallel_tool_calls_arrive_whole(
    spoken_stack: Stack, customer: Customer, client: str, model: str, stream: bool
) -> None:
    prompt = 'Hi [[sim tokens=3 tool=get_weather tools=2 interleave=true args={"city":"Paris"}]]'
    answer = Conversation(spoken_stack, customer).ask(client, model, prompt, stream=stream, tools=True)
    assert answer["calls"] == [("get_weather", {"city": "Paris"})] * 2
    assert answer["finish"] == TOOL_ENDS[client]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_stream_that_is_cut_has_no_clean_end(
    spoken_stack: Stack, customer: Customer, client: str, model: str
) -> None:
    with pytest.raises((openai.APIError, anthropic.APIError, openai.OpenAIError, RuntimeError)):
        Conversation(spoken_stack, customer).ask(client, model, "[[sim tokens=60 cut_after=20]]", stream=True)
    row = until(lambda: rows_of(spoken_stack, customer), "a row")[0]
    assert 0 < row["cost_nanousd"] <= cost_nanousd(model, input=40, output=100)


@pytest.mark.parametrize("stream", [False, True], ids=["single", "stream"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_providers_refusal_keeps_its_status_in_the_clients_shape(
    spoken_stack: Stack, customer: Customer, client: str, model: str, stream: bool
) -> None:
    errors = (openai.RateLimitError, anthropic.RateLimitError)
    with pytest.raises(errors) as refused:
        Conversation(spoken_stack, customer).ask(client, model, "[[sim status=429 retry_after=9]]", stream=stream)
    error: Any = refused.value
    assert error.response.headers["retry-after"] == "9"
    assert spoken_stack.balance_nanousd(customer.account) == customer.credits_nanousd


@pytest.mark.parametrize("client", ["responses", "messages"])
@pytest.mark.parametrize("model", MODELS)
def test_thinking_is_shown_apart_from_the_text(
    spoken_stack: Stack, customer: Customer, client: str, model: str
) -> None:
    conversation = Conversation(spoken_stack, customer)
    prompt = "[[sim tokens=4 thinking=6]]"
    if client == "messages":
        message = conversation.anthropic.messages.create(
            model=model,
            max_tokens=9000,
            thinking={"type": "enabled", "budget_tokens": 2000},
            messages=[{"role": "user", "content": prompt}],
        )
        assert [block.type for block in message.content] == ["thinking", "text"]
        return
    response = conversation.openai.responses.create(
        model=model,
        input=prompt,
        reasoning={"effort": "medium", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    )
    assert [item.type for item in response.output] == ["reasoning", "message"]


def test_a_hint_that_gets_lost_is_listed(spoken_stack: Stack, customer: Customer) -> None:
    answer = httpx.post(
        f"{spoken_stack.base_url}/v1/chat/completions",
        json={
            "model": "claude-opus-4-8",
            "seed": 7,
            "stream": False,
            "messages": [{"role": "user", "content": "[[sim tokens=1]]"}],
        },
        headers={"authorization": f"Bearer {customer.key}"},
    )
    assert answer.status_code == 200, answer.text
    assert "seed" in answer.headers["x-lumen-dropped"]


@pytest.mark.parametrize("model", ["claude-opus-4-8", "gemini-3.1-pro-preview"])
def test_what_cannot_be_said_is_400(spoken_stack: Stack, customer: Customer, model: str) -> None:
    answer = httpx.post(
        f"{spoken_stack.base_url}/v1/chat/completions",
        json={"model": model, "n": 2, "messages": [{"role": "user", "content": "x"}]},
        headers={"authorization": f"Bearer {customer.key}"},
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "n"
    assert spoken_stack.balance_nanousd(customer.account) == customer.credits_nanousd


@pytest.mark.parametrize("model", MODELS)
def test_tokens_are_counted_for_every_model(spoken_stack: Stack, customer: Customer, model: str) -> None:
    answer = httpx.post(
        f"{spoken_stack.base_url}/v1/messages/count_tokens",
        json={"model": model, "messages": [{"role": "user", "content": "How many tokens are these words?"}]},
        headers={"authorization": f"Bearer {customer.key}"},
    )
    assert answer.status_code == 200, answer.text
    assert 4 <= answer.json()["input_tokens"] <= 60
    assert ("x-lumen-estimated" in answer.headers) is (model != "claude-opus-4-8")
