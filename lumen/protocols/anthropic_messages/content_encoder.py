"""Canonical blocks -> content blocks for the provider.

The API refuses empty text, foreign signatures and call ids of other characters than letters, digits, `_` and `-`.
https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

from lumen.protocols import seals
from lumen.protocols.anthropic_messages.content_decoder import CALL_PREFIX, ISSUER
from lumen.protocols.arguments import CUSTOM_INPUT, arguments_object
from lumen.protocols.canonical.content import (
    Audio,
    Block,
    CacheMark,
    Document,
    Extras,
    FileId,
    Image,
    Inline,
    Opaque,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolKind,
    ToolResult,
    Url,
)
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.tool_names import ANTHROPIC_CHARS_MAX, flat_name

Members = dict[str, Any]

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
# What some clients call it -> what the API calls it.
_IMAGE_TYPES = {"image/jpg": "image/jpeg"}
# Sent as text: `application/...` that people read.
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})


def own_extras(extras: Extras | None) -> Members:
    return dict(extras.members) if extras is not None and extras.dialect is Dialect.ANTHROPIC_MESSAGES else {}


def cache_member(mark: CacheMark | None) -> Members:
    if mark is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} if mark.ttl == "5m" else {"type": "ephemeral", "ttl": mark.ttl}}


class ContentEncoder:
    """Blocks of one request. `client`: its dialect, whose stored files it may name."""

    def __init__(self, client: Dialect, target: Target) -> None:
        self._client = client
        self._target = target

    def blocks(self, content: Iterable[Block]) -> list[Members]:
        """Without those that must not or need not be sent."""
        encoded = (self._encode(block) for block in content)
        return [members for members in encoded if members is not None]

    def text(self, text: Text) -> Members | None:
        own = own_extras(text.extras)
        if "type" in own:
            return own
        if not text.text.strip():
            return None
        citations = [own_extras(citation.extras) for citation in text.citations]
        if not all(citations):
            self._target.drop("citations")
        kept = [citation for citation in citations if citation]
        cited = {"citations": kept} if kept else {}
        return {"type": "text", "text": text.text, **cited, **cache_member(text.cache), **own}

    def _encode(self, block: Block) -> Members | None:
        match block:
            case Text():
                return self.text(block)
            case Refusal():
                return self.text(Text(block.text))
            case Image():
                return self._image(block)
            case Document():
                return self._document(block)
            case Reasoning():
                return self._reasoning(block)
            case ToolCall():
                return self._call(block)
            case ToolResult():
                return self._result(block)
            case Opaque():
                return self._opaque(block)
            case Audio():
                raise Unsupported("audio_input", "This model does not take audio.", "messages")

    def _image(self, image: Image) -> Members:
        if image.detail not in (None, "auto"):
            self._target.drop("image_detail")
        match image.source:
            case Inline(media_type, data):
                source = {"type": "base64", "media_type": _IMAGE_TYPES.get(media_type, media_type), "data": data}
            case Url(url):
                source = {"type": "url", "url": url}
            case FileId(file_id):
                source = self._file(file_id)
            case PlainText():
                raise Unsupported("document_type", "An image cannot be plain text.", "messages")
        return {"type": "image", "source": source, **cache_member(image.cache), **own_extras(image.extras)}

    def _document(self, document: Document) -> Members:
        own = own_extras(document.extras)
        if "type" in own:
            return {**own, **cache_member(document.cache)}
        members: Members = {"type": "document", "source": self._document_source(document)}
        if document.name:
            members["title"] = document.name
        if document.context:
            members["context"] = document.context
        return {**members, **cache_member(document.cache), **own}

    def _document_source(self, document: Document) -> Members:
        match document.source:
            case Url(url):
                return {"type": "url", "url": url}
            case FileId(file_id):
                return self._file(file_id)
            case PlainText(text):
                return _plain(text)
            case Inline("application/pdf", data):
                return {"type": "base64", "media_type": "application/pdf", "data": data}
            case Inline(media_type, data):
                kind = media_type.partition(";")[0]
                if kind.startswith("text/") or kind in _TEXT_TYPES:
                    return _plain(_decoded(data))
                raise Unsupported("document_type", f"Documents of type '{media_type}' are not supported.", "messages")

    def _file(self, file_id: str) -> Members:
        if self._client is not Dialect.ANTHROPIC_MESSAGES:
            raise Unsupported("file_id", "Stored files cannot be used with this model; send the content.", "messages")
        return {"type": "file", "file_id": file_id}

    def _reasoning(self, reasoning: Reasoning) -> Members | None:
        seal = reasoning.seal
        if seal is None:
            # Vendors other than Anthropic sign nothing, and want their thinking back.
            if self._target.issuer == ISSUER or not reasoning.text:
                return None
            return {"type": "thinking", "thinking": reasoning.text, "signature": ""}
        if seal.issuer != self._target.issuer:
            self._target.drop("reasoning_signature")
            return None
        own = own_extras(reasoning.extras)
        if reasoning.is_redacted:
            return {"type": "redacted_thinking", "data": seal.value, **own}
        return {"type": "thinking", "thinking": reasoning.text, "signature": seal.value, **own}

    def _call(self, call: ToolCall) -> Members:
        is_custom = call.kind is ToolKind.CUSTOM
        return {
            "type": "tool_use",
            "id": _call_id(call.call_id),
            "name": flat_name(call.namespace, call.name, ANTHROPIC_CHARS_MAX),
            "input": {CUSTOM_INPUT: call.arguments} if is_custom else arguments_object(call.arguments),
            **cache_member(call.cache),
            **own_extras(call.extras),
        }

    def _result(self, result: ToolResult) -> Members:
        members: Members = {"type": "tool_result", "tool_use_id": _call_id(result.call_id)}
        content = self.blocks(result.content)
        if content:
            members["content"] = content
        if result.is_error:
            members["is_error"] = True
        return {**members, **cache_member(result.cache), **own_extras(result.extras)}

    def _opaque(self, block: Opaque) -> Members | None:
        if block.dialect is Dialect.ANTHROPIC_MESSAGES:
            return dict(block.raw)
        if block.kind == "item_reference":
            raise Unsupported("stored_conversations", "Items stored at another provider cannot be used here.", "input")
        self._target.drop("opaque_blocks")
        return None


def _call_id(call_id: str) -> str:
    """As it is, unless the API would refuse it."""
    return call_id if _CALL_ID.fullmatch(call_id) else seals.client_call_id(call_id, None, CALL_PREFIX)


def _plain(text: str) -> Members:
    return {"type": "text", "media_type": "text/plain", "data": text}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unsupported("document_type", "The document is not text in UTF-8.", "messages") from None
