"""Thinking and effort, for models that have the one, the other, both or neither."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols.anthropic_messages.models import EFFORTS, ModelTraits, ThinkingKind, model_traits
from lumen.protocols.canonical.content import Reasoning, Seal, Text, ToolCall, ToolResult
from lumen.protocols.canonical.request import (
    FunctionTool,
    Sampling,
    Thinking,
    ThinkingMode,
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.dialects import Dialect
from tests.unit.protocols.anthropic_messages.requests import (
    ADAPTIVE,
    ALWAYS_THINKING,
    BUDGETED,
    OTHER,
    assistant,
    encode,
    request,
    user,
)

OFF = Thinking(ThinkingMode.DISABLED)


@pytest.mark.parametrize(
    ("model", "thinking", "off", "efforts", "has_sampling"),
    [
        ("claude-fable-5-1", ("adaptive",), None, EFFORTS, False),
        ("claude-mythos-5", ("adaptive",), None, EFFORTS, False),
        ("claude-mythos-preview", ("adaptive", "enabled"), None, ("low", "medium", "high", "max"), False),
        ("claude-opus-5-5", ("adaptive",), None, EFFORTS, False),
        ("claude-sonnet-5-5", ("adaptive",), "between_tools", EFFORTS, False),
        ("claude-haiku-5-5", ("adaptive",), "disabled", EFFORTS, False),
        ("claude-opus-5", ("adaptive",), "disabled", EFFORTS, False),
        ("claude-opus-4-7", ("adaptive",), "disabled", EFFORTS, False),
        ("claude-opus-4.8-fast", ("adaptive",), "disabled", EFFORTS, False),
        ("claude-sonnet-4-6", ("adaptive", "enabled"), "disabled", ("low", "medium", "high", "max"), True),
        ("claude-opus-4-5-20251101", ("enabled",), "disabled", ("low", "medium", "high"), True),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", ("enabled",), "disabled", (), True),
        ("claude-sonnet-4-20250514", ("enabled",), "disabled", (), True),
        ("claude-3-7-sonnet-20250219", ("enabled",), "disabled", (), True),
        ("claude-3-5-haiku-20241022", (), "disabled", (), True),
        ("claude-next", ("adaptive",), "disabled", EFFORTS, False),
        ("kimi-k2", ("enabled",), "disabled", (), True),
    ],
)
def test_what_models_accept(
    model: str, thinking: tuple[str, ...], off: str | None, efforts: tuple[str, ...], has_sampling: bool
) -> None:
    traits = model_traits(model)
    assert traits.thinking == tuple(ThinkingKind(kind) for kind in thinking)
    assert (traits.thinking_off, traits.efforts, traits.has_sampling) == (off, efforts, has_sampling)


@pytest.mark.parametrize(
    ("model", "is_refused"),
    [
        ("claude-opus-5-5", True),
        ("claude-fable-5-1", True),
        ("claude-fable-5", False),
        ("claude-sonnet-5-5", True),
        ("claude-sonnet-5", False),
        ("claude-haiku-5-5", False),
        ("claude-opus-5", False),
    ],
)
def test_models_that_refuse_forced_tools(model: str, is_refused: bool) -> None:
    assert model_traits(model).has_forced_tools is not is_refused


def test_a_model_without_traits_of_its_own_is_an_ordinary_one() -> None:
    assert model_traits("deepseek-chat") == ModelTraits(
        is_claude=False, thinking=(ThinkingKind.ENABLED,), has_schemas=False
    )


def sent(thinking: Thinking, model: str, dropped: tuple[str, ...] = (), **members: Any) -> tuple[Any, Any]:
    """(`thinking`, effort)"""
    body = encode(request(thinking=thinking, **members), model, dropped=dropped)
    return body.get("thinking"), body.get("output_config", {}).get("effort")


@pytest.mark.parametrize(
    ("thinking", "model", "expected"),
    [
        (Thinking(effort="medium"), ADAPTIVE, ({"type": "adaptive"}, "medium")),
        (Thinking(effort="minimal"), ADAPTIVE, ({"type": "adaptive"}, "low")),
        (Thinking(effort="xhigh"), "claude-opus-4-6", ({"type": "adaptive"}, "high")),
        (Thinking(effort="max"), "claude-opus-4-6", ({"type": "adaptive"}, "max")),
        (Thinking(effort="low"), BUDGETED, ({"type": "enabled", "budget_tokens": 2048}, None)),
        (Thinking(effort="high"), BUDGETED, ({"type": "enabled", "budget_tokens": 4000}, None)),
        (
            Thinking(effort="max"),
            "claude-opus-4-5",
            ({"type": "enabled", "budget_tokens": 4000}, "high"),
        ),
        (Thinking(effort="low", display="detailed"), ADAPTIVE, ({"type": "adaptive", "display": "summarized"}, "low")),
        (Thinking(display="auto"), ADAPTIVE, (None, None)),
        (
            Thinking(ThinkingMode.ADAPTIVE, display="omitted"),
            ADAPTIVE,
            ({"type": "adaptive", "display": "omitted"}, None),
        ),
        (Thinking(ThinkingMode.ADAPTIVE), BUDGETED, ({"type": "enabled", "budget_tokens": 4000}, None)),
        (Thinking(ThinkingMode.BUDGET, budget_tokens=2000), ADAPTIVE, ({"type": "adaptive"}, None)),
        (
            Thinking(ThinkingMode.BUDGET, budget_tokens=2000),
            "claude-opus-4-6",
            ({"type": "enabled", "budget_tokens": 2000}, None),
        ),
        (
            Thinking(ThinkingMode.BUDGET, budget_tokens=9000),
            BUDGETED,
            ({"type": "enabled", "budget_tokens": 7999}, None),
        ),
        (Thinking(ThinkingMode.BUDGET, budget_tokens=5), BUDGETED, ({"type": "enabled", "budget_tokens": 1024}, None)),
        (Thinking(effort="high", display="auto"), OTHER, ({"type": "enabled", "budget_tokens": 4000}, None)),
        (OFF, ADAPTIVE, ({"type": "disabled"}, None)),
        (Thinking(effort="none"), ADAPTIVE, ({"type": "disabled"}, None)),
        (OFF, BUDGETED, ({"type": "disabled"}, None)),
        (OFF, OTHER, ({"type": "disabled"}, None)),
        (OFF, "claude-sonnet-5-5", ({"type": "between_tools"}, None)),
        (OFF, "claude-3-5-haiku-20241022", (None, None)),
        (Thinking(ThinkingMode.DISABLED, "max"), "claude-opus-5", ({"type": "disabled"}, "high")),
        (Thinking(ThinkingMode.DISABLED, "max"), "claude-opus-4-8", ({"type": "disabled"}, "max")),
    ],
)
def test_thinking(thinking: Thinking, model: str, expected: tuple[Any, Any]) -> None:
    assert sent(thinking, model) == expected


@pytest.mark.parametrize(
    ("thinking", "model", "members", "expected"),
    [
        (OFF, ALWAYS_THINKING, {}, (None, "low")),
        (Thinking(effort="high"), "claude-3-5-haiku-20241022", {}, (None, None)),
        (Thinking(effort="high"), BUDGETED, {"max_output_tokens": 1500}, (None, None)),
        (Thinking(ThinkingMode.BUDGET, budget_tokens=2000), BUDGETED, {"max_output_tokens": 1024}, (None, None)),
    ],
)
def test_thinking_that_is_not_possible_is_noted(
    thinking: Thinking, model: str, members: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    assert sent(thinking, model, ("reasoning_effort",), **members) == expected


@pytest.mark.parametrize("mode", [ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED])
def test_a_budget_does_not_go_with_a_forced_tool_and_adaptive_thinking_does(mode: ToolChoiceMode) -> None:
    forced: dict[str, Any] = {"tools": (FunctionTool("f"),), "tool_choice": ToolChoice(mode, ("f",))}
    assert sent(Thinking(effort="low"), BUDGETED, ("reasoning_effort",), **forced) == (None, None)
    assert sent(Thinking(effort="low"), ADAPTIVE, **forced) == ({"type": "adaptive"}, "low")


def test_a_budget_does_not_go_with_a_tool_loop_that_began_without_thinking() -> None:
    call, result = ToolCall("call_1", "f", "{}"), ToolResult("call_1", (Text("r"),))
    wanted = Thinking(effort="low")
    signed = Reasoning("hm", Seal("anthropic", "sig"))
    unthought = request(user("Hi"), assistant(call), user(result), thinking=wanted)
    thought = request(user("Hi"), assistant(signed, call), user(result), thinking=wanted)
    ended = request(
        user("Hi"), assistant(call), user(result), assistant("r"), user("Hi"), thinking=Thinking(effort="low")
    )
    assert "thinking" not in encode(unthought, BUDGETED, dropped=("reasoning_effort",))
    assert encode(thought, BUDGETED)["thinking"]["type"] == "enabled"
    assert encode(ended, BUDGETED)["thinking"]["type"] == "enabled"
    assert encode(unthought, ADAPTIVE)["thinking"]["type"] == "adaptive"


def test_an_anthropic_clients_effort_alone_turns_no_thinking_on() -> None:
    effort = Thinking(effort="low")
    assert sent(effort, ADAPTIVE, dialect=Dialect.ANTHROPIC_MESSAGES) == (None, "low")


@pytest.mark.parametrize(
    ("sampling", "dropped"),
    [
        (Sampling(temperature=0.2), ("temperature",)),
        (Sampling(top_p=0.5), ("top_p",)),
        (Sampling(top_k=5), ("top_k",)),
        (Sampling(temperature=1), ()),
        (Sampling(top_p=0.97), ()),
    ],
)
def test_sampling_beside_thinking(sampling: Sampling, dropped: tuple[str, ...]) -> None:
    body = encode(request(sampling=sampling, thinking=Thinking(effort="low")), BUDGETED, dropped=dropped)
    assert body["thinking"]["type"] == "enabled"
    assert body.keys().isdisjoint(dropped)
