"""A client that changed models sends back what other vendors' models said; passing through takes their seals out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lumen.protocols.canonical.content import Seal
from lumen.protocols.dialects import Dialect
from lumen.protocols.foreign_seals import own_members
from lumen.protocols.passthrough import rewrite, rewrite_model
from lumen.protocols.peek import peek
from lumen.protocols.seals import client_call_id, wrap

FOREIGN = wrap(Seal("google", "sig=="), "anthropic")
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
TEXT = {"type": "text", "text": "Hi"}


def thinking(signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "Hm", "signature": signature}


def sent_messages(*messages: Any) -> list[Any]:
    body = json.dumps({"model": "m", "max_tokens": 9, "stream": True, "messages": messages}).encode()
    sent = rewrite(peek(Dialect.ANTHROPIC_MESSAGES, body), body, model="m", stream=True)
    counted = rewrite_model(peek(Dialect.ANTHROPIC_MESSAGES, body), body, "m")
    assert json.loads(counted)["messages"] == json.loads(sent)["messages"]
    return list(json.loads(sent)["messages"])


def sent_items(*items: Any, **members: Any) -> list[Any]:
    body = json.dumps({"model": "m", "stream": True, "input": items, **members}).encode()
    return list(json.loads(rewrite(peek(Dialect.OPENAI_RESPONSES, body), body, model="m", stream=True))["input"])


@pytest.mark.parametrize("foreign", [thinking(FOREIGN), thinking(""), {"type": "redacted_thinking", "data": FOREIGN}])
def test_anthropic_gets_its_own_thinking_only(foreign: dict[str, Any]) -> None:
    user = {"role": "user", "content": [TEXT]}
    own = {"role": "assistant", "content": [thinking("own"), TOOL_USE]}
    others = {"role": "assistant", "content": [foreign, TOOL_USE]}
    assert sent_messages(user, own, others) == [user, own, {"role": "assistant", "content": [TOOL_USE]}]


def test_a_message_of_foreign_thinking_only_goes_whole() -> None:
    user = {"role": "user", "content": "Hi"}
    assert sent_messages(user, {"role": "assistant", "content": [thinking(FOREIGN)]}, user) == [user, user]


def test_words_that_look_like_a_seal_stay() -> None:
    said = {"role": "user", "content": [{"type": "text", "text": f'thinking {FOREIGN} "signature":""'}]}
    assert sent_messages(said) == [said]


def test_openai_gets_no_reasoning_it_cannot_read_nor_never_stored() -> None:
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    wrapped = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": FOREIGN}
    unsealed: dict[str, Any] = {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": None}
    assert sent_items(own, wrapped, unsealed, store=False) == [own]
    assert sent_items(own, wrapped, unsealed) == [own, unsealed]


def test_a_call_and_its_output_keep_one_id_that_openai_takes() -> None:
    long = client_call_id("lumen-1-0", Seal("google", "s" * 200), "call_")
    short = client_call_id("toolu_1", None, "call_")
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    sent = sent_items(
        {**call, "call_id": long},
        {"type": "function_call_output", "call_id": long, "output": "1"},
        {**call, "call_id": short},
        {**call, "call_id": "call_own"},
    )
    assert [item["call_id"] for item in sent] == ["lumen-1-0", "lumen-1-0", "toolu_1", "call_own"]


@pytest.mark.parametrize("messages", [FOREIGN, [1, FOREIGN], [{"role": "assistant", "content": [FOREIGN]}], None])
def test_what_is_no_conversation_is_the_providers_to_refuse(messages: Any) -> None:
    raw = json.dumps(messages).encode()
    assert own_members(Dialect.ANTHROPIC_MESSAGES, {"messages": msgspec.Raw(raw)}, raw) == {}
