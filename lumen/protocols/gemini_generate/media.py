"""Images, documents and audio -> parts.

`inlineData` holds bytes; `fileData` points to what Google fetches itself: HTTP(S) URLs, Cloud Storage, the Files API.
https://ai.google.dev/gemini-api/docs/file-input-methods
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from lumen.protocols.canonical.content import Audio, Document, FileId, Image, Inline, PlainText, Source, Url
from lumen.protocols.codec import Unsupported

# Suffix -> what Gemini reads of it. https://ai.google.dev/gemini-api/docs/file-input-methods#supported-content-types
_MEDIA_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
}


def encode_media(block: Image | Document | Audio) -> list[dict[str, Any]]:
    """A document's name and context go before it as text. Raises Unsupported for a file of the client's provider."""
    parts = []
    if isinstance(block, Document):
        parts = [{"text": text} for text in (block.name, block.context) if text]
    return [*parts, encode_source(block.source)]


def encode_source(source: Source) -> dict[str, Any]:
    match source:
        case Inline():
            return {"inlineData": {"mimeType": source.media_type, "data": source.data}}
        case Url():
            return {"fileData": _file_data(source.url)}
        case PlainText():
            return {"text": source.text}
        case FileId():
            message = f"The file `{source.file_id}` is stored at another provider. Send its content instead."
            raise Unsupported("file_id", message)


def _file_data(url: str) -> dict[str, Any]:
    """Without a type Gemini takes the one it is served with."""
    media_type = _MEDIA_TYPES.get(_path(url).rpartition(".")[2].lower())
    return {"fileUri": url, **({"mimeType": media_type} if media_type else {})}


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
