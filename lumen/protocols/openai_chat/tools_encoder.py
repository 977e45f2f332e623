"""Tools, tool choice and calls -> a request's members.

https://platform.openai.com/docs/guides/function-calling?api-mode=chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols import flat_tools
from lumen.protocols.arguments import wrap_custom_input
from lumen.protocols.canonical.content import ToolCall, ToolKind
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
from lumen.protocols.flat_tools import CUSTOM_PARAMETERS, custom_description
from lumen.protocols.openai_chat.members import own_extras
from lumen.protocols.openai_chat.vendors import takes
from lumen.protocols.tool_names import flat_name

# Stands for a signature in a history that has none. https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
_GOOGLE_UNSIGNED = "skip_thought_signature_validator"

_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


def encode_tools(request: Request, target: Target) -> dict[str, Any]:
    """`tools`, `tool_choice` and `parallel_tool_calls`; none of them without tools. Raises Unsupported."""
    choice = request.tool_choice
    tools = request.tools
    is_allowed_list = choice is not None and choice.names and choice.mode is not ToolChoiceMode.NAMED
    if choice is not None and is_allowed_list and not takes(target.issuer, "allowed_tools"):
        tools = tuple(tool for tool in tools if _name(tool) in choice.names)
        choice = ToolChoice(choice.mode)
    encoded = [(tool, entry) for tool in tools if (entry := _encode_tool(tool, target)) is not None]
    members: dict[str, Any] = {"tools": [entry for _, entry in encoded]} if encoded else {}
    names = {_name(tool): tool for tool, _ in encoded}
    if choice is not None:
        members.update(_encode_choice(choice, names, target))
    if encoded and request.parallel_tool_calls is not None:
        if takes(target.issuer, "parallel_tool_calls"):
            members["parallel_tool_calls"] = request.parallel_tool_calls
        elif not request.parallel_tool_calls:
            target.drop("parallel_tool_calls")
    return members


def _name(tool: Tool) -> str:
    return tool.kind if isinstance(tool, OpaqueTool) else tool.name


def _encode_tool(tool: Tool, target: Target) -> dict[str, Any] | None:
    match tool:
        case FunctionTool():
            return _encode_function(tool, target)
        case CustomTool():
            return _encode_custom(tool, target)
        case OpaqueTool() if tool.dialect is Dialect.OPENAI_CHAT:
            return dict(tool.raw)
        case OpaqueTool(kind=flat_tools.LOCAL_SHELL):
            return _function(
                flat_tools.LOCAL_SHELL, flat_tools.LOCAL_SHELL_DESCRIPTION, flat_tools.LOCAL_SHELL_PARAMETERS
            )
        case _:
            target.drop("server_tools")
            return None


def _encode_function(tool: FunctionTool, target: Target) -> dict[str, Any]:
    extras = own_extras(tool.extras)
    if tool.cache is not None and "cache_control" not in extras:
        target.drop("cache_control")
    parameters = tool.parameters
    if not parameters and not takes(target.issuer, "bare_functions"):
        parameters = _NO_PARAMETERS
    entry = _function(flat_name(tool.namespace, tool.name), tool.description, parameters)
    if tool.strict is not None:
        if takes(target.issuer, "strict_tools"):
            entry["function"]["strict"] = tool.strict
        elif tool.strict:
            target.drop("strict_tools")
    return {**entry, **extras}


def _function(name: str, description: str | None, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    members = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": {name: value for name, value in members.items() if value is not None}}


def _encode_custom(tool: CustomTool, target: Target) -> dict[str, Any]:
    name = flat_name(tool.namespace, tool.name)
    if takes(target.issuer, "custom_tools"):
        members = {"name": name, "description": tool.description, "format": _nested_format(tool.format)}
        custom = {name: value for name, value in members.items() if value is not None}
        return {"type": "custom", "custom": custom, **own_extras(tool.extras)}
    return _function(name, custom_description(tool), CUSTOM_PARAMETERS)


def _nested_format(form: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Responses has the grammar's members beside `type`, this dialect under `grammar`."""
    if form is None or form.get("type") != "grammar":
        return form
    return {"type": "grammar", "grammar": {name: value for name, value in form.items() if name != "type"}}


def _encode_choice(choice: ToolChoice, tools: Mapping[str, Tool], target: Target) -> dict[str, Any]:
    own = own_extras(choice.extras)
    if own:
        return {"tool_choice": dict(own)}
    missing = [name for name in choice.names if name not in tools]
    if choice.mode is ToolChoiceMode.NAMED and missing:
        raise Unsupported("tool_choice", f"The tool '{missing[0]}' cannot be offered to this model.", "tool_choice")
    if not tools:
        if choice.mode is ToolChoiceMode.REQUIRED:
            raise Unsupported("tool_choice", "None of the tools can be offered to this model.", "tool_choice")
        return {}
    if choice.mode is ToolChoiceMode.NAMED:
        return {"tool_choice": _reference(tools[choice.names[0]], target)}
    if not choice.names:
        return {"tool_choice": choice.mode.value}
    allowed = [_reference(tools[name], target) for name in choice.names if name in tools]
    return {
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode.value, "tools": allowed}},
    }


def _reference(tool: Tool, target: Target) -> dict[str, Any]:
    name = tool.kind if isinstance(tool, OpaqueTool) else flat_name(tool.namespace, tool.name)
    kind = "custom" if isinstance(tool, CustomTool) and takes(target.issuer, "custom_tools") else "function"
    return {"type": kind, kind: {"name": name}}


def encode_calls(calls: list[ToolCall], target: Target) -> list[dict[str, Any]]:
    """`tool_calls` of one message. Gemini demands a signature on the first call of a step."""
    entries = [_encode_call(call, target) for call in calls]
    if target.issuer == "google" and entries:
        entries[0].setdefault("extra_content", _google_content(_GOOGLE_UNSIGNED))
    return entries


def _encode_call(call: ToolCall, target: Target) -> dict[str, Any]:
    if call.cache is not None:
        target.drop("cache_control")
    name = flat_name(call.namespace, call.name)
    if call.kind is ToolKind.CUSTOM:
        if takes(target.issuer, "custom_tools"):
            return {"id": call.call_id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
        arguments = wrap_custom_input(call.arguments)
    else:
        arguments = call.arguments or "{}"
    entry = {"id": call.call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    if call.seal is not None:
        if call.seal.issuer == target.issuer == "google":
            entry["extra_content"] = _google_content(call.seal.value)
        else:
            target.drop("reasoning_signature")
    return entry


def _google_content(signature: str) -> dict[str, Any]:
    return {"google": {"thought_signature": signature}}
