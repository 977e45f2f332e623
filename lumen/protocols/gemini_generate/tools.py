"""Tools and the choice among them -> `tools` and `toolConfig`. https://ai.google.dev/gemini-api/docs/function-calling"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols import flat_tools
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
from lumen.protocols.flat_tools import CUSTOM_PARAMETERS, custom_description
from lumen.protocols.gemini_generate.schema import clean_schema, takes_no_arguments
from lumen.protocols.gemini_generate.tool_names import encode_tool_name

_MODES = {
    ToolChoiceMode.AUTO: "AUTO",
    ToolChoiceMode.REQUIRED: "ANY",
    ToolChoiceMode.NAMED: "ANY",
    ToolChoiceMode.NONE: "NONE",
}


def encode_tools(request: Request, target: Target) -> dict[str, Any]:
    """`tools` and `toolConfig`, each where it is needed. Raises Unsupported for a choice that only names tools which
    had to be left out."""
    declarations = [declared for tool in request.tools if (declared := _declare(tool, target)) is not None]
    config = _encode_choice(request, declarations)
    members: dict[str, Any] = {}
    if declarations:
        members["tools"] = [{"functionDeclarations": declarations}]
        if config:
            members["toolConfig"] = {"functionCallingConfig": config}
        if request.parallel_tool_calls is False:
            target.drop("parallel_tool_calls")
    return members


def _declare(tool: Tool, target: Target) -> dict[str, Any] | None:
    match tool:
        case FunctionTool():
            if tool.cache is not None:
                target.drop("cache_control")
            return _declaration(encode_tool_name(tool.name, tool.namespace), tool.description, tool.parameters)
        case CustomTool():
            name, description = encode_tool_name(tool.name, tool.namespace), custom_description(tool)
            return _declaration(name, description, CUSTOM_PARAMETERS)
        case OpaqueTool(kind=flat_tools.LOCAL_SHELL):
            return _declaration(
                flat_tools.LOCAL_SHELL, flat_tools.LOCAL_SHELL_DESCRIPTION, flat_tools.LOCAL_SHELL_PARAMETERS
            )
        case OpaqueTool():
            target.drop("server_tools")
            return None


def _declaration(name: str, description: str | None, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    members: dict[str, Any] = {"name": name}
    if description:
        members["description"] = description
    if parameters and not takes_no_arguments(parameters):
        members["parametersJsonSchema"] = clean_schema(parameters)
    return members


def _encode_choice(request: Request, declarations: list[dict[str, Any]]) -> dict[str, Any]:
    choice = request.tool_choice or ToolChoice(ToolChoiceMode.AUTO)
    names = _allowed_names(choice, request, declarations)
    mode = _MODES[choice.mode]
    if mode == "AUTO":
        is_strict = any(isinstance(tool, FunctionTool) and tool.strict for tool in request.tools)
        if not names and not is_strict:
            return {}
        # Holds calls to their schemas, and unlike AUTO takes names.
        mode = "VALIDATED"
    return {"mode": mode, **({"allowedFunctionNames": names} if names else {})}


def _allowed_names(choice: ToolChoice, request: Request, declarations: list[dict[str, Any]]) -> list[str]:
    """A choice names a tool of a namespace by its own name or by `namespace.name`."""
    declared = {declaration["name"] for declaration in declarations}
    tools = [tool for tool in request.tools if not isinstance(tool, OpaqueTool)]
    sent = {f"{tool.namespace}.{tool.name}": encode_tool_name(tool.name, tool.namespace) for tool in tools}
    sent |= {tool.name: encode_tool_name(tool.name, tool.namespace) for tool in tools}
    names = [sent.get(name, name) for name in choice.names]
    allowed = [name for name in names if name in declared]
    is_forced = choice.mode in (ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED)
    if (names and not allowed) or (is_forced and not declared):
        message = f"The tool that is asked for is not available with this model: {', '.join(choice.names) or 'any'}."
        raise Unsupported("tool_choice", message, "tool_choice")
    return allowed
