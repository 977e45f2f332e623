"""A client's tools, tool choice, calls and results -> canonical; `functions` and `function_call` too.

https://platform.openai.com/docs/guides/function-calling?api-mode=chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols.canonical.content import Extras, Seal, ToolCall, ToolKind
from lumen.protocols.canonical.request import (
    CustomTool,
    FunctionTool,
    OpaqueTool,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.content_decoder import decode_cache_mark
from lumen.protocols.openai_chat.members import Members
from lumen.protocols.seals import read_call_id

CALL_PREFIX = "call_"
_MODES = {mode.value: mode for mode in (ToolChoiceMode.AUTO, ToolChoiceMode.REQUIRED, ToolChoiceMode.NONE)}


def decode_tools(request: Members) -> tuple[Tool, ...]:
    """`tools`, or the `functions` of old. Raises InvalidRequest."""
    tools = tuple(_decode_tool(tool) for tool in request.objects("tools"))
    return tools + tuple(_decode_function(function, None) for function in request.objects("functions"))


def _decode_tool(tool: Members) -> Tool:
    kind = tool.required_text("type")
    if kind == "function":
        return _decode_function(tool.required_below("function"), tool)
    if kind == "custom":
        custom = tool.required_below("custom")
        name, description = custom.required_text("name"), custom.text("description")
        form, extras = custom.mapping("format"), tool.extras({"type", "custom"})
        return CustomTool(name, description, None if form is None else _flat_format(form), extras=extras)
    return OpaqueTool(Dialect.OPENAI_CHAT, kind, tool.raw)


def _decode_function(function: Members, tool: Members | None) -> FunctionTool:
    return FunctionTool(
        function.required_text("name"),
        function.text("description"),
        function.mapping("parameters"),
        function.boolean("strict"),
        cache=None if tool is None else decode_cache_mark(tool),
        extras=None if tool is None else tool.extras({"type", "function"}),
    )


def _flat_format(form: Mapping[str, Any]) -> Mapping[str, Any]:
    """Canonical is Responses' shape, which has the grammar's members beside `type`."""
    grammar = form.get("grammar")
    return {"type": form.get("type", "grammar"), **grammar} if isinstance(grammar, Mapping) else form


def decode_tool_choice(request: Members) -> ToolChoice | None:
    """Raises InvalidRequest."""
    choice = request.raw.get("tool_choice")
    if choice is None:
        return _decode_function_call_option(request)
    if isinstance(choice, str):
        if choice not in _MODES:
            raise request.invalid_value("tool_choice", choice, ("none", "auto", "required"))
        return ToolChoice(_MODES[choice])
    members = request.required_below("tool_choice")
    kind = members.required_text("type")
    if kind in ("function", "custom"):
        return ToolChoice(ToolChoiceMode.NAMED, (members.required_below(kind).required_text("name"),))
    if kind == "allowed_tools":
        allowed = members.required_below("allowed_tools")
        mode = allowed.required_text("mode")
        if mode not in ("auto", "required"):
            raise allowed.invalid_value("mode", mode, ("auto", "required"))
        return ToolChoice(_MODES[mode], tuple(_allowed_name(tool) for tool in allowed.objects("tools")))
    return ToolChoice(ToolChoiceMode.AUTO, extras=Extras(Dialect.OPENAI_CHAT, members.raw))


def _allowed_name(tool: Members) -> str:
    kind = tool.required_text("type")
    return (tool.below(kind) or tool).required_text("name")


def _decode_function_call_option(request: Members) -> ToolChoice | None:
    choice = request.raw.get("function_call")
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in ("none", "auto"):
            raise request.invalid_value("function_call", choice, ("none", "auto"))
        return ToolChoice(_MODES[choice])
    return ToolChoice(ToolChoiceMode.NAMED, (request.required_below("function_call").required_text("name"),))


def decode_call(call: Members) -> ToolCall:
    """An entry of a message's `tool_calls`, its id as the issuing side made it. Raises InvalidRequest."""
    call_id, seal = read_call_id(call.required_text("id"), CALL_PREFIX)
    if call.text("type") == "custom":
        custom = call.required_below("custom")
        return ToolCall(call_id, custom.required_text("name"), custom.text("input") or "", ToolKind.CUSTOM, seal=seal)
    if call.text("type") not in (None, "function"):
        raise call.invalid_value("type", str(call.text("type")), ("function", "custom"))
    function = call.required_below("function")
    name, arguments = function.required_text("name"), function.text("arguments") or ""
    return ToolCall(call_id, name, arguments, seal=seal or google_seal(call.raw))


def google_seal(call: Mapping[str, Any]) -> Seal | None:
    """`extra_content.google.thought_signature`. https://ai.google.dev/gemini-api/docs/thought-signatures#openai"""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    signature = google.get("thought_signature") if isinstance(google, Mapping) else None
    return Seal("google", signature) if isinstance(signature, str) and signature else None
