"""`input` -> turns.

The items of one answer (reasoning, messages, calls), which Responses lists one after another, become one ASSISTANT
turn: it ends where a message of another role or a tool's output comes. An assistant message's own members (`id`,
`status`, `phase`) are kept on each of its texts as the made-up extra `message`, the role a system text was written in
as `role`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lumen.protocols import openai_wording as wording
from lumen.protocols.arguments import arguments_text
from lumen.protocols.canonical.content import Block, Opaque, Reasoning, Text, ToolCall, ToolKind, ToolResult
from lumen.protocols.canonical.request import Role, Tool, Turn
from lumen.protocols.codec import Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.content import decode_content, decode_output
from lumen.protocols.openai_responses.members import (
    Members,
    as_array,
    as_object,
    member_path,
    other_members,
    own_extras,
    own_members,
    read_optional_array,
    read_optional_object,
    read_optional_string,
    read_string,
)
from lumen.protocols.openai_responses.sealed import decode_seal
from lumen.protocols.openai_responses.tools import decode_tools
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.seals import read_call_id

CALL_PREFIX = "call_"
LOCAL_SHELL = "local_shell"
PART_SEPARATOR = "\n\n"

_MESSAGE_MEMBERS = frozenset({"type", "role", "content"})
_CALL_MEMBERS = frozenset({"type", "call_id", "name", "namespace", "arguments", "input", "action"})
_RESULT_MEMBERS = frozenset({"type", "call_id", "output"})
_REASONING_MEMBERS = frozenset({"type", "summary", "content", "encrypted_content"})
_ROLES: Mapping[str, Role] = {
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
}


class Conversation:
    """Collects what the items say, in their order. `system` are the texts that come before anything else, `tools` those
    handed over in between, which other dialects can only have from the start."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.tools: list[Tool] = []
        self._turns: list[Turn] = []
        self._answer: list[Block] = []

    def turns(self) -> tuple[Turn, ...]:
        self._end_answer()
        return tuple(self._turns)

    def add(self, value: Any) -> None:
        """`value`: the request's `input`. Raises InvalidRequest and Unsupported."""
        if isinstance(value, str):
            self._turns.append(Turn(Role.USER, (Text(value),)))
            return
        for i, item in enumerate(as_array(value, "input")):
            path = f"input[{i}]"
            self._add_item(as_object(item, path), path)

    def _add_item(self, item: Members, path: str) -> None:
        kind = read_optional_string(item, "type", path)
        if kind == "message" or (kind is None and item.get("role") is not None):
            self._add_message(item, path)
        elif kind is None or kind == "item_reference":
            raise Unsupported(
                "stored_conversations",
                "References to stored items are not supported for this model. Please send the items themselves.",
                path,
            )
        elif kind == "additional_tools":
            self.tools += decode_tools(item.get("tools"), member_path(path, "tools"))
        elif kind in _ANSWER_ITEMS:
            self._answer.append(_ANSWER_ITEMS[kind](item, path))
        elif kind in _RESULTS:
            self._turn(Turn(Role.USER, (_decode_result(item, _RESULTS[kind], path),)))
        else:
            self._answer.append(Opaque(Dialect.OPENAI_RESPONSES, kind, item))

    def _add_message(self, item: Members, path: str) -> None:
        written_by = read_string(item, "role", path)
        role = _ROLES.get(written_by)
        if role is None:
            raise InvalidRequest(
                f"Invalid value: '{written_by}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
                member_path(path, "role"),
                "invalid_value",
            )
        content = decode_content(item.get("content"), member_path(path, "content"))
        members = other_members(item, _MESSAGE_MEMBERS)
        if role is Role.ASSISTANT:
            self._answer += [_with_extras(block, {"message": members} if members else {}) for block in content]
        elif role is Role.USER:
            self._turn(Turn(role, content, extras=own_extras(members)))
        else:
            self._add_system(content, {**members, "role": written_by})

    def _add_system(self, content: tuple[Block, ...], members: dict[str, Any]) -> None:
        texts = [_with_extras(block, {"role": members["role"]}) for block in content]
        leading = [text for text in texts if isinstance(text, Text)]
        if self._turns or self._answer or len(leading) < len(content):
            self._turn(Turn(Role.SYSTEM, content, extras=own_extras(members)))
        else:
            self.system += leading

    def _turn(self, turn: Turn) -> None:
        self._end_answer()
        self._turns.append(turn)

    def _end_answer(self) -> None:
        if self._answer:
            self._turns.append(Turn(Role.ASSISTANT, tuple(self._answer)))
            self._answer = []


