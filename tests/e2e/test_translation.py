"""Any client dialect reaches a provider of any other: text, usage, tools, thinking, errors, through the vendors' SDKs.

A stack of its own, whose channels each speak one dialect: `claude-opus-4-8` Anthropic Messages, `gpt-5.5` Responses,
`gemini-3.1-pro-preview` Gemini, `deepseek-v4-pro` Chat Completions.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
import yaml

from tests.e2e.conversation import Conversation
from tests.e2e.matrix import README, is_whole, rendered, section, with_section
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
# What every pair shows alike is shown by these in `make test`: each model and client once, each translated.
SHOWN = {
    ("chat", "claude-opus-4-8"),
    ("messages", "gpt-5.5"),
    ("responses", "gemini-3.1-pro-preview"),
    ("messages", "deepseek-v4-pro"),
}
PAIRS = [
    pytest.param(client, model, marks=() if (client, model) in SHOWN else pytest.mark.slow)
    for client in CLIENTS
    for model in MODELS
]


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
    """Of one test, which looks at its balance."""
    return spoken_stack.customer("10")


@pytest.fixture(scope="module")
def anyone(spoken_stack: Stack) -> Customer:
    return spoken_stack.customer("1000")


ENDS = {"chat": "stop", "responses": "completed", "messages": "end_turn"}
TOOL_ENDS = {"chat": "tool_calls", "responses": "completed", "messages": "tool_use"}


def rows_of(stack: Stack, customer: Customer) -> Any:
    return stack.usage(customer.account)["rows"]


@pytest.mark.matrix("text")
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


@pytest.mark.matrix("tools")
@pytest.mark.parametrize("stream", [False, True], ids=["single", "stream"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_parallel_tool_calls_arrive_whole(
    spoken_stack: Stack, anyone: Customer, client: str, model: str, stream: bool
) -> None:
    prompt = 'Hi [[sim tokens=3 tool=get_weather tools=2 interleave=true args={"city":"Paris"}]]'
    answer = Conversation(spoken_stack, anyone).ask(client, model, prompt, stream=stream, tools=True)
    assert answer["calls"] == [("get_weather", {"city": "Paris"})] * 2
    assert answer["finish"] == TOOL_ENDS[client]


@pytest.mark.parametrize(("client", "model"), PAIRS)
def test_a_stream_that_is_cut_has_no_clean_end(
    spoken_stack: Stack, customer: Customer, client: str, model: str
) -> None:
    with pytest.raises((openai.APIError, anthropic.APIError, openai.OpenAIError, RuntimeError)):
        Conversation(spoken_stack, customer).ask(client, model, "[[sim tokens=60 cut_after=20]]", stream=True)
    row = until(lambda: rows_of(spoken_stack, customer), "a row")[0]
    assert 0 < row["cost_nanousd"] <= cost_nanousd(model, input=40, output=100)


@pytest.mark.parametrize("stream", [False, True], ids=["single", "stream"])
@pytest.mark.parametrize(("client", "model"), PAIRS)
def test_a_providers_refusal_keeps_its_status_in_the_clients_shape(
    spoken_stack: Stack, customer: Customer, client: str, model: str, stream: bool
) -> None:
    errors = (openai.RateLimitError, anthropic.RateLimitError)
    with pytest.raises(errors) as refused:
        Conversation(spoken_stack, customer).ask(client, model, "[[sim status=429 retry_after=9]]", stream=stream)
    error: Any = refused.value
    assert error.response.headers["retry-after"] == "9"
    assert spoken_stack.balance_nanousd(customer.account) == customer.credits_nanousd


@pytest.mark.matrix("thinking")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_thinking_is_shown_apart_from_the_text(spoken_stack: Stack, anyone: Customer, client: str, model: str) -> None:
    conversation = Conversation(spoken_stack, anyone)
    prompt = "[[sim tokens=4 thinking=6]]"
    if client == "messages":
        message = conversation.anthropic.messages.create(
            model=model,
            max_tokens=9000,
            thinking={"type": "enabled", "budget_tokens": 2000},
            messages=[{"role": "user", "content": prompt}],
        )
        assert [block.type for block in message.content] == ["thinking", "text"]
    elif client == "responses":
        response = conversation.openai.responses.create(
            model=model,
            input=prompt,
            reasoning={"effort": "medium", "summary": "auto"},
            include=["reasoning.encrypted_content"],
        )
        assert [item.type for item in response.output] == ["reasoning", "message"]
    else:
        completion = conversation.openai.chat.completions.create(
            model=model, reasoning_effort="medium", messages=[{"role": "user", "content": prompt}], stream=False
        )
        said: Any = completion.choices[0].message
        assert said.reasoning_content
        assert said.content
        assert said.reasoning_content not in said.content


PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()


@pytest.mark.matrix("images")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_image_reaches_the_provider(spoken_stack: Stack, anyone: Customer, client: str, model: str) -> None:
    conversation = Conversation(spoken_stack, anyone)
    url, prompt = f"data:image/png;base64,{PIXEL}", "[[sim tokens=3]] What is this?"
    if client == "messages":
        conversation.anthropic.messages.create(
            model=model,
            max_tokens=100,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                        {"type": "text", "text": prompt},
                    ],
                }
            ],
        )
    elif client == "responses":
        conversation.openai.responses.create(
            model=model,
            input=[
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": url, "detail": "auto"},
                        {"type": "input_text", "text": prompt},
                    ],
                }
            ],
        )
    else:
        conversation.openai.chat.completions.create(
            model=model,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": url}},
                        {"type": "text", "text": prompt},
                    ],
                }
            ],
            stream=False,
        )
    sent = spoken_stack.provider_requests(1)[0]
    assert IMAGES[SPOKEN[model]](PIXEL, url) in json.dumps(sent["json"], separators=(",", ":"))


# How each upstream dialect holds an image.
IMAGES: dict[str, Callable[[str, str], str]] = {
    "anthropic_messages": lambda data, url: f'"source":{{"type":"base64","media_type":"image/png","data":"{data}"}}',
    "openai_responses": lambda data, url: f'"image_url":"{url}"',
    "openai_chat": lambda data, url: f'"image_url":{{"url":"{url}"',
    "gemini_generate": lambda data, url: f'"inlineData":{{"mimeType":"image/png","data":"{data}"}}',
}


def test_a_hint_that_gets_lost_is_listed(spoken_stack: Stack, anyone: Customer) -> None:
    answer = httpx.post(
        f"{spoken_stack.base_url}/v1/chat/completions",
        json={
            "model": "claude-opus-4-8",
            "seed": 7,
            "stream": False,
            "messages": [{"role": "user", "content": "[[sim tokens=1]]"}],
        },
        headers={"authorization": f"Bearer {anyone.key}"},
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
def test_tokens_are_counted_for_every_model(spoken_stack: Stack, anyone: Customer, model: str) -> None:
    answer = httpx.post(
        f"{spoken_stack.base_url}/v1/messages/count_tokens",
        json={"model": model, "messages": [{"role": "user", "content": "How many tokens are these words?"}]},
        headers={"authorization": f"Bearer {anyone.key}"},
    )
    assert answer.status_code == 200, answer.text
    assert 4 <= answer.json()["input_tokens"] <= 60
    assert ("x-lumen-estimated" in answer.headers) is (model != "claude-opus-4-8")


def test_the_readme_shows_these_results() -> None:
    """Last in this module: the README's matrix is what the tests above found. `LUMEN_WRITE_MATRIX=1` writes it."""
    if not is_whole(CLIENTS, MODELS):
        pytest.skip("only a part of the matrix was run")
    table = rendered(CLIENTS, SPOKEN)
    if "LUMEN_WRITE_MATRIX" in os.environ:
        README.write_text(with_section(README.read_text(), table))
    assert section(README.read_text()) == table
