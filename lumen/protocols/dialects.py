"""The wire formats Lumen knows by name, and where each one lives on either side."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


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


def upstream_path(dialect: Dialect) -> str:
    """What follows a channel's base URL, which is the one the vendor's own SDK takes.

    Raises KeyError for Gemini, whose path names the model and the method.
    """
    return _UPSTREAM_PATHS[dialect]
