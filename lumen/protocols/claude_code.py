"""What only Claude Code sends: how its requests are recognised, and what of them is for Anthropic alone.

Recognition is a consistency check for restricted groups, not proof: everything here is client supplied. Its user agent
and `x-app: cli` have to be there, and two of: its beta flag, the same session id in header and metadata, the billing
header block with the same version, the path with `?beta=true`. Seen on the wire from Claude Code 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from lumen.protocols.attachments import is_array, is_set, text_of
from lumen.protocols.canonical.content import Text
from lumen.protocols.dialects import Dialect
from lumen.protocols.peek import Peek

_USER_AGENT = re.compile(rb"claude-cli/(\d+(?:\.\d+)*)")
_BETA_FLAG = re.compile(rb"(?:^|,)\s*claude-code-\d+\s*(?:,|$)")
_BETA_PATH = re.compile(r"^/v1/messages(?:/count_tokens)?\?(?:.*&)?beta=true(?:&|$)")
_BILLING_HEADER = "x-anthropic-billing-header:"
_BILLING_VERSION = re.compile(_BILLING_HEADER + r".*?\bcc_version=(\d+(?:\.\d+)*)")
_SIGNS_NEEDED = 2


class _Block(msgspec.Struct):
    text: msgspec.Raw = msgspec.Raw()


class _Metadata(msgspec.Struct):
    user_id: str = ""


class _UserId(msgspec.Struct):
    session_id: str = ""


_blocks = msgspec.json.Decoder(list[_Block])
_metadata = msgspec.json.Decoder(_Metadata)
_user_id = msgspec.json.Decoder(_UserId)


def is_claude_code(path_query: str | bytes, headers: Mapping[bytes, bytes], peek: Peek) -> bool:
    """`path_query` as requested, `/v1/messages?beta=true`; header names in lower case."""
    if peek.dialect is not Dialect.ANTHROPIC_MESSAGES or headers.get(b"x-app") != b"cli":
        return False
    agent = _USER_AGENT.match(headers.get(b"user-agent", b""))
    if agent is None:
        return False
    target = path_query.decode("latin-1") if isinstance(path_query, bytes) else path_query
    signs = (_BETA_FLAG.search(headers.get(b"anthropic-beta", b"")) is not None) + (
        _BETA_PATH.match(target) is not None
    )
    if signs < _SIGNS_NEEDED:
        signs += _has_same_session(headers.get(b"x-claude-code-session-id", b""), peek)
    if signs < _SIGNS_NEEDED:
        signs += _billing_version(peek) == agent[1].decode()
    return signs >= _SIGNS_NEEDED


def without_billing_header(system: tuple[Text, ...]) -> tuple[Text, ...]:
    """The system prompt for other vendors: the line is addressed to Anthropic and changes with every release."""
    first = system[0] if system else None
    if first is None or not first.text.startswith(_BILLING_HEADER):
        return system
    _, _, rest = first.text.partition("\n")
    return (replace(first, text=rest), *system[1:]) if rest.strip() else system[1:]


def _has_same_session(header: bytes, peek: Peek) -> bool:
    metadata = peek.fields.get("metadata")
    if not header or not is_set(metadata):
        return False
    try:
        session_id = _user_id.decode(_metadata.decode(metadata).user_id).session_id
    except msgspec.DecodeError:
        return False
    return session_id.encode() == header


def _billing_version(peek: Peek) -> str | None:
    system = peek.fields.get("system")
    if not is_array(system):
        return None
    try:
        blocks = _blocks.decode(system)
    except msgspec.DecodeError:
        return None
    text = text_of(blocks[0].text) if blocks else None
    match = _BILLING_VERSION.match(text or "")
    return match[1] if match else None
