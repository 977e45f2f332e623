"""Tool names for upstreams that know no namespaces and take letters, digits, `_` and `-` only.

A Responses tool `name` in `namespace` becomes `<namespace>__<name>`, as MCP clients write it. What a vendor's pattern
still refuses has its other characters replaced by `_` and is cut to the vendor's length, and then ends in `_` and 8 hex
digits of the whole, so that two tools do not become one. The way back does not parse: it looks the name up among the
request's tools.
"""

from __future__ import annotations

import hashlib
import re

from lumen.protocols.canonical.request import OpaqueTool, Request

SEPARATOR = "__"
OPENAI_CHARS_MAX = 64
ANTHROPIC_CHARS_MAX = 128

_REFUSED = re.compile(r"[^a-zA-Z0-9_-]")
_DIGEST_CHARS = 8


def flat_name(namespace: str | None, name: str, chars_max: int = OPENAI_CHARS_MAX) -> str:
    """The name for an upstream. A name that is fine already, and has no namespace, stays as it is."""
    whole = f"{namespace}{SEPARATOR}{name}" if namespace else name
    flat = _REFUSED.sub("_", whole)
    if flat == whole and len(flat) <= chars_max:
        return flat
    digest = hashlib.sha256(f"{namespace or ''}\0{name}".encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{flat[: chars_max - _DIGEST_CHARS - 1]}_{digest}"


def original_name(request: Request, flat: str) -> tuple[str | None, str]:
    """(namespace, name) of the client's tool that went out as `flat`; (None, flat) for one we did not rename."""
    for tool in request.tools:
        if isinstance(tool, OpaqueTool):
            continue
        if flat in (flat_name(tool.namespace, tool.name, chars_max) for chars_max in _LENGTHS):
            return tool.namespace, tool.name
    return None, flat


_LENGTHS = (OPENAI_CHARS_MAX, ANTHROPIC_CHARS_MAX)
