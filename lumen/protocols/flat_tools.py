"""Tools of OpenAI's that other dialects know only as functions: freeform (custom) tools and the local shell.

The way back is `Request.tool_kind`, which says what a call has to be for the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols.arguments import CUSTOM_INPUT
from lumen.protocols.canonical.request import CustomTool

# https://platform.openai.com/docs/api-reference/responses/object (local_shell_call.action)
LOCAL_SHELL = "local_shell"
LOCAL_SHELL_DESCRIPTION = "Runs a command on the user's machine."
LOCAL_SHELL_PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["exec"]},
        "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "timeout_ms": {"type": "integer"},
        "user": {"type": "string"},
        "working_directory": {"type": "string"},
    },
    "required": ["type", "command", "env"],
}

CUSTOM_PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {CUSTOM_INPUT: {"type": "string", "description": "The whole input of the tool."}},
    "required": [CUSTOM_INPUT],
}


def custom_description(tool: CustomTool) -> str | None:
    """With the grammar: the model has to be told, for nothing holds a function's string to it."""
    # Chat nests the grammar's members, Responses has them beside `type`.
    form = tool.format or {}
    grammar = form.get("grammar")
    members = grammar if isinstance(grammar, Mapping) else form
    definition = members.get("definition")
    if not isinstance(definition, str):
        return tool.description
    rule = f"`{CUSTOM_INPUT}` has to follow this {members.get('syntax', 'formal')} grammar:\n{definition}"
    return f"{tool.description}\n\n{rule}" if tool.description else rule
