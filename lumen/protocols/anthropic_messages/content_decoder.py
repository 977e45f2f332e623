"""Content blocks of a client's messages -> canonical blocks.

A whole block that other dialects know in a poorer form (search results, tool references) is kept in `extras` with its
`type`; the encoder emits it from there.
https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from lumen.protocols import seals
from lumen.protocols.anthropic_messages.members import Members, extras, wrong_tag
from lumen.protocols.arguments import arguments_text
from lumen.protocols.canonical.content import (
    Block,
    Citation,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    PlainText,
    Reasoning,
    ResultPart,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from lumen.protocols.dialects import Dialect

ISSUER = "anthropic"
CALL_PREFIX = "toolu_"

_IMAGE_SOURCES = ("base64", "file", "url")
_DOCUMENT_SOURCES = ("base64", "content", "file", "text", "url")


def decode_content(owner: Members) -> tuple[Block, ...]:
    """`content` of a message: a string or blocks."""
    return _decode_parts(owner, _ANYTHING)


def _decode_parts(owner: Members, kinds: frozenset[str]) -> tuple[Block, ...]:
    """`kinds` are what may stand here, others are opaque: so blocks do not nest without end."""
    value = owner.value("content")
    if isinstance(value, str):
        return (Text(value),)
    blocks: list[Block] = []
    for members in owner.each("content"):
        blocks += _decode_block(members, kinds)
    return tuple(blocks)


def decode_texts(owner: Members, name: str) -> tuple[Text, ...]:
    """`system`, or a system message's content: a string or text blocks."""
    value = owner.value(name)
    if isinstance(value, str):
        return (Text(value),) if value else ()
    return tuple(_decode_text(members) for members in owner.each(name))


def decode_citation(members: Mapping[str, Any]) -> Citation:
    """The offsets are into the cited document, not into the answer, so they stay in `extras`."""
    return Citation(
        url=_text_of(members, "url"),
        title=_text_of(members, "title") or _text_of(members, "document_title"),
        cited_text=_text_of(members, "cited_text"),
        extras=extras(members),
    )


def _decode_block(members: Members, kinds: frozenset[str]) -> tuple[Block, ...]:
    kind = members.required_text("type")
    if kind not in kinds:
        return (Opaque(Dialect.ANTHROPIC_MESSAGES, kind, members.raw),)
    return _decode_document(members) if kind == "document" else (_BLOCKS[kind](members),)


def _decode_text(members: Members) -> Text:
    members.value("type")
    return Text(
        members.required_text("text"),
        tuple(decode_citation(citation.raw) for citation in members.each("citations")),
        members.cache(),
        extras=members.extras(),
    )


def _decode_image(members: Members) -> Image:
    source = _source(members, _IMAGE_SOURCES)
    return Image(_decode_source(source), cache=members.cache(), extras=members.extras())


def _decode_document(members: Members) -> tuple[Block, ...]:
    source = _source(members, _DOCUMENT_SOURCES)
    if source.raw.get("type") != "content":
        return (_document(members, _decode_source(source)),)
    parts = _decode_parts(source, _DOCUMENT_PARTS)
    if all(isinstance(part, Text) for part in parts):
        document = _document(members, PlainText(_joined(parts)))
        more = document.extras.members if document.extras else {}
        return (msgspec.structs.replace(document, extras=extras({**more, "source": source.raw})),)
    return parts  # with pictures in it, no source of the canonical model holds it: its parts do


def _document(members: Members, source: Source) -> Document:
    return Document(source, members.text("title"), members.text("context"), members.cache(), members.extras())


def _decode_search_result(members: Members) -> Document:
    cache = members.cache()
    texts = decode_texts(members, "content")
    raw = {name: value for name, value in members.raw.items() if name != "cache_control"}
    source, title = members.required_text("source"), members.required_text("title")
    return Document(PlainText(_joined(texts)), title, source, cache, extras(raw))


def _source(members: Members, expected: tuple[str, ...]) -> Members:
    source = Members(members.required_mapping("source"), members.at("source"))
    kind = source.required_text("type")
    if kind not in expected:
        raise wrong_tag(source.path, kind, expected)
    return source


def _decode_source(source: Members) -> Source:
    match source.raw["type"]:
        case "base64":
            return Inline(source.required_text("media_type"), source.required_text("data"))
        case "text":
            return PlainText(source.required_text("data"))
        case "file":
            return FileId(source.required_text("file_id"))
    url = source.required_text("url")
    head, comma, data = url.partition(";base64,")
    return Inline(head[len("data:") :], data) if comma and head.startswith("data:") else Url(url)


def _decode_thinking(members: Members) -> Reasoning:
    signature = members.text("signature")
    seal = seals.unwrap(signature, ISSUER) if signature else None
    return Reasoning(members.required_text("thinking"), seal, extras=members.extras())


def _decode_redacted(members: Members) -> Reasoning:
    seal = seals.unwrap(members.required_text("data"), ISSUER)
    return Reasoning("", seal, is_redacted=True, extras=members.extras())


def _decode_tool_use(members: Members) -> ToolCall:
    call_id, seal = seals.read_call_id(members.required_text("id"), CALL_PREFIX)
    return ToolCall(
        call_id,
        members.required_text("name"),
        arguments_text(members.required_mapping("input")),
        seal=seal,
        cache=members.cache(),
        extras=members.extras(),
    )


def _decode_tool_result(members: Members) -> ToolResult:
    call_id, _ = seals.read_call_id(members.required_text("tool_use_id"), CALL_PREFIX)
    return ToolResult(
        call_id,
        tuple(_result_parts(_decode_parts(members, _RESULT_PARTS))),
        members.boolean("is_error") or False,
        cache=members.cache(),
        extras=members.extras(),
    )


def _result_parts(blocks: Iterable[Block]) -> Iterable[ResultPart]:
    """Parts that have no canonical form (tool references, browser states) are shown as their JSON."""
    for block in blocks:
        if isinstance(block, Text | Image | Document):
            yield block
        elif isinstance(block, Opaque):
            yield Text(msgspec.json.encode(block.raw).decode(), extras=extras(block.raw))


def _joined(texts: Iterable[Block]) -> str:
    return "\n\n".join(part.text for part in texts if isinstance(part, Text))


def _text_of(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


_BLOCKS: Mapping[str, Callable[[Members], Block]] = {
    "text": _decode_text,
    "image": _decode_image,
    "search_result": _decode_search_result,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_redacted,
    "tool_use": _decode_tool_use,
    "tool_result": _decode_tool_result,
}
_ANYTHING = frozenset({"document", *_BLOCKS})
_RESULT_PARTS = frozenset({"document", "image", "search_result", "text"})
_DOCUMENT_PARTS = frozenset({"image", "text"})
