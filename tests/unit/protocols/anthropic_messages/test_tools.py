"""Tools, tool choice and the schemas of strict tools."""

from __future__ import annotations

from typing import Any

import pytest

from lumen.protocols.anthropic_messages.schemas import closed_schema
from lumen.protocols.canonical.content import CacheMark, Extras
from lumen.protocols.canonical.request import CustomTool, FunctionTool, OpaqueTool, Tool, ToolChoice, ToolChoiceMode
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from tests.unit.protocols.anthropic_messages.requests import ADAPTIVE, ALWAYS_THINKING, OTHER, encode, request

F, G = FunctionTool("f"), FunctionTool("g")
SENT_F = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
SENT_G = {"name": "g", "input_schema": {"type": "object", "properties": {}}}
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
PICTURE = {"type": "image_generation"}


def sent_tool(tool: Tool, model: str = ADAPTIVE, dropped: tuple[str, ...] = ()) -> Any:
    (only,) = encode(request(tools=(tool,)), model, dropped=dropped)["tools"]
    return only


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        (F, SENT_F),
        (
            FunctionTool("f", "d", {"type": "object", "x": 1}),
            SENT_F | {"description": "d", "input_schema": {"type": "object", "x": 1}},
        ),
        (FunctionTool("f", parameters={"properties": {}}), SENT_F),
        (FunctionTool("f", strict=False), SENT_F),
        (FunctionTool("f", parameters=CLOSED, strict=True), {"name": "f", "strict": True, "input_schema": CLOSED}),
        (FunctionTool("f", namespace="ns"), SENT_F | {"name": "ns__f"}),
        (FunctionTool("f", cache=CacheMark("1h")), SENT_F | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        (
            FunctionTool("f", extras=Extras(Dialect.ANTHROPIC_MESSAGES, {"defer_loading": True})),
            SENT_F | {"defer_loading": True},
        ),
        (FunctionTool("f", extras=Extras(Dialect.OPENAI_RESPONSES, {"defer_loading": True})), SENT_F),
        (OpaqueTool(Dialect.ANTHROPIC_MESSAGES, "bash_20250124", {"type": "bash_20250124"}), {"type": "bash_20250124"}),
    ],
)
def test_tools(tool: Tool, sent: dict[str, Any]) -> None:
    assert sent_tool(tool) == sent


def test_a_custom_tool_is_a_function_with_one_string_and_its_grammar_is_told() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x+/"}
    sent = sent_tool(CustomTool("apply_patch", "Edits files.", grammar))
    assert sent["name"] == "apply_patch"
    assert sent["description"].startswith("Edits files.")
    assert "start: /x+/" in sent["description"]
    assert list(sent["input_schema"]["properties"]) == sent["input_schema"]["required"] == ["input"]


def test_local_shell_is_a_function_and_other_server_tools_are_left_out() -> None:
    shell = OpaqueTool(Dialect.OPENAI_RESPONSES, "local_shell", {"type": "local_shell"})
    assert sent_tool(shell)["name"] == "local_shell"
    picture = OpaqueTool(Dialect.OPENAI_RESPONSES, "image_generation", PICTURE)
    assert sent_tool_names(picture, F, dropped=("server_tools",)) == ["f"]
    assert "tools" not in encode(request(tools=(picture,)), dropped=("server_tools",))


def sent_tool_names(*tools: Tool, dropped: tuple[str, ...] = ()) -> list[str]:
    return [tool["name"] for tool in encode(request(tools=tools), dropped=dropped)["tools"]]


@pytest.mark.parametrize("model", [ADAPTIVE, OTHER])
def test_strictness_that_cannot_be_kept_is_noted(model: str) -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    sent = sent_tool(FunctionTool("f", parameters=schema, strict=True), model, ("strict_tools",))
    assert sent == {"name": "f", "input_schema": schema}


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(ToolChoiceMode.AUTO), None, {"type": "auto"}),
        (ToolChoice(ToolChoiceMode.REQUIRED), None, {"type": "any"}),
        (ToolChoice(ToolChoiceMode.REQUIRED), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(ToolChoiceMode.NONE), False, {"type": "none"}),
        (
            ToolChoice(ToolChoiceMode.NAMED, ("g",)),
            True,
            {"type": "tool", "name": "g", "disable_parallel_tool_use": False},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, sent: dict[str, Any] | None) -> None:
    body = encode(request(tools=(F, G), tool_choice=choice, parallel_tool_calls=parallel))
    assert body.get("tool_choice") == sent
    assert body["tools"] == [SENT_F, SENT_G]


