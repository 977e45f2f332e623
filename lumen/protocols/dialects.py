"""The wire formats Lumen knows by name, and where each one lives on either side."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import quote


class Dialect(StrEnum):
    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC_MESSAGES = "anthropic_messages"
    GEMINI_GENERATE = "gemini_generate"


# What clients may speak to Lumen, by the path they post to.
CLIENT_DIALECTS: Mapping[str, Dialect] = {
    "/v1/chat/completions": Dialect.OPENAI_CHAT,
    "/v1/responses": Dialect.OPENAI_RESPONSES,
    "/v1/messages": Dialect.ANTHROPIC_MESSAGES,
}

_UPSTREAM_PATHS: Mapping[Dialect, str] = {
    Dialect.OPENAI_CHAT: "/chat/completions",
    Dialect.OPENAI_RESPONSES: "/responses",
    Dialect.ANTHROPIC_MESSAGES: "/v1/messages",
}


def upstream_path(dialect: Dialect, *, model: str = "", is_stream: bool = False) -> str:
    """What follows a channel's base URL, which is the one the vendor's own SDK takes. Gemini's names `model` (the
    channel's name for it) and the method; the other dialects' path is always the same."""
    if dialect is Dialect.GEMINI_GENERATE:
        method = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
        return f"/v1beta/models/{quote(model, safe='')}:{method}"
    return _UPSTREAM_PATHS[dialect]
