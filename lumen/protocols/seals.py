"""How seals and call ids travel through clients that know nothing of them, and come back unchanged.

A client's dialect has one string for a signature (Anthropic `signature`, Responses `encrypted_content`). The vendor of
that dialect writes its own there as it is; any other issuer's is wrapped: `lumen1.<issuer>.<value>`.

Call ids get the prefix the client expects. An id that has it already and carries no seal stays as it is; any other
becomes `<prefix>lm1<base64url of JSON [id] or [id, issuer, value]>`, of letters, digits, `_` and `-` only, as
Anthropic demands. So a Gemini thought signature survives in every client that echoes ids, which all do.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from lumen.protocols.canonical.content import Seal

WRAPPED = "lumen1."
CALL_IDS_MADE = "lm1"  # after the prefix
_ids = msgspec.json.Decoder(list[str])


def wrap(seal: Seal, native_issuer: str) -> str:
    """The string for a client whose dialect belongs to `native_issuer`."""
    return seal.value if seal.issuer == native_issuer else f"{WRAPPED}{seal.issuer}.{seal.value}"


def unwrap(text: str, native_issuer: str) -> Seal:
    """The reverse. What is not wrapped is the dialect's own vendor's."""
    if text.startswith(WRAPPED):
        issuer, dot, value = text[len(WRAPPED) :].partition(".")
        if dot:
            return Seal(issuer, value)
    return Seal(native_issuer, text)


def client_call_id(call_id: str, seal: Seal | None, prefix: str) -> str:
    """`prefix`: `toolu_` or `call_`."""
    if seal is None and call_id.startswith(prefix) and _is_plain(call_id):
        return call_id
    members = [call_id] if seal is None else [call_id, seal.issuer, seal.value]
    return prefix + CALL_IDS_MADE + base64.urlsafe_b64encode(msgspec.json.encode(members)).rstrip(b"=").decode()


def read_call_id(client_id: str, prefix: str) -> tuple[str, Seal | None]:
    """The upstream's id and the seal it carried; an id we did not make comes back as it is."""
    if not client_id.startswith(prefix + CALL_IDS_MADE):
        return client_id, None
    encoded = client_id[len(prefix) + len(CALL_IDS_MADE) :]
    try:
        members = _ids.decode(base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return client_id, None
    if len(members) == 1:
        return members[0], None
    return (members[0], Seal(members[1], members[2])) if len(members) == 3 else (client_id, None)


def _is_plain(call_id: str) -> bool:
    return call_id.isascii() and call_id.replace("_", "").replace("-", "").isalnum()
