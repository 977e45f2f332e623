"""Blocks of a prompt -> content parts of a message.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
"""

from __future__ import annotations

from typing import Any

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
    Refusal,
    Text,
    Url,
)
from lumen.protocols.canonical.request import Request
from lumen.protocols.codec import Target, Unsupported
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.members import own_extras
from lumen.protocols.openai_chat.vendors import takes

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}

Part = dict[str, Any]
Content = str | list[Part]


class ContentEncoder:
    """Encodes for one target, noting what is lost. Raises Unsupported."""

    __slots__ = ("_request", "_target")

    def __init__(self, request: Request, target: Target) -> None:
        self._request = request
        self._target = target

    def content(self, parts: list[Part]) -> Content:
        """A string where that says it all: relatives read nothing else in most roles."""
        if all(part["type"] == "text" and len(part) == 2 for part in parts) and (
            len(parts) <= 1 or not takes(self._target.issuer, "text_parts")
        ):
            return "\n\n".join(part["text"] for part in parts)
        return parts

    def parts(self, blocks: tuple[Block, ...]) -> list[Part]:
        return [part for block in blocks if (part := self.part(block)) is not None]

    def part(self, block: Block) -> Part | None:
        """None for what is left out."""
        match block:
            case Text():
                if block.citations:
                    self._target.drop("citations")
                return self._marked({"type": "text", "text": block.text}, block.cache, block.extras)
            case Refusal():
                return {"type": "text", "text": block.text}
            case Image():
                return self._marked(self._image(block), block.cache, block.extras)
            case Document():
                return self._marked(self._document(block), block.cache, block.extras)
            case Audio():
                form = block.source.media_type.partition("/")[2]
                audio = {"data": block.source.data, "format": _AUDIO_FORMATS.get(form, form)}
                return {"type": "input_audio", "input_audio": audio, **own_extras(block.extras)}
            case Opaque() if block.dialect is Dialect.OPENAI_CHAT:
                return dict(block.raw)
            case _:
                self._target.drop("opaque_blocks")
                return None

    def _marked(self, part: Part, cache: CacheMark | None, extras: Extras | None) -> Part:
        members = own_extras(extras)
        if cache is not None and "cache_control" not in members:
            self._target.drop("cache_control")
        return {**part, **members}

    def _image(self, image: Image) -> Part:
        match image.source:
            case Inline(media_type, data):
                url = f"data:{media_type};base64,{data}"
            case Url(url):
                pass
            case _:
                raise self._stored_file()
        members = {"url": url} if image.detail is None else {"url": url, "detail": image.detail}
        return {"type": "image_url", "image_url": members}

    def _document(self, document: Document) -> Part:
        match document.source:
            case PlainText(text):
                return {"type": "text", "text": titled(text, document)}
            case Inline(media_type, data):
                file = {"filename": document.name or "document.pdf", "file_data": f"data:{media_type};base64,{data}"}
            case FileId(file_id) if self._request.dialect is Dialect.OPENAI_CHAT:
                file = {"file_id": file_id}
            case FileId():
                raise self._stored_file()
            case Url():
                raise Unsupported(
                    "document_url", "Documents by URL are not supported for this model. Send the data inline."
                )
        return {"type": "file", "file": file}

    def _stored_file(self) -> Unsupported:
        return Unsupported("file_id", "Files by id are not supported for this model. Send the data inline.")


def titled(text: str, document: Document) -> str:
    """A document's text under what is known of it."""
    return "\n\n".join(said for said in (document.name, document.context, text) if said)
