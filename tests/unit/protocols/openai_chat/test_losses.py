"""What this dialect cannot carry is declared, and what is declared happens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lumen.protocols import openai_chat
from lumen.protocols.canonical.content import (
    CacheMark,
    Citation,
    Document,
    FileId,
    Opaque,
    Reasoning,
    Text,
    Url,
)
from lumen.protocols.canonical.request import (
    FunctionTool,
    OpaqueTool,
    Request,
    Sampling,
    Thinking,
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.codec import LossAction, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.losses import LOSSES
from tests.unit.protocols.openai_chat.wire import assistant, encoded, request, target, user

_SEARCH = OpaqueTool(Dialect.ANTHROPIC_MESSAGES, "web_search", {})
_OPAQUE = Opaque(Dialect.ANTHROPIC_MESSAGES, "server_tool_use", {})


def _sampling(**members: Any) -> Request:
    return request(sampling=Sampling(**members))


# (a request, the vendor it is for) that suffers the loss.
SUFFERING: Mapping[str, tuple[Request, str]] = {
    "audio_output": (request(modalities=("audio",)), "openai"),
    "cache_control": (request(cache=CacheMark()), "openai"),
    "choices": (_sampling(choices=2), "openai"),
    "citations": (request(assistant(Text("a", (Citation("u"),)))), "openai"),
    "document_url": (request(user(Document(Url("https://x")))), "openai"),
    "file_id": (request(user(Document(FileId("f")))), "openai"),
    "frequency_penalty": (_sampling(frequency_penalty=1), "zhipu"),
    "logit_bias": (_sampling(logit_bias={"1": 1}), "openai"),
    "logprobs": (_sampling(logprobs=True), "openai"),
    "metadata": (request(metadata={"a": "b"}), "openai"),
    "opaque_blocks": (request(user(_OPAQUE)), "openai"),
    "parallel_tool_calls": (request(tools=(FunctionTool("f"),), parallel_tool_calls=False), "deepseek"),
    "presence_penalty": (_sampling(presence_penalty=1), "zhipu"),
    "prompt_cache_key": (request(prompt_cache_key="k"), "qwen"),
    "reasoning_display": (request(thinking=Thinking(display="omitted")), "openai"),
    "reasoning_signature": (request(assistant(Reasoning("a"))), "openai"),
    "seed": (_sampling(seed=1), "deepseek"),
    "server_tools": (request(tools=(_SEARCH,)), "openai"),
    "service_tier": (request(service_tier="auto"), "openai"),
    "stop_sequences": (_sampling(stop=("a", "b", "c", "d", "e")), "openai"),
    "strict_tools": (request(tools=(FunctionTool("f", strict=True),)), "deepseek"),
    "tool_choice": (request(tool_choice=ToolChoice(ToolChoiceMode.NAMED, ("f",))), "openai"),
    "top_k": (_sampling(top_k=1), "openai"),
    "user": (request(user="u"), "qwen"),
    "verbosity": (request(verbosity="low"), "deepseek"),
}


def test_every_loss_of_a_request_has_an_example_here() -> None:
    suffered = {
        feature
        for feature, loss in LOSSES.items()
        if loss.action is not LossAction.ADAPTED and not feature.startswith("answer_")
    }
    assert suffered == set(SUFFERING)


@pytest.mark.parametrize("feature", SUFFERING)
def test_a_declared_loss_happens_and_is_said(feature: str) -> None:
    asked, issuer = SUFFERING[feature]
    to = target(issuer)
    if LOSSES[feature].action is LossAction.REFUSED:
        with pytest.raises(Unsupported) as caught:
            encoded(asked, to)
        assert caught.value.feature == feature
        assert caught.value.message
    else:
        encoded(asked, to)
        assert to.dropped == [feature]


def test_wanting_sealed_thinking_is_wanting_what_this_dialect_has_not() -> None:
    to = target()
    encoded(request(thinking=Thinking(wants_sealed=True)), to)
    assert to.dropped == ["reasoning_signature"]


def test_no_loss_in_the_source_is_undeclared() -> None:
    source = "".join(path.read_text() for path in Path(openai_chat.__path__[0]).glob("*.py"))
    named = set(re.findall(r'(?:\.drop|Unsupported|_hint)\(\s*"(\w+)"', source))
    assert named
    assert named <= set(LOSSES)


def test_every_note_is_a_sentence() -> None:
    assert all(loss.note.endswith(".") for loss in LOSSES.values())
