"""A tool loop through every client: what the model sealed and named comes back to it byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lumen.protocols.codec import Target
from lumen.protocols.dialects import Dialect
from lumen.protocols.translation import translate_request
from tests.unit.protocols.translation import answers
from tests.unit.protocols.translation.golden import UPSTREAMS

CHAT, RESPONSES = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES
ANTHROPIC, GEMINI = Dialect.ANTHROPIC_MESSAGES, Dialect.GEMINI_GENERATE


def chat_follow_up(answer: dict[str, Any]) -> dict[str, Any]:
    message = answer["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in message.get("tool_calls", ())]
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}, message, *results]}


def responses_follow_up(answer: dict[str, Any]) -> dict[str, Any]:
    calls = [item for item in answer["output"] if item["type"].endswith("_call")]
    results = [{"type": f"{call['type']}_output", "call_id": call["call_id"], "output": "ok"} for call in calls]
    return {"model": "m", "input": [{"role": "user", "content": "Hi"}, *answer["output"], *results], "store": False}


def anthropic_follow_up(answer: dict[str, Any]) -> dict[str, Any]:
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"} for call in calls]
    turns = [("user", "Hi"), ("assistant", answer["content"]), ("user", results)]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {
        "model": "m",
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "messages": messages,
    }


FOLLOW_UPS: dict[Dialect, Callable[[dict[str, Any]], dict[str, Any]]] = {
    CHAT: chat_follow_up,
    RESPONSES: responses_follow_up,
    ANTHROPIC: anthropic_follow_up,
}


def follow_up(upstream: Dialect, behaviour: str, client: Dialect, to: Dialect | None = None) -> dict[str, Any]:
    """The next request, as `to` (by default the same upstream) gets it."""
    _, answer = answers.client_single(upstream, behaviour, client)
    to = to or upstream
    model, issuer = UPSTREAMS[to]
    target = Target(model, issuer, is_stream=False, max_output_tokens=8192)
    _, body = translate_request(client, FOLLOW_UPS[client](json.loads(answer)), to, target)
    return dict(json.loads(body))


@pytest.mark.parametrize("client", [CHAT, RESPONSES, ANTHROPIC])
def test_gemini_gets_its_signatures_and_ids_back(client: Dialect) -> None:
    _, asked, answered = follow_up(GEMINI, "thinking_and_signed_calls", client)["contents"]
    assert [part for part in asked["parts"] if "functionCall" in part] == [
        {"functionCall": {"name": "get_weather", "args": {"city": "Köln"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "get_weather", "args": {"city": "Bonn"}}},
        {"functionCall": {"id": "gem-3", "name": "get_time", "args": {}}},
    ]
    assert [part["functionResponse"] for part in answered["parts"]] == [
        {"name": "get_weather", "response": {"output": "ok"}},
        {"name": "get_weather", "response": {"output": "ok"}},
        {"id": "gem-3", "name": "get_time", "response": {"output": "ok"}},
    ]


@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_anthropic_gets_its_ids_back_and_its_signature_where_the_client_carries_one(client: Dialect) -> None:
    _, asked, answered = follow_up(ANTHROPIC, "thinking_and_tools", client)["messages"]
    calls = [block for block in asked["content"] if block["type"] == "tool_use"]
    assert [(call["id"], call["input"]) for call in calls] == [("toolu_01", {"city": "Köln"}), ("toolu_02", {})]
    assert [block["tool_use_id"] for block in answered["content"]] == ["toolu_01", "toolu_02"]
    thoughts = [block for block in asked["content"] if block["type"] == "thinking"]
    sealed = {"type": "thinking", "thinking": "Let me see.", "signature": "sigA"}
    assert thoughts == ([sealed] if client is RESPONSES else [])
    assert client is CHAT or asked["content"][0] == sealed


@pytest.mark.parametrize("client", [CHAT, ANTHROPIC])
def test_openai_gets_its_ids_back_and_its_reasoning_where_the_client_carries_it(client: Dialect) -> None:
    items = follow_up(RESPONSES, "reasoning_and_calls", client)["input"]
    calls = [item for item in items if item["type"] == "function_call"]
    assert [(call["call_id"], call["name"]) for call in calls] == [("call_1", "get_weather"), ("call_2", "get_time")]
    sealed = [item["encrypted_content"] for item in items if item["type"] == "reasoning"]
    assert sealed == (["gAAAsealed"] if client is ANTHROPIC else [])


@pytest.mark.parametrize("client", [RESPONSES, ANTHROPIC])
def test_redacted_thinking_comes_back(client: Dialect) -> None:
    _, asked, *_ = follow_up(ANTHROPIC, "redacted_thinking", client)["messages"]
    assert asked["content"][0] == {"type": "redacted_thinking", "data": "redA"}


@pytest.mark.parametrize("client", [CHAT, RESPONSES, ANTHROPIC])
@pytest.mark.parametrize(
    ("upstream", "behaviour", "secrets"),
    [
        (GEMINI, "thinking_and_signed_calls", ["c2ln"]),
        (ANTHROPIC, "thinking_and_tools", ["sigA"]),
        (RESPONSES, "reasoning_and_calls", ["gAAAsealed"]),
    ],
)
def test_seals_never_go_to_another_vendor(
    upstream: Dialect, behaviour: str, secrets: list[str], client: Dialect
) -> None:
    for to, (_, issuer) in UPSTREAMS.items():
        if issuer != UPSTREAMS[upstream][1]:
            body = json.dumps(follow_up(upstream, behaviour, client, to))
            assert not any(secret in body for secret in secrets)


@pytest.mark.parametrize("client", [CHAT, RESPONSES])
@pytest.mark.parametrize("to", [ANTHROPIC, GEMINI])
def test_a_custom_tools_input_comes_back(client: Dialect, to: Dialect) -> None:
    body = json.dumps(follow_up(ANTHROPIC, "custom_tool", client, to))
    assert json.dumps({"input": "*** Begin\nPatch"}) in body
