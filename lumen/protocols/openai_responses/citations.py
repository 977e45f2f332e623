"""Annotations of output text. https://platform.openai.com/docs/api-reference/responses/object (`annotations`)"""

from __future__ import annotations

from typing import Any

from lumen.protocols.canonical.content import Citation
from lumen.protocols.openai_responses.members import own_extras, own_members
from lumen.protocols.provider_values import text_or_empty


def decode_annotations(annotations: Any) -> tuple[Citation, ...]:
    """What is no object is left out."""
    if not isinstance(annotations, list):
        return ()
    return tuple(decode_annotation(annotation) for annotation in annotations if isinstance(annotation, dict))


def decode_annotation(annotation: dict[str, Any]) -> Citation:
    start, end = annotation.get("start_index"), annotation.get("end_index")
    return Citation(
        url=text_or_empty(annotation.get("url")),
        title=text_or_empty(annotation.get("title") or annotation.get("filename")),
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
        extras=own_extras(annotation),
    )


def encode_annotations(citations: tuple[Citation, ...] | list[Citation], text_chars: int) -> list[dict[str, Any]]:
    """Citations without a URL have no annotation (declared loss `answer_citations`). `text_chars`: the text that one
    without offsets covers."""
    return [annotation for citation in citations if (annotation := _encode_annotation(citation, text_chars))]


def _encode_annotation(citation: Citation, text_chars: int) -> dict[str, Any] | None:
    if original := own_members(citation.extras):
        return dict(original)
    if not citation.url:
        return None
    return {
        "type": "url_citation",
        "start_index": citation.start or 0,
        "end_index": text_chars if citation.end is None else citation.end,
        "url": citation.url,
        "title": citation.title,
    }
