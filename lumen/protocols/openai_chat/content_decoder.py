"""`content` of a client's message -> blocks.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages. Parts only relatives know (`video_url`)
stay opaque.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote_to_bytes

from lumen.protocols.canonical.content import (
    Audio,
    Block,
    CacheMark,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    Refusal,
    Source,
    Text,
    Url,
)
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.members import Members
from lumen.protocols.request_fields import InvalidRequest

_PDF = "application/pdf"


def decode_content(message: Members) -> tuple[Block, ...]:
    """() for null; a string is one Text. Raises InvalidRequest."""
    content = message.raw.get("content")
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_decode_part(part) for part in message.objects("content"))


def _decode_part(part: Members) -> Block:
    kind = part.required_text("type")
    match kind:
        case "text":
            extras = part.extras({"type", "text"})
            return Text(part.required_text("text"), cache=decode_cache_mark(part), extras=extras)
        case "refusal":
            return Refusal(part.required_text("refusal"))
        case "image_url":
            return _decode_image(part)
        case "input_audio":
            return _decode_audio(part)
        case "file":
            return _decode_file(part)
        case _:
            return Opaque(Dialect.OPENAI_CHAT, kind, part.raw)


def decode_cache_mark(holder: Members) -> CacheMark | None:
    """Anthropic's `cache_control`, which clients of gateways send in this dialect too. It stays among the extras."""
    mark = holder.raw.get("cache_control")
    if not isinstance(mark, dict):
        return None
    return CacheMark("1h") if mark.get("ttl") == "1h" else CacheMark()


def _decode_image(part: Members) -> Image:
    if isinstance(part.raw.get("image_url"), str):  # some relatives take a bare URL
        url, detail = part.required_text("image_url"), None
    else:
        image = part.required_below("image_url")
        url, detail = image.required_text("url"), image.text("detail")
    extras = part.extras({"type", "image_url"})
    return Image(_decode_url(url, part.at("image_url")), detail, decode_cache_mark(part), extras)


def _decode_audio(part: Members) -> Block:
    audio = part.required_below("input_audio")
    data, form = audio.required_text("data"), audio.text("format") or "wav"
    if data.startswith(("http:", "https:")):  # Qwen takes URLs
        return Opaque(Dialect.OPENAI_CHAT, "input_audio", part.raw)
    if data.startswith("data:"):
        data = data.partition(",")[2]
    return Audio(Inline(f"audio/{form}", data), part.extras({"type", "input_audio"}))


def _decode_file(part: Members) -> Document:
    file = part.required_below("file")
    data, file_id = file.text("file_data"), file.text("file_id")
    source: Source
    if data is not None:
        source = _decode_url(data, file.at("file_data")) if data.startswith("data:") else Inline(_PDF, data)
    elif file_id is not None:
        source = FileId(file_id)
    else:
        raise InvalidRequest(
            f"Missing required parameter: '{file.at('file_id')}'.", file.at("file_id"), "missing_required_parameter"
        )
    cache, extras = decode_cache_mark(part), part.extras({"type", "file"})
    return Document(source, file.text("filename"), cache=cache, extras=extras)


def _decode_url(url: str, path: str) -> Inline | Url:
    if url[:5].lower() != "data:":
        return Url(url)
    head, comma, data = url[5:].partition(",")
    if not comma:
        raise InvalidRequest(f"Invalid '{path}': expected a base64-encoded data URL.", path, "invalid_value")
    media_type, *parameters = head.split(";")
    if "base64" not in (parameter.strip().lower() for parameter in parameters):
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Inline(media_type or "text/plain", data)


def only(blocks: tuple[Block, ...], kinds: Any, message: Members, supported: Collection[str]) -> tuple[Any, ...]:
    """The blocks, all of which have to be of `kinds`. Raises InvalidRequest for the first that is not."""
    for index, block in enumerate(blocks):
        if not isinstance(block, kinds):
            part = message.objects("content")[index]
            raise part.invalid_value("type", str(part.raw.get("type")), supported)
    return blocks
