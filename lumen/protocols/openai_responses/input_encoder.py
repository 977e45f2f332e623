"""Turns -> `input`, for a Responses upstream.

An ASSISTANT turn becomes the items OpenAI itself would have listed: reasoning, messages (adjacent texts of one message
together) and calls, in order. A tool's output takes the kind of the call it answers, whatever the client's dialect
knew of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from lumen.protocols.arguments import arguments_object
from lumen.protocols.canonical.content import (
    Audio,
    Block,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    PlainText,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolKind,
    ToolResult,
)
from lumen.protocols.canonical.request import Request, Role, Turn
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.citations import encode_annotations
from lumen.protocols.openai_responses.members import own_members
from lumen.protocols.openai_responses.request_decoder import INSTRUCTIONS
from lumen.protocols.openai_responses.tools import upstream_name

Item = dict[str, Any]

_ERROR = "Error: "
_IDENTIFIER_CHARS_MAX = 64
_CALL_ITEMS: Mapping[ToolKind, str] = {
    ToolKind.FUNCTION: "function_call",
    ToolKind.CUSTOM: "custom_tool_call",
    ToolKind.LOCAL_SHELL: "local_shell_call",
}
_MESSAGE_BLOCKS = (Text, Refusal, Image, Document, Audio)


class InputEncoder:
    """Raises Unsupported for what must not be left out; notes in `target` what was."""

    def __init__(self, request: Request, target: Target) -> None:
        self._request = request
        self._target = target
        self._is_own = request.dialect is Dialect.OPENAI_RESPONSES
        self._kinds = {
            block.call_id: block.kind for turn in request.turns for block in turn.content if isinstance(block, ToolCall)
        }

    def instructions(self) -> str | None:
        """Every system text that was not a message of its own."""
        texts = [text for text in self._request.system if _role_of(text) in (None, INSTRUCTIONS)]
        for text in texts:
            self._note_cache(text)
        return "\n\n".join(text.text for text in texts if text.text) if texts else None

    def items(self) -> list[Item]:
        items = [
            {"type": "message", "role": _role_of(text), "content": [self._text_part(text)]}
            for text in self._request.system
            if _role_of(text) not in (None, INSTRUCTIONS)
        ]
        for turn in self._request.turns:
            if turn.name is not None:
                self._target.drop("participant_name")
            items += self._answer_items(turn) if turn.role is Role.ASSISTANT else self._prompt_items(turn)
        return items

    # --- users, tools, systems

    def _prompt_items(self, turn: Turn) -> list[Item]:
        items: list[Item] = []
        content: list[Item] = []
        members = {"role": "developer" if turn.role is Role.SYSTEM else "user", **own_members(turn.extras)}
        for block in turn.content:
            if isinstance(block, _MESSAGE_BLOCKS):
                content += self._part(block)
                continue
            item = self._item(block)
            if item is None:
                continue
            if content:
                items.append({"type": "message", **members, "content": content})
                content = []
            items.append(item)
        if content:
            items.append({"type": "message", **members, "content": content})
        return items

    def _part(self, block: Text | Refusal | Image | Document | Audio) -> list[Item]:
        """Empty texts say nothing."""
        if isinstance(block, Refusal):
            return [{"type": "input_text", "text": block.text}]
        if isinstance(block, Text):
            return [self._text_part(block)] if block.text else []
        if isinstance(block, Audio):
            clip = {"data": block.source.data, "format": block.source.media_type.removeprefix("audio/")}
            return [{"type": "input_audio", "input_audio": clip, **own_members(block.extras)}]
        self._note_cache(block)
        if isinstance(block, Image):
            return [self._image_part(block)]
        part = self._document_part(block)
        if block.context and part["type"] == "input_file":
            return [{"type": "input_text", "text": block.context}, part]
        return [part]

    def _text_part(self, block: Text) -> Item:
        self._note_cache(block)
        if block.seal is not None:
            self._target.drop("reasoning_signature")
        extras = {name: value for name, value in own_members(block.extras).items() if name not in ("role", "message")}
        return {"type": "input_text", "text": block.text, **extras}

    def _image_part(self, block: Image) -> Item:
        part: Item = {"type": "input_image"}
        if block.detail is not None:
            part["detail"] = block.detail
        if isinstance(block.source, FileId):
            part["file_id"] = self._file_id(block.source)
        else:
            part["image_url"] = _url(block.source)
        return {**part, **own_members(block.extras)}

    def _document_part(self, block: Document) -> Item:
        source = block.source
        if isinstance(source, PlainText):
            texts = [text for text in (block.name, block.context, source.text) if text]
            return {"type": "input_text", "text": "\n\n".join(texts)}
        part: Item = {"type": "input_file"}
        if isinstance(source, FileId):
            part["file_id"] = self._file_id(source)
        elif isinstance(source, Inline):
            part["file_data"] = _url(source)
        else:
            part["file_url"] = source.url
        if block.name is not None or (isinstance(source, Inline) and not self._is_own):
            part["filename"] = block.name or "document"
        return {**part, **own_members(block.extras)}

    def _file_id(self, source: FileId) -> str:
        if not self._is_own:
            raise Unsupported("file_id", "Files stored at another provider cannot be used with this model.")
        return source.file_id

    # --- the model's own items

    def _answer_items(self, turn: Turn) -> list[Item]:
        items: list[Item] = []
        for message, blocks in groupby(turn.content, _message_of):
            if message is None:
                items += [item for block in blocks if (item := self._item(block)) is not None]
            elif content := [part for block in blocks for part in self._answer_part(block)]:
                items.append({"type": "message", "role": "assistant", **message, "content": content})
        return items

    def _answer_part(self, block: Block) -> list[Item]:
        if isinstance(block, Refusal):
            return [{"type": "refusal", "refusal": block.text}]
        if not isinstance(block, Text):
            raise Unsupported("assistant_media", "Assistant messages can hold text only for this model.", "messages")
        if not block.text:
            return []
        part = {**self._text_part(block), "type": "output_text"}
        originals = [citation for citation in block.citations if own_members(citation.extras)]
        if len(originals) < len(block.citations):
            self._target.drop("citations")
        if annotations := encode_annotations(originals, len(block.text)):
            part["annotations"] = annotations
        return [part]

    def _item(self, block: Block) -> Item | None:
        match block:
            case Reasoning():
                return self._reasoning_item(block)
            case ToolCall():
                return self._call_item(block)
            case ToolResult():
                return self._result_item(block)
            case Opaque(dialect=Dialect.OPENAI_RESPONSES):
                return dict(block.raw)
            case _:
                self._target.drop("opaque_blocks")
                return None

    def _reasoning_item(self, block: Reasoning) -> Item | None:
        """Without a seal of this vendor it is left out: OpenAI takes no other."""
        is_ours = block.seal is not None and block.seal.issuer == self._target.issuer
        if not is_ours and not (self._is_own and block.seal is None):
            self._target.drop("reasoning_signature")
            return None
        summary = [{"type": "summary_text", "text": block.text}] if block.text else []
        item: Item = {"type": "reasoning", **own_members(block.extras), "summary": summary}
        if block.seal is not None:
            item["encrypted_content"] = block.seal.value
        return item

    def _call_item(self, block: ToolCall) -> Item:
        self._note_cache(block)
        if block.seal is not None and block.seal.issuer != self._target.issuer:
            self._target.drop("reasoning_signature")
        item: Item = {
            "type": _CALL_ITEMS[block.kind],
            **own_members(block.extras),
            "call_id": identifier(block.call_id),
        }
        if block.kind is ToolKind.LOCAL_SHELL:
            return {"status": "completed", **item, "action": arguments_object(block.arguments)}
        if block.namespace is None:
            item["name"] = upstream_name(block.name, self._request.dialect)
        else:
            item |= {"name": block.name, "namespace": block.namespace}
        if block.kind is ToolKind.CUSTOM:
            item["input"] = block.arguments
        else:
            item["arguments"] = block.arguments or "{}"
        return item

    def _result_item(self, block: ToolResult) -> Item:
        self._note_cache(block)
        kind = self._kinds.get(block.call_id, block.kind)
        name = "id" if kind is ToolKind.LOCAL_SHELL else "call_id"
        return {
            **own_members(block.extras),
            "type": f"{_CALL_ITEMS[kind]}_output",
            name: identifier(block.call_id),
            "output": self._output(block),
        }

    def _output(self, block: ToolResult) -> str | list[Item]:
        """A string where one text is all there is."""
        match block.content:
            case ():
                return _ERROR.strip() if block.is_error else ""
            case (Text(extras=None) as only,):
                self._note_cache(only)
                return _ERROR + only.text if block.is_error else only.text
            case _:
                parts = [part for each in block.content for part in self._part(each)]
                return [{"type": "input_text", "text": _ERROR.strip()}, *parts] if block.is_error else parts

    def _note_cache(self, block: Text | Image | Document | ToolCall | ToolResult) -> None:
        if block.cache is not None:
            self._target.drop("cache_control")


def identifier(text: str) -> str:
    """OpenAI takes 64 characters; the SHA-256 of a longer one has as many."""
    return text if len(text) <= _IDENTIFIER_CHARS_MAX else hashlib.sha256(text.encode()).hexdigest()


def _role_of(text: Text) -> str | None:
    role = own_members(text.extras).get("role")
    return role if isinstance(role, str) else None


def _message_of(block: Block) -> Mapping[str, Any] | None:
    """The members of the message a block is part of; None for what is an item by itself."""
    if not isinstance(block, _MESSAGE_BLOCKS):
        return None
    message: Mapping[str, Any] = own_members(block.extras).get("message", {}) if isinstance(block, Text) else {}
    return message


def _url(source: Source) -> str:
    match source:
        case Inline():
            return f"data:{source.media_type};base64,{source.data}"
        case PlainText():
            return source.text
        case FileId():
            return source.file_id
        case _:
            return source.url