def _with_extras(block: Block, members: dict[str, Any]) -> Block:
    if not members or not isinstance(block, Text):
        return block
    return msgspec.structs.replace(block, extras=own_extras({**own_members(block.extras), **members}))


def reasoning_text(item: Members) -> str:
    """The summary, else the reasoning itself; parts of another shape are left out."""
    for name in ("summary", "content"):
        parts = item.get(name)
        texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        if text := PART_SEPARATOR.join(text for text in texts if isinstance(text, str)):
            return text
    return ""


def _decode_reasoning(item: Members, path: str) -> Reasoning:
    read_optional_array(item, "summary", path)
    read_optional_array(item, "content", path)
    sealed = read_optional_string(item, "encrypted_content", path)
    seal, is_redacted = decode_seal(sealed) if sealed else (None, False)
    extras = own_extras(other_members(item, _REASONING_MEMBERS))
    return Reasoning(reasoning_text(item), seal, is_redacted, extras)


def _decode_function_call(item: Members, path: str) -> ToolCall:
    return _call(item, path, ToolKind.FUNCTION, read_string(item, "name", path), read_string(item, "arguments", path))


def _decode_custom_call(item: Members, path: str) -> ToolCall:
    return _call(item, path, ToolKind.CUSTOM, read_string(item, "name", path), read_string(item, "input", path))


def _decode_local_shell_call(item: Members, path: str) -> ToolCall:
    action = read_optional_object(item, "action", path)
    if action is None:
        raise wording.missing(member_path(path, "action"))
    return _call(item, path, ToolKind.LOCAL_SHELL, LOCAL_SHELL, arguments_text(action))


def _call(item: Members, path: str, kind: ToolKind, name: str, arguments: str) -> ToolCall:
    call_id, seal = read_call_id(read_string(item, "call_id", path), CALL_PREFIX)
    return ToolCall(
        call_id,
        name,
        arguments,
        kind,
        read_optional_string(item, "namespace", path),
        seal,
        extras=own_extras(other_members(item, _CALL_MEMBERS)),
    )


def _decode_result(item: Members, kind: ToolKind, path: str) -> ToolResult:
    """The documented `local_shell_call_output` has the call's id in `id`, Codex's in `call_id`."""
    name = "id" if kind is ToolKind.LOCAL_SHELL and item.get("call_id") is None else "call_id"
    call_id, _ = read_call_id(read_string(item, name, path), CALL_PREFIX)
    content = decode_output(item.get("output"), member_path(path, "output"))
    extras = own_extras(other_members(item, _RESULT_MEMBERS | {name}))
    return ToolResult(call_id, content, kind=kind, extras=extras)


_ANSWER_ITEMS: Mapping[str, Callable[[Members, str], Block]] = {
    "reasoning": _decode_reasoning,
    "function_call": _decode_function_call,
    "custom_tool_call": _decode_custom_call,
    "local_shell_call": _decode_local_shell_call,
}
_RESULTS: Mapping[str, ToolKind] = {
    "function_call_output": ToolKind.FUNCTION,
    "custom_tool_call_output": ToolKind.CUSTOM,
    "local_shell_call_output": ToolKind.LOCAL_SHELL,
}
