"""`annotations`, of which Chat Completions knows one kind: `url_citation`.

https://platform.openai.com/docs/guides/tools-web-search?api-mode=chat
"""

from __future__ import annotations

from typing import Any

from lumen.protocols.canonical.content import Citation, Extras
from lumen.protocols.dialects import Dialect


def decode_annotations(annotations: Any) -> tuple[Citation, ...]:
    """What is no url_citation is left out."""
    if not isinstance(annotations, list):
        return ()
    decoded = (_decode(annotation) for annotation in annotations if isinstance(annotation, dict))
    return tuple(citation for citation in decoded if citation is not None)


def _decode(annotation: dict[str, Any]) -> Citation | None:
    cited = annotation.get("url_citation")
    if not isinstance(cited, dict) or not isinstance(cited.get("url"), str):
        return None
    title, start, end = cited.get("title"), cited.get("start_index"), cited.get("end_index")
    return Citation(
        url=cited["url"],
        title=title if isinstance(title, str) else "",
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
        extras=Extras(Dialect.OPENAI_CHAT, annotation),
    )


def encode_annotation(citation: Citation, start: int, end: int) -> dict[str, Any] | None:
    """None for a citation without a URL, which the dialect cannot say. `start`, `end`: where it gives no offsets."""
    if not citation.url:
        return None
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": start if citation.start is None else citation.start,
            "end_index": end if citation.end is None else citation.end,
            "title": citation.title,
            "url": citation.url,
        },
    }
