"""What a request asks for, whatever its dialect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# The members that hold a request's words; attachments, ids and schemas are under other names.
_TEXT_MEMBERS = frozenset({"text", "content", "system", "instructions", "input", "output", "thinking", "parts"})


@dataclass(frozen=True, slots=True)
class Prompt:
    """`last_user_text` may hold a directive. `digest`: hex of the whole request, the seed of every id."""

    model: str
    digest: str
    words: int
    last_user_text: str
    stream: bool
    output_cap: int | None = None
    choices: int = 1
    include_usage: bool = False
    include_obfuscation: bool = True
    include_encrypted_reasoning: bool = False
    custom_tools: frozenset[str] = frozenset()
    is_sse: bool = True
    """False: Gemini streams a JSON array unless asked for `alt=sse`."""


class InvalidPrompt(Exception):
    """The vendor would refuse this request with 400. `param`: the member at fault, for OpenAI's errors."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def texts(value: Any) -> Iterator[str]:
    """Every text of a message, a list of messages or a content part."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name in _TEXT_MEMBERS:
                yield from texts(member)


def count_words(*values: Any) -> int:
    return sum(len(text.split()) for value in values for text in texts(value))


_USERS_ROLES = frozenset({"user", "tool", "function"})


def last_user_text(messages: Any) -> str:
    """The text of the last message from the user's side: a bare string is one, and so are a tool's results, whatever
    the dialect calls them. Without a directive they get a plain answer, which ends an agent's turn."""
    if isinstance(messages, str):
        return messages
    if isinstance(messages, list):
        for message in reversed(messages):
            if isinstance(message, str):
                return message
            if isinstance(message, dict) and message.get("role", "user") in _USERS_ROLES:
                return " ".join(texts(message))
    return ""


def positive_int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
