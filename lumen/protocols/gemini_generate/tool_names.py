"""Function names that Gemini accepts, and back without the request.

Gemini wants a letter or `_` first; OpenAI and Anthropic do not. Such a name gets a prefix, and so does one that has it
already.
"""

from __future__ import annotations

import re

_PREFIX = "_lumen_"
_ACCEPTED = re.compile(r"[A-Za-z_]")


def encode_tool_name(name: str, namespace: str | None = None) -> str:
    """A tool in a namespace becomes `<namespace>__<name>`; the client's encoder finds it among its request's tools."""
    flat = f"{namespace}__{name}" if namespace else name
    return flat if _ACCEPTED.match(flat) and not flat.startswith(_PREFIX) else _PREFIX + flat


def decode_tool_name(name: str) -> str:
    return name.removeprefix(_PREFIX)
