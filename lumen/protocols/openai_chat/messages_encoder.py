"""System texts and turns -> `messages`.

Between two assistant messages come first all results of the tools that were called, as the API demands, then what
those results cannot hold themselves (images, files), then everything else in its order. Consecutive assistant turns
become one message unless both have text of their own and the first called nothing: Responses spreads one answer over
several items, and the calls of one step have to stand in one message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from lumen.protocols.canonical.content import (
    Block,
    Document,
    PlainText,
    Reasoning,
    Refusal,
    ResultPart,
    Text,
    ToolCall,
    ToolResult,
)
from lumen.protocols.canonical.request import Request, Role, Turn
from lumen.protocols.codec import Target
from lumen.protocols.openai_chat.content_encoder import ContentEncoder, Part
from lumen.protocols.openai_chat.members import own_extras
from lumen.protocols.openai_chat.tools_encoder import encode_calls
from lumen.protocols.openai_chat.vendors import needs_reasoning_beside_calls, takes, takes_reasoning

_ERROR_PREFIX = "Error: "
_MEDIA_FOLLOW = "(The result's images and files follow in the next user message.)"
# Where thinking is demanded but the history has none; an empty string counts as missing.
_NO_REASONING = " "


def encode_messages(request: Request, target: Target) -> list[dict[str, Any]]:
    """Raises Unsupported."""
    encoder = _MessagesEncoder(request, target)
    if request.system:
        encoder.system(request.system)
    for is_assistant, turns in groupby(request.turns, lambda turn: turn.role is Role.ASSISTANT):
        if is_assistant:
            for message in _messages_of(turns):
                encoder.assistant(message)
        else:
            encoder.between(list(turns))
    return encoder.messages


def _messages_of(turns: Iterable[Turn]) -> Iterator[list[Turn]]:
    message: list[Turn] = []
    for turn in turns:
        is_own = _has(turn, Text) and any(_has(earlier, Text) for earlier in message)
        if is_own and not any(_has(earlier, ToolCall) for earlier in message):
            yield message
            message = []
        message.append(turn)
    yield message


def _has(turn: Turn, kind: type[Block]) -> bool:
    return any(isinstance(block, kind) for block in turn.content)


class _MessagesEncoder:
    __slots__ = ("_content", "_must_reason", "_target", "messages")

    def __init__(self, request: Request, target: Target) -> None:
        self._target = target
        self._content = ContentEncoder(request, target)
        has_calls = any(_has(turn, ToolCall) for turn in request.turns)
        self._must_reason = has_calls and needs_reasoning_beside_calls(target.issuer)
        self.messages: list[dict[str, Any]] = []

    def system(self, texts: tuple[Block, ...]) -> None:
        self.messages.append({"role": "system", "content": self._content.content(self._content.parts(texts))})

    def between(self, turns: list[Turn]) -> None:
        """What stands between two assistant messages."""
        media: list[Part] = []
        for result in (block for turn in turns for block in turn.content if isinstance(block, ToolResult)):
            self._tool(result, media)
        if media:
            self.messages.append({"role": "user", "content": media})
        for turn in turns:
            rest = tuple(block for block in turn.content if not isinstance(block, ToolResult))
            if rest or not turn.content:
                self._plain(turn, rest)

    def _plain(self, turn: Turn, blocks: tuple[Block, ...]) -> None:
        parts = self._content.parts(blocks)
        if blocks and not parts:
            return  # nothing of it can be said here
        role = turn.role.value
        if turn.role is Role.SYSTEM and not takes(self._target.issuer, "system_turns"):
            role = Role.USER.value
            parts = [
                {**part, "text": f"<system>\n{part['text']}\n</system>"} if "text" in part else part for part in parts
            ]
        self._append({"role": role, "content": self._content.content(parts)}, [turn])

    def _append(self, message: dict[str, Any], turns: list[Turn]) -> None:
        for turn in turns:
            if turn.name is not None:
                message.setdefault("name", turn.name)
            message.update(own_extras(turn.extras))
        self.messages.append(message)

    def _tool(self, result: ToolResult, media: list[Part]) -> None:
        """Tool messages hold text only; the rest goes to `media`, under a line that says whose it is."""
        if result.cache is not None:
            self._target.drop("cache_control")
        texts = [part for block in result.content if (part := self._result_text(block)) is not None]
        moved = [part for block in result.content if not _is_text(block) for part in self._content.parts((block,))]
        if moved:
            texts.append({"type": "text", "text": _MEDIA_FOLLOW})
            media += [{"type": "text", "text": f"Of the result of tool call {result.call_id}:"}, *moved]
        if result.is_error:
            first = texts.pop(0)["text"] if texts else ""
            texts.insert(0, {"type": "text", "text": f"{_ERROR_PREFIX}{first}".rstrip()})
        self.messages.append(
            {
                "role": "tool",
                "tool_call_id": result.call_id,
                "content": self._content.content(texts),
                **own_extras(result.extras),
            }
        )

    def _result_text(self, block: ResultPart) -> Part | None:
        return self._content.part(block) if _is_text(block) else None

    def assistant(self, turns: list[Turn]) -> None:
        blocks = [block for turn in turns for block in turn.content]
        calls = [block for block in blocks if isinstance(block, ToolCall)]
        refusals = [block.text for block in blocks if isinstance(block, Refusal)]
        has_refusal_member = takes(self._target.issuer, "refusal")
        said = [
            block
            for block in blocks
            if not isinstance(block, ToolCall | Reasoning) and not (has_refusal_member and isinstance(block, Refusal))
        ]
        parts = self._content.parts(tuple(said))
        message: dict[str, Any] = {"role": "assistant", "content": self._content.content(parts)}
        reasoning = self._reasoning(blocks)
        if blocks and not (parts or calls or refusals or reasoning):
            return  # nothing of it can be said here
        if not reasoning and self._must_reason:
            reasoning = _NO_REASONING
        if reasoning:
            message["reasoning_content"] = reasoning
        if refusals and has_refusal_member:
            message["refusal"] = "".join(refusals)
        if calls:
            message["tool_calls"] = encode_calls(calls, self._target)
        if not parts and (calls or refusals):
            message["content"] = None
        self._append(message, turns)

    def _reasoning(self, blocks: list[Block]) -> str:
        texts = []
        for block in blocks:
            if not isinstance(block, Reasoning):
                continue
            is_foreign = block.seal is not None and block.seal.issuer != self._target.issuer
            if is_foreign or not block.text or not takes_reasoning(self._target.issuer):
                self._target.drop("reasoning_signature")
            else:
                texts.append(block.text)
        return "\n\n".join(texts)


def _is_text(block: ResultPart) -> bool:
    return isinstance(block, Text) or (isinstance(block, Document) and isinstance(block.source, PlainText))
