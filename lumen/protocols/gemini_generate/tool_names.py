"""Function names that Gemini accepts, and back without the request.

Gemini wants a letter or `_` first; OpenAI and Anthropic do not. Such a name gets a prefix, and so does one that has it
already.
"""

from __future__ import annotations

import re

from lumen.protocols.tool_names import ANTHROPIC_CHARS_MAX, flat_name

_PREFIX = "_lumen_"
# Gemini's limit is Anthropic's.
_CHARS_MAX = ANTHROPIC_CHARS_MAX
_ACCEPTED = re.compile(r"[A-Za-z_]")


def encode_tool_name(name: str, namespace: str | None = None) -> str:
    flat = flat_name(namespace, name, _CHARS_MAX)
    return flat if _ACCEPTED.match(flat) and not flat.startswith(_PREFIX) else _PREFIX + flat


def decode_tool_name(name: str) -> str:
    """The name as `tool_names.original_name` knows it."""
    return name.removeprefix(_PREFIX)
