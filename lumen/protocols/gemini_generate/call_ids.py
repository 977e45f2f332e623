"""Ids of calls where Gemini gave none: `id` is optional on functionCall, and clients cannot do without."""

from __future__ import annotations

from hashlib import sha256

import msgspec

# Marks an id as ours, so that it does not go back: a server that gives no ids may not know the member.
_INVENTED = "lumen-"


def invent_call_id(response_id: str | None, number: int, name: str, arguments: object) -> str:
    """The same for the same answer. `number` counts its calls. Without a response id the call itself tells apart."""
    answer = response_id or sha256(msgspec.json.encode([name, arguments])).hexdigest()[:20]
    return f"{_INVENTED}{answer}-{number}"


def wire_call_id(call_id: str) -> str | None:
    """What to send as `id`: every id but an invented one. Without ids Gemini matches by order."""
    return None if call_id.startswith(_INVENTED) or not call_id else call_id
