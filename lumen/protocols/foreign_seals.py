"""What Lumen wrote into a conversation for other vendors, taken out where a request is passed through.

A client that changes models in the middle of a session sends everything back: thinking that another vendor sealed
(`lumen1.<issuer>.<value>`) or nobody did, and call ids that carry a seal. The vendor of the client's own dialect would
refuse the request for it (Anthropic: an invalid signature; OpenAI: encrypted content it cannot read, reasoning it never
stored, call ids beyond 64 characters). Translation gets by without; passing through must not do worse.

Everything else keeps its bytes, and a request without such marks is not even looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Raw

from lumen.protocols.attachments import is_array, is_set, text_of
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_responses.input_encoder import identifier
from lumen.protocols.request_fields import Members
from lumen.protocols.seals import CALL_IDS_MADE, WRAPPED, read_call_id

_CALL_PREFIX = "call_"
# Compact, as all CLIs and SDKs write JSON, and with a space.
_MARKS: Mapping[Dialect, tuple[bytes, ...]] = {
    Dialect.ANTHROPIC_MESSAGES: (WRAPPED.encode(), b'"signature":""', b'"signature": ""'),
    Dialect.OPENAI_RESPONSES: (
        WRAPPED.encode(),
        f"{_CALL_PREFIX}{CALL_IDS_MADE}".encode(),
        b'"encrypted_content":null',
        b'"encrypted_content": null',
    ),
}

_objects = msgspec.json.Decoder(list[dict[str, Raw]])
_encoder = msgspec.json.Encoder()


def own_members(dialect: Dialect, members: Members, body: bytes) -> dict[str, Raw]:
    """The top-level members to send in place of the client's; none when there is nothing to take out."""
    marks = _MARKS.get(dialect)
    if marks is None or not any(mark in body for mark in marks):
        return {}
    name, clean = _CLEANERS[dialect]
    raw = members.get(name)
    if not is_array(raw):
        return {}
    try:
        items = _objects.decode(raw)
        cleaned = clean(items, members)
    except msgspec.DecodeError:
        return {}  # not what we wrote; the provider will say what is wrong with it
    return {} if cleaned == items else {name: Raw(_encoder.encode(cleaned))}


def _clean_messages(messages: list[dict[str, Raw]], members: Members) -> list[dict[str, Raw]]:
    cleaned = []
    for message in messages:
        content = message.get("content")
        if is_array(content) and text_of(message.get("role", Raw())) == "assistant":
            blocks = _objects.decode(content)
            kept = [block for block in blocks if not _is_foreign_block(block)]
            if blocks and not kept:
                continue  # Anthropic takes no empty message, and joins the neighbours itself
            if len(kept) < len(blocks):
                message = {**message, "content": Raw(_encoder.encode(kept))}
        cleaned.append(message)
    return cleaned


def _is_foreign_block(block: dict[str, Raw]) -> bool:
    match _text(block, "type"):
        case "thinking":
            signature = _text(block, "signature")
            return not signature or signature.startswith(WRAPPED)
        case "redacted_thinking":
            return _text(block, "data").startswith(WRAPPED)
    return False


def _clean_items(items: list[dict[str, Raw]], members: Members) -> list[dict[str, Raw]]:
    is_stored = bytes(members.get("store", Raw(b"true"))) != b"false"
    return [_own_call(item) for item in items if not _is_foreign_item(item, is_stored)]


def _is_foreign_item(item: dict[str, Raw], is_stored: bool) -> bool:
    if _text(item, "type") != "reasoning":
        return False
    if is_set(item.get("encrypted_content")):
        return _text(item, "encrypted_content").startswith(WRAPPED)
    return not is_stored


def _own_call(item: dict[str, Raw]) -> dict[str, Raw]:
    call_id = _text(item, "call_id")
    if not call_id.startswith(_CALL_PREFIX + CALL_IDS_MADE):
        return item
    upstream_id, _ = read_call_id(call_id, _CALL_PREFIX)
    return {**item, "call_id": Raw(_encoder.encode(identifier(upstream_id)))}


def _text(members: Mapping[str, Raw], name: str) -> str:
    raw = members.get(name)
    return (text_of(raw) or "") if is_set(raw) else ""


_Cleaner = Callable[[list[dict[str, Raw]], Members], list[dict[str, Raw]]]
_CLEANERS: Mapping[Dialect, tuple[str, _Cleaner]] = {
    Dialect.ANTHROPIC_MESSAGES: ("messages", _clean_messages),
    Dialect.OPENAI_RESPONSES: ("input", _clean_items),
}
