"""Content parts of a prompt -> blocks: messages' `content` and tools' `output`.

https://platform.openai.com/docs/api-reference/responses/create (`input`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.protocols import openai_wording as wording
from lumen.protocols.canonical.content import (
    Audio,
    Block,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    Refusal,
    ResultPart,
    Source,
    Text,
    Url,
)
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.citations import decode_annotations
from lumen.protocols.openai_responses.members import (
    Members,
    as_array,
    as_object,
    member_path,
    other_members,
    own_extras,
    read_optional_object,
    read_optional_string,
    read_string,
)
from lumen.protocols.request_fields import InvalidRequest

_TEXT_PARTS = frozenset({"input_text", "output_text", "text"})
_TEXT_MEMBERS = frozenset({"type", "text", "annotations"})
_IMAGE_MEMBERS = frozenset({"type", "image_url", "file_id", "detail"})
_FILE_MEMBERS = frozenset({"type", "file_data", "file_url", "file_id", "filename"})
_AUDIO_MEMBERS = frozenset({"type", "input_audio"})
_DATA_URL = "data:"
# Of files whose data says no type, by the end of their name; any other is taken for a PDF.
_MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "txt": "text/plain",
    "xml": "text/xml",
}


def decode_content(value: Any, path: str) -> tuple[Block, ...]:
    """A string is one text. Raises InvalidRequest."""
    if isinstance(value, str):
        return (Text(value),)
    if value is None:
        raise wording.missing(path)
    parts = as_array(value, path)
    return tuple(_decode_part(as_object(part, f"{path}[{i}]"), f"{path}[{i}]") for i, part in enumerate(parts))


def decode_output(value: Any, path: str) -> tuple[ResultPart, ...]:
    """What a tool gave back."""
    parts = decode_content(value, path)
    for i, part in enumerate(parts):
        if not isinstance(part, Text | Image | Document):
            raise _unknown_part(f"{path}[{i}].type", value[i].get("type"))
    return tuple(part for part in parts if isinstance(part, Text | Image | Document))


def _decode_part(part: Members, path: str) -> Block:
    kind = read_string(part, "type", path)
    if kind in _TEXT_PARTS:
        citations = decode_annotations(part.get("annotations"))
        return Text(read_string(part, "text", path), citations, extras=_rest(part, _TEXT_MEMBERS))
    match kind:
        case "refusal":
            return Refusal(read_string(part, "refusal", path))
        case "input_image":
            detail = read_optional_string(part, "detail", path)
            return Image(_image_source(part, path), detail, extras=_rest(part, _IMAGE_MEMBERS))
        case "input_file":
            name = read_optional_string(part, "filename", path)
            return Document(_file_source(part, name, path), name, extras=_rest(part, _FILE_MEMBERS))
        case "input_audio":
            return _decode_audio(part, path)
        case _:
            return Opaque(Dialect.OPENAI_RESPONSES, kind, part)


def _rest(part: Members, known: frozenset[str]) -> Any:
    return own_extras(other_members(part, known))


def _image_source(part: Members, path: str) -> Source:
    url = read_optional_string(part, "image_url", path)
    if url is not None:
        return decode_data_url(url, member_path(path, "image_url")) if _is_data_url(url) else Url(url)
    return FileId(read_string(part, "file_id", path))


def _file_source(part: Members, name: str | None, path: str) -> Source:
    """`file_data` is a data URL; bare base64 is taken too, its type then follows from the file's name."""
    data = read_optional_string(part, "file_data", path)
    if data is not None:
        if _is_data_url(data):
            return decode_data_url(data, member_path(path, "file_data"))
        suffix = (name or "").rpartition(".")[2].lower()
        return Inline(_MEDIA_TYPES.get(suffix, "application/pdf"), data)
    url = read_optional_string(part, "file_url", path)
    if url is not None:
        return decode_data_url(url, member_path(path, "file_url")) if _is_data_url(url) else Url(url)
    return FileId(read_string(part, "file_id", path))


def _decode_audio(part: Members, path: str) -> Audio:
    clip = read_optional_object(part, "input_audio", path)
    place = member_path(path, "input_audio")
    if clip is None:
        raise wording.missing(place)
    source = Inline(f"audio/{read_string(clip, 'format', place)}", read_string(clip, "data", place))
    return Audio(source, extras=_rest(part, _AUDIO_MEMBERS))


def _is_data_url(url: str) -> bool:
    return url[: len(_DATA_URL)].lower() == _DATA_URL


def decode_data_url(url: str, path: str) -> Inline:
    """`data:<media type>;base64,<data>`; raises InvalidRequest for any other."""
    head, comma, data = url[len(_DATA_URL) :].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or not media_type or "base64" not in parameters:
        raise InvalidRequest(
            f"Invalid '{path}'. Expected a base64-encoded data URL with a MIME type (e.g."
            " 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value of another form.",
            path,
            "invalid_value",
        )
    return Inline(media_type.lower(), data)


def _unknown_part(path: str, kind: Any) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid value: '{kind}'. Supported values are: 'input_text', 'input_image', and 'input_file'.",
        path,
        "invalid_value",
    )
