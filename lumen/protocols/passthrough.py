"""The edits a same-dialect request gets on its way to the provider; every other byte goes out as it came."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from lumen.protocols.attachments import is_set
from lumen.protocols.foreign_seals import own_members
from lumen.protocols.peek import REQUEST_FIELDS, Peek, stream_options

_encoder = msgspec.json.Encoder()
_KEY = re.compile(rb'[ \t\r\n]*[{,][ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*')
_END = re.compile(rb"[ \t\r\n]*}[ \t\r\n]*")


def rewrite(peek: Peek, body: bytes, *, model: str, stream: bool, output_cap: int | None = None) -> bytes:
    """The body for the provider; `body` itself when nothing has to change.

    `model` is the channel's name for it. `stream` is always said outright. `output_cap` (strict holds only) lowers the
    caps the client set, or is added under the dialect's own name. Chat streams ask for usage. What other vendors sealed
    earlier in the conversation is taken out (`lumen.protocols.foreign_seals`).
    """
    edits = _edits(peek, model, stream, output_cap)
    edits.update(own_members(peek.dialect, peek.fields, body))
    return _edited(peek, body, edits)


def rewrite_model(peek: Peek, body: bytes, model: str) -> bytes:
    """The body with the channel's name for the model (count_tokens knows no `stream`)."""
    edits = {"model": Raw(_encoder.encode(model))} if model != peek.model else {}
    return _edited(peek, body, {**edits, **own_members(peek.dialect, peek.fields, body)})


def _edited(peek: Peek, body: bytes, edits: dict[str, Raw]) -> bytes:
    if edits:
        return _encoder.encode({**peek.fields, **edits})
    encoded = _encoder.encode(peek.fields)
    # Compact JSON, as SDKs write it, comes out as it went in unless a member was repeated.
    return body if encoded == body or _is_unambiguous(peek.fields, body) else encoded


def _edits(peek: Peek, model: str, stream: bool, output_cap: int | None) -> dict[str, Raw]:
    fields = REQUEST_FIELDS[peek.dialect]
    edits: dict[str, Raw] = {}
    if model != peek.model:
        edits["model"] = Raw(_encoder.encode(model))
    if stream is not peek.stream:
        edits["stream"] = Raw(b"true" if stream else b"false")
    if output_cap is not None:
        given = {name: raw for name in fields.output_caps if is_set(raw := peek.fields.get(name))}
        above = [name for name, raw in given.items() if int(bytes(raw)) > output_cap]
        for name in above if given else fields.output_caps[:1]:
            edits[name] = Raw(b"%d" % output_cap)
    if fields.has_stream_usage_option:
        if stream and peek.include_usage is not True:
            options = {**stream_options(fields, peek.fields), "include_usage": Raw(b"true")}
            edits["stream_options"] = Raw(_encoder.encode(options))
        elif not stream and is_set(peek.fields.get("stream_options")):
            # Refused by OpenAI without `stream`; a client that left `stream` out expected a stream.
            edits["stream_options"] = Raw(b"null")
    return edits


def _is_unambiguous(members: dict[str, Raw], body: bytes) -> bool:
    """Whether every member occurs once, so that the provider cannot read another value than `peek` did.

    Walks the body alongside the members: a repeated one leaves a value out of step, or something behind the last.
    """
    position = 0
    for value in members.values():
        key = _KEY.match(body, position)
        raw = bytes(value)
        if key is None or not body.startswith(raw, key.end()):
            return False
        position = key.end() + len(raw)
    return _END.fullmatch(body, position) is not None
