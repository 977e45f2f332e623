"""Canonical tools and tool choice -> `tools` and `tool_choice`.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools
"""

from __future__ import annotations

from typing import Any

from lumen.protocols.anthropic_messages.content_encoder import cache_member, own_extras
from lumen.protocols.anthropic_messages.models import ModelTraits
from lumen.protocols.anthropic_messages.schemas import closed_schema
from lumen.protocols.anthropic_messages.thinking import is_forced
from lumen.protocols.canonical.request import (
    CustomTool,
    FunctionTool,
    OpaqueTool,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.flat_tools import (
    CUSTOM_PARAMETERS,
    LOCAL_SHELL,
    LOCAL_SHELL_DESCRIPTION,
    LOCAL_SHELL_PARAMETERS,
    custom_description,
)
from lumen.protocols.tool_names import ANTHROPIC_CHARS_MAX, flat_name

_NO_ARGUMENTS = {"type": "object", "properties": {}}
_LOCAL_SHELL_TOOL = {
    "name": LOCAL_SHELL,
    "description": LOCAL_SHELL_DESCRIPTION,
    "input_schema": LOCAL_SHELL_PARAMETERS,
}


def encode_tools(request: Request, traits: ModelTraits, target: Target) -> list[dict[str, Any]]:
    """Only those that may be called, where the choice names more than one."""
    choice = request.tool_choice
    allowed = choice.names if choice and choice.mode is not ToolChoiceMode.NAMED else ()
    tools = (encode_tool(tool, traits, target) for tool in request.tools if not allowed or _is_among(tool, allowed))
    return [tool for tool in tools if tool is not None]


def encode_tool(tool: Tool, traits: ModelTraits, target: Target) -> dict[str, Any] | None:
    """None for one that cannot be sent."""
    match tool:
        case FunctionTool():
            return _encode_function(tool, traits, target)
        case CustomTool():
            return _encode_custom(tool)
        case OpaqueTool(dialect=Dialect.ANTHROPIC_MESSAGES):
            return dict(tool.raw)
        case OpaqueTool(kind=kind) if kind == LOCAL_SHELL:
            return dict(_LOCAL_SHELL_TOOL)
    target.drop("server_tools")
    return None


def encode_tool_choice(request: Request, tools: list[dict[str, Any]], traits: ModelTraits) -> dict[str, Any] | None:
    """Raises Unsupported for a choice that has to be kept and cannot be."""
    choice = request.tool_choice
    if is_forced(choice) and not traits.has_forced_tools:
        raise Unsupported(
            "tool_choice", 'Forcing a tool call is not supported for this model; use tool_choice "auto".', "tool_choice"
        )
    if not tools:
        if is_forced(choice):
            raise Unsupported("tool_choice", "The tool that must be called is not available here.", "tool_choice")
        return None  # the API takes a choice only beside tools
    is_single = request.parallel_tool_calls is False
    if choice is None and not is_single:
        return None
    members = _encode_choice(choice or ToolChoice(ToolChoiceMode.AUTO), tools)
    if members["type"] != "none" and request.parallel_tool_calls is not None and (choice or is_single):
        members["disable_parallel_tool_use"] = is_single
    return members


def _encode_choice(choice: ToolChoice, tools: list[dict[str, Any]]) -> dict[str, Any]:
    match choice.mode:
        case ToolChoiceMode.AUTO:
            return {"type": "auto", **own_extras(choice.extras)}
        case ToolChoiceMode.NONE:
            return {"type": "none", **own_extras(choice.extras)}
        case ToolChoiceMode.REQUIRED:
            return {"type": "any", **own_extras(choice.extras)}
        case ToolChoiceMode.NAMED:
            name = _sent_name(choice.names[0], tools)
            return {"type": "tool", "name": name, **own_extras(choice.extras)}


def _sent_name(name: str, tools: list[dict[str, Any]]) -> str:
    """How the chosen tool is called upstream. A choice has no namespace of its own: `ns.name`, or the name alone."""
    namespace, dot, rest = name.rpartition(".")
    candidates = [flat_name(None, name, ANTHROPIC_CHARS_MAX)]
    if dot:
        candidates.append(flat_name(namespace, rest, ANTHROPIC_CHARS_MAX))
    names = [str(tool.get("name")) for tool in tools]
    found = next((candidate for candidate in candidates if candidate in names), None)
    found = found or next((sent for sent in names if sent.endswith(f"__{name}")), None)
    if found is None:
        raise Unsupported("tool_choice", f"The tool '{name}' is not available here.", "tool_choice")
    return found


def _is_among(tool: Tool, names: tuple[str, ...]) -> bool:
    if isinstance(tool, OpaqueTool):
        return tool.kind in names or tool.raw.get("name") in names
    return tool.name in names or f"{tool.namespace}.{tool.name}" in names


def _encode_function(tool: FunctionTool, traits: ModelTraits, target: Target) -> dict[str, Any]:
    schema: dict[str, Any] = dict(tool.parameters or _NO_ARGUMENTS)
    schema.setdefault("type", "object")
    members: dict[str, Any] = {"name": flat_name(tool.namespace, tool.name, ANTHROPIC_CHARS_MAX)}
    if tool.description:
        members["description"] = tool.description
    if tool.strict:
        closed = closed_schema(schema) if traits.has_schemas else None
        if closed is None:
            target.drop("strict_tools")
        else:
            schema = closed
            members["strict"] = True
    return {**members, "input_schema": schema, **cache_member(tool.cache), **own_extras(tool.extras)}


def _encode_custom(tool: CustomTool) -> dict[str, Any]:
    return {
        "name": flat_name(tool.namespace, tool.name, ANTHROPIC_CHARS_MAX),
        "description": custom_description(tool) or tool.name,
        "input_schema": CUSTOM_PARAMETERS,
    }
