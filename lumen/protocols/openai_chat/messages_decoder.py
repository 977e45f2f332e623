"""`messages` -> the leading system texts and the turns after them.

A `tool` message becomes a user turn with one result, an assistant's thinking (`reasoning_content`, with some
`reasoning`) its first block. Messages of the old function calling have no ids: each call gets one by its order, and a
`function` message answers the last call of its name.
"""

from __future__ import annotations

from typing import Any

from lumen.protocols import openai_wording as wording
from lumen.protocols.canonical.content import (
    Block,
    Document,
    Extras,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolKind,
    ToolResult,
)
from lumen.protocols.canonical.request import Role, Turn
from lumen.protocols.openai_chat.content_decoder import decode_content, only
from lumen.protocols.openai_chat.members import Members
from lumen.protocols.openai_chat.tools_decoder import CALL_PREFIX, decode_call
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.seals import read_call_id

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_SYSTEM_ROLES = ("system", "developer")
_PLAIN = frozenset({"role", "content", "name"})
_TOOL = frozenset({"role", "content", "name", "tool_call_id"})
_ASSISTANT = _PLAIN | {"refusal", "reasoning_content", "reasoning", "tool_calls", "function_call"}


def decode_messages(request: Members) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """Raises InvalidRequest."""
    messages = request.objects("messages")
    if not messages:
        raise InvalidRequest(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        )
    decoder = _MessagesDecoder()
    for message in messages:
        decoder.decode(message)
    return tuple(decoder.system), tuple(decoder.turns)


class _MessagesDecoder:
    __slots__ = ("_call_kinds", "_legacy_calls", "_legacy_ids", "system", "turns")

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self._call_kinds: dict[str, ToolKind] = {}
        self._legacy_calls = 0
        self._legacy_ids: dict[str, str] = {}  # by function name

    def decode(self, message: Members) -> None:
        role = message.required_text("role")
        if role in _SYSTEM_ROLES:
            self._decode_system(message)
        elif role == "user":
            self._turn(Role.USER, _content(message), message, _PLAIN)
        elif role == "assistant":
            self._decode_assistant(message)
        elif role == "tool":
            self._decode_tool(message)
        elif role == "function":
            self._decode_function(message)
        else:
            raise message.invalid_value("role", role, _ROLES)

    def _turn(self, role: Role, blocks: tuple[Block, ...], message: Members, known: frozenset[str]) -> None:
        self.turns.append(Turn(role, blocks, message.text("name"), message.extras(known)))

    def _decode_system(self, message: Members) -> None:
        texts: tuple[Text, ...] = only(_content(message), Text, message, ("text",))
        if self.turns or message.has("name") or message.extras(_PLAIN):
            self._turn(Role.SYSTEM, texts, message, _PLAIN)
        else:
            self.system.extend(texts)

    def _decode_assistant(self, message: Members) -> None:
        content = decode_content(message)
        reasoning = message.text("reasoning_content") or message.text("reasoning")
        refusal = message.text("refusal")
        calls = [decode_call(call) for call in message.objects("tool_calls")]
        function_call = message.below("function_call")
        if function_call is not None:
            calls.append(self._legacy_call(function_call))
        for call in calls:
            self._call_kinds[call.call_id] = call.kind
        blocks: list[Block] = [Reasoning(reasoning)] if reasoning else []
        blocks += [block for block in content if block != Text("") or not (calls or refusal)]
        blocks += [Refusal(refusal)] if refusal else []
        self.turns.append(
            Turn(Role.ASSISTANT, (*blocks, *calls), message.text("name"), _without_empty(message.extras(_ASSISTANT)))
        )

    def _legacy_call(self, call: Members) -> ToolCall:
        name = call.required_text("name")
        call_id = f"{CALL_PREFIX}function_{self._legacy_calls}"
        self._legacy_calls += 1
        self._legacy_ids[name] = call_id
        return ToolCall(call_id, name, call.text("arguments") or "")

    def _decode_tool(self, message: Members) -> None:
        call_id, _ = read_call_id(message.required_text("tool_call_id"), CALL_PREFIX)
        self._result(message, call_id, _TOOL)

    def _decode_function(self, message: Members) -> None:
        name = message.required_text("name")
        if name not in self._legacy_ids:
            raise InvalidRequest(
                f"Invalid parameter: messages with role 'function' must be a response to a preceding message with"
                f" 'function_call' of '{name}'.",
                message.at("role"),
            )
        self._result(message, self._legacy_ids[name], _PLAIN)

    def _result(self, message: Members, call_id: str, known: frozenset[str]) -> None:
        content = only(decode_content(message), Text | Image | Document, message, ("text",))
        kind = self._call_kinds.get(call_id, ToolKind.FUNCTION)
        self.turns.append(Turn(Role.USER, (ToolResult(call_id, content, kind=kind),), extras=message.extras(known)))


def _content(message: Members) -> tuple[Block, ...]:
    """Content that has to be there."""
    if not message.has("content"):
        raise _missing_content(message)
    return decode_content(message)


def _missing_content(message: Members) -> InvalidRequest:
    path = message.at("content")
    if "content" in message.raw:
        return InvalidRequest(
            f"Invalid value for 'content': expected a string, got null. ({path})", path, "invalid_type"
        )
    return wording.missing(path)


def _without_empty(extras: Extras | None) -> Extras | None:
    """Without the empty `annotations` and the like of an SDK's message that was sent back whole."""
    if extras is None:
        return None
    members: dict[str, Any] = {name: value for name, value in extras.members.items() if value not in ([], {})}
    return Extras(extras.dialect, members) if members else None
