"""Which of a client's headers go on to the provider: an allow-list, for whatever else a client sends may name it.

The vendors' own SDKs and CLIs are told apart by these; organisation and project headers belong to the client's account
at the vendor, not to ours, and stay here, as do credentials, cookies and hop-by-hop headers.
"""

from __future__ import annotations

from lumen.protocols.dialects import Dialect
from services.edge.http_protocol import Headers

_ANYWHERE = frozenset(
    {
        b"user-agent",
        b"originator",
        b"session-id",
        b"session_id",
        b"thread-id",
        b"conversation_id",
        b"x-app",
        b"x-claude-code-session-id",
    }
)
_PREFIXES = {
    Dialect.ANTHROPIC_MESSAGES: (b"anthropic-", b"x-stainless-"),
    Dialect.OPENAI_CHAT: (b"openai-beta", b"x-stainless-"),
    Dialect.OPENAI_RESPONSES: (b"openai-beta", b"x-stainless-"),
}


def forwarded(headers: Headers, dialect: Dialect, *, is_stream: bool) -> Headers:
    """`headers` as ASGI has them, names in lower case."""
    prefixes = _PREFIXES[dialect]
    kept = [header for header in headers if header[0] in _ANYWHERE or header[0].startswith(prefixes)]
    kept.append((b"accept", b"text/event-stream" if is_stream else b"application/json"))
    return kept
