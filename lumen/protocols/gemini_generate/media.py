"""Images, documents and audio -> parts.

`inlineData` holds bytes; `fileData` points to what Google fetches itself: HTTP(S) URLs, Cloud Storage, the Files API.
https://ai.google.dev/gemini-api/docs/file-input-methods
"""

from __future__ import annotations

import mimetypes
from typing import Any
from urllib.parse import urlsplit

from lumen.protocols.canonical.content import Audio, Document, FileId, Image, Inline, PlainText, Source, Url
from lumen.protocols.codec import Unsupported


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
    media_type, _ = mimetypes.guess_type(urlsplit(url).path)
    return {"fileUri": url, **({"mimeType": media_type} if media_type else {})}
