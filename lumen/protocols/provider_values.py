"""What providers send, read without trusting it: JSON that may be none, members that may be of any type."""

from __future__ import annotations

from typing import Any

import msgspec


class UpstreamProtocolError(Exception):
    """The provider broke the protocol in a way that cannot be relayed."""


# What decoding raises for whatever a provider may send.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def answer_object(body: bytes) -> dict[str, Any]:
    """A whole answer's members. Raises UpstreamProtocolError for what is no JSON object."""
    try:
        members = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise UpstreamProtocolError(f"the answer is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise UpstreamProtocolError("the answer is not a JSON object")
    return members


def decode_object(data: bytes) -> dict[str, Any] | None:
    """None for what is no JSON object."""
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def text_or_empty(value: Any) -> str:
    """ "" for what is no string."""
    return value if isinstance(value, str) else ""


def text_or_none(value: Any) -> str | None:
    """None for what is no string, or an empty one."""
    return value if isinstance(value, str) and value else None