def test_a_named_tool_in_a_namespace() -> None:
    tools = (FunctionTool("f", namespace="ns"), FunctionTool("dotted.name"))
    for name in ("f", "ns.f"):
        body = encode(request(tools=tools, tool_choice=ToolChoice(ToolChoiceMode.NAMED, (name,))))
        assert body["tool_choice"] == {"type": "tool", "name": "ns__f"}
    body = encode(request(tools=tools, tool_choice=ToolChoice(ToolChoiceMode.NAMED, ("dotted.name",))))
    assert body["tool_choice"]["name"] == body["tools"][1]["name"]


def test_allowed_tools_are_the_only_ones_sent() -> None:
    body = encode(request(tools=(F, G), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED, ("g",))))
    assert (body["tools"], body["tool_choice"]) == ([SENT_G], {"type": "any"})


def test_a_choice_without_tools_is_left_out() -> None:
    assert "tool_choice" not in encode(request(tool_choice=ToolChoice(ToolChoiceMode.AUTO), parallel_tool_calls=False))


@pytest.mark.parametrize(
    ("model", "tools", "choice"),
    [
        (ADAPTIVE, (), ToolChoice(ToolChoiceMode.REQUIRED)),
        (ADAPTIVE, (F,), ToolChoice(ToolChoiceMode.NAMED, ("h",))),
        (ALWAYS_THINKING, (F,), ToolChoice(ToolChoiceMode.REQUIRED)),
        (ALWAYS_THINKING, (F,), ToolChoice(ToolChoiceMode.NAMED, ("f",))),
    ],
)
def test_a_forced_call_that_is_not_possible_is_refused(model: str, tools: tuple[Tool, ...], choice: ToolChoice) -> None:
    with pytest.raises(Unsupported) as refused:
        encode(request(tools=tools, tool_choice=choice), model)
    assert (refused.value.feature, refused.value.param) == ("tool_choice", "tool_choice")


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        (
            {"type": "object", "properties": {"a": {"type": ["string", "null"], "maxLength": 3, "description": "d"}}},
            {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"], "description": 'd\n\n{"maxLength":3}'}},
                "additionalProperties": False,
            },
        ),
        (
            {
                "$ref": "#/$defs/A",
                "$defs": {"A": {"type": "object", "properties": {"b": {"oneOf": [{"type": "null"}, {"const": 1}]}}}},
            },
            {
                "$ref": "#/$defs/A",
                "$defs": {
                    "A": {
                        "type": "object",
                        "properties": {"b": {"anyOf": [{"type": "null"}, {"const": 1}]}},
                        "additionalProperties": False,
                    }
                },
            },
        ),
        # A property may be called like a keyword.
        (
            {"type": "object", "properties": {"minimum": {"type": "array", "items": {"enum": ["a"]}, "minItems": 1}}},
            {
                "type": "object",
                "properties": {"minimum": {"type": "array", "items": {"enum": ["a"]}, "minItems": 1}},
                "additionalProperties": False,
            },
        ),
        ({"type": "object"}, None),
        ({"type": "object", "additionalProperties": True, "properties": {}}, None),
        ({"type": "array", "items": {"type": "string"}}, None),
        ({"type": "object", "properties": {"a": True}}, None),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, None),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/A"}},
                "$defs": {
                    "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
                    "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}},
                },
            },
            None,
        ),
    ],
)
def test_schemas_that_the_api_enforces(schema: dict[str, Any], closed: dict[str, Any] | None) -> None:
    assert closed_schema(schema) == closed
