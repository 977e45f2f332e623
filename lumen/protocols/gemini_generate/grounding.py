"""Where an answer's statements come from: `groundingMetadata` (search) and `citationMetadata` (recitation).

https://ai.google.dev/api/generate-content#GroundingMetadata. Segments are counted in bytes of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lumen.protocols.canonical.content import Citation, Extras
from lumen.protocols.dialects import Dialect
from lumen.protocols.provider_values import text_or_empty


def citations_of(candidate: Mapping[str, Any], text: str) -> list[Citation]:
    """`text` is the block they are about."""
    data = text.encode()
    return [
        *_grounding(candidate.get("groundingMetadata"), data),
        *_recitation(candidate.get("citationMetadata"), data),
    ]


def _grounding(metadata: Any, data: bytes) -> Iterator[Citation]:
    if not isinstance(metadata, dict):
        return
    chunks = _objects(metadata.get("groundingChunks"))
    for support in _objects(metadata.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        said = text_or_empty(segment.get("text"))
        start, end = _offsets(data, segment.get("startIndex", 0), segment.get("endIndex"), said)
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if isinstance(index, int) and 0 <= index < len(chunks):
                url, title = _place(chunks[index])
                original = {"groundingSupport": support, "groundingChunk": chunks[index]}
                yield Citation(url, title, said, start, end, Extras(Dialect.GEMINI_GENERATE, original))


def _recitation(metadata: Any, data: bytes) -> Iterator[Citation]:
    if not isinstance(metadata, dict):
        return
    for source in _objects(metadata.get("citations") or metadata.get("citationSources")):
        start, end = _offsets(data, source.get("startIndex", 0), source.get("endIndex"), "")
        extras = Extras(Dialect.GEMINI_GENERATE, {"citation": source})
        yield Citation(text_or_empty(source.get("uri")), text_or_empty(source.get("title")), "", start, end, extras)


def _place(chunk: Mapping[str, Any]) -> tuple[str, str]:
    for kind in ("web", "retrievedContext", "maps", "image"):
        if isinstance(place := chunk.get(kind), dict):
            return text_or_empty(place.get("uri") or place.get("sourceUri")), text_or_empty(place.get("title"))
    return "", ""


def _offsets(data: bytes, start: Any, end: Any, said: str) -> tuple[int | None, int | None]:
    """In characters; None when the segment is not of this text."""
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start <= end <= len(data):
        return None, None
    try:
        before, segment = data[:start].decode(), data[start:end].decode()
    except UnicodeDecodeError:
        return None, None
    if said and said != segment:
        return None, None
    return len(before), len(before) + len(segment)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry if isinstance(entry, dict) else {} for entry in value] if isinstance(value, list) else []
