"""Tools and the choice among them, both ways.

`namespace` tools are flattened: each function carries its namespace, and the first one its description and whatever
else the namespace said, under the made-up extra `namespace`. https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lumen.protocols.canonical.content import ToolKind
from lumen.protocols.canonical.request import (
    CustomTool,
    FunctionTool,
    OpaqueTool,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.members import (
    Members,
    as_array,
    as_object,
    member_path,
    other_members,
    own_extras,
    own_members,
    read_optional_array,
    read_optional_boolean,
    read_optional_object,
    read_optional_string,
    read_string,
)
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.tool_names import flat_name

_FUNCTION_MEMBERS = frozenset({"type", "name", "description", "parameters", "strict"})
_CUSTOM_MEMBERS = frozenset({"type", "name", "description", "format"})
_NAMESPACE_MEMBERS = frozenset({"type", "name", "tools"})
_NAMESPACE_EXTRA = "namespace"
_NAMED_TOOLS = frozenset({"function", "custom"})
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


def decode_tools(value: Any, path: str = "tools") -> tuple[Tool, ...]:
    """Raises InvalidRequest."""
    tools: list[Tool] = []
    for i, entry in enumerate(as_array(value, path)):
        place = f"{path}[{i}]"
        entry = as_object(entry, place)
        tools += _decode_namespace(entry, place) if entry.get("type") == "namespace" else [_decode_tool(entry, place)]
    return tuple(tools)


def _decode_tool(entry: Members, path: str, namespace: str | None = None, said: Members | None = None) -> Tool:
    kind = read_string(entry, "type", path)
    name_space = {_NAMESPACE_EXTRA: said} if said is not None else {}
    match kind:
        case "function":
            return FunctionTool(
                read_string(entry, "name", path),
                read_optional_string(entry, "description", path),
                read_optional_object(entry, "parameters", path),
                read_optional_boolean(entry, "strict", path),
                namespace,
                extras=own_extras({**other_members(entry, _FUNCTION_MEMBERS), **name_space}),
            )
        case "custom":
            return CustomTool(
                read_string(entry, "name", path),
                read_optional_string(entry, "description", path),
                read_optional_object(entry, "format", path),
                namespace,
                own_extras({**other_members(entry, _CUSTOM_MEMBERS), **name_space}),
            )
        case _:
            return OpaqueTool(Dialect.OPENAI_RESPONSES, kind, entry)


def _decode_namespace(entry: Members, path: str) -> list[Tool]:
    name = read_string(entry, "name", path)
    said = other_members(entry, _NAMESPACE_MEMBERS)
    inside = member_path(path, "tools")
    return [
        _decode_tool(as_object(tool, f"{inside}[{i}]"), f"{inside}[{i}]", name, None if i else said)
        for i, tool in enumerate(read_optional_array(entry, "tools", path))
    ]


def encode_tools(tools: Iterable[Tool], client: Dialect) -> list[dict[str, Any]]:
    """Tools only another dialect knows are left out.

    Functions are strict here unless they say otherwise, in no other dialect: theirs get an explicit false. Their names
    are made fit for OpenAI's pattern.
    """
    encoded: list[dict[str, Any]] = []
    namespaces: dict[str, list[dict[str, Any]]] = {}
    for tool in tools:
        if isinstance(tool, OpaqueTool):
            if tool.dialect is Dialect.OPENAI_RESPONSES:
                encoded.append(dict(tool.raw))
            continue
        extras = dict(own_members(tool.extras))
        said = extras.pop(_NAMESPACE_EXTRA, {})
        members = _encode_function(tool, client) if isinstance(tool, FunctionTool) else _encode_custom(tool, client)
        members |= extras
        if tool.namespace is None:
            encoded.append(members)
            continue
        if tool.namespace not in namespaces:
            inside = namespaces[tool.namespace] = []
            encoded.append({"type": "namespace", "name": tool.namespace, "description": "", **said, "tools": inside})
        namespaces[tool.namespace].append(members)
    return encoded


def upstream_name(name: str, client: Dialect) -> str:
    return name if client is Dialect.OPENAI_RESPONSES else flat_name(None, name)


def _encode_function(tool: FunctionTool, client: Dialect) -> dict[str, Any]:
    is_own = client is Dialect.OPENAI_RESPONSES
    members: dict[str, Any] = {"type": "function", "name": upstream_name(tool.name, client)}
    if tool.description is not None:
        members["description"] = tool.description
    if tool.parameters is not None or not is_own:
        members["parameters"] = _NO_PARAMETERS if tool.parameters is None else tool.parameters
    if tool.strict is not None or not is_own:
        members["strict"] = bool(tool.strict)
    return members


def _encode_custom(tool: CustomTool, client: Dialect) -> dict[str, Any]:
    members: dict[str, Any] = {"type": "custom", "name": upstream_name(tool.name, client)}
    if tool.description is not None:
        members["description"] = tool.description
    if tool.format is not None:
        members["format"] = tool.format
    return members


def decode_tool_choice(value: Any) -> ToolChoice:
    """Raises InvalidRequest. A hosted tool is named by its type."""
    if isinstance(value, str):
        try:
            return ToolChoice(ToolChoiceMode(value))
        except ValueError:
            raise _unknown_choice(value, "tool_choice") from None
    choice = as_object(value, "tool_choice")
    kind = read_string(choice, "type", "tool_choice")
    extras = own_extras(choice)
    if kind in _NAMED_TOOLS:
        return ToolChoice(ToolChoiceMode.NAMED, (read_string(choice, "name", "tool_choice"),), extras)
    if kind != "allowed_tools":
        return ToolChoice(ToolChoiceMode.NAMED, (kind,), extras)
    mode = read_string(choice, "mode", "tool_choice")
    if mode not in (ToolChoiceMode.AUTO, ToolChoiceMode.REQUIRED):
        raise _unknown_choice(mode, "tool_choice.mode")
    return ToolChoice(ToolChoiceMode(mode), tuple(_allowed_names(choice)), extras)


def _allowed_names(choice: Members) -> Iterable[str]:
    for i, tool in enumerate(read_optional_array(choice, "tools", "tool_choice")):
        path = f"tool_choice.tools[{i}]"
        tool = as_object(tool, path)
        kind = read_string(tool, "type", path)
        yield read_string(tool, "name", path) if kind in _NAMED_TOOLS else kind


def _unknown_choice(value: str, path: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid value: '{value}'. Supported values are: 'none', 'auto', and 'required'.", path, "invalid_value"
    )


def encode_tool_choice(choice: ToolChoice, request: Request) -> str | dict[str, Any]:
    """Raises Unsupported for a choice among tools that were left out."""
    if original := own_members(choice.extras):
        return dict(original)
    if choice.mode is ToolChoiceMode.NAMED:
        return _named(choice.names[0], request)
    if choice.names:
        allowed = [_named(name, request) for name in choice.names]
        return {"type": "allowed_tools", "mode": choice.mode.value, "tools": allowed}
    return choice.mode.value


def _named(name: str, request: Request) -> dict[str, Any]:
    kind = request.tool_kind(name)
    if kind is ToolKind.LOCAL_SHELL:
        return {"type": kind.value}
    if not any(isinstance(tool, FunctionTool | CustomTool) and tool.name == name for tool in request.tools):
        raise Unsupported("tool_choice", f"The tool '{name}' is not available with this model.", "tool_choice")
    return {"type": kind.value, "name": upstream_name(name, request.dialect)}
