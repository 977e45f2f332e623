"""Tool arguments between dialects that carry them as text and those that carry an object."""

from __future__ import annotations

from typing import Any

import msgspec

# Where a custom tool became a function: the one member that holds its freeform input.
CUSTOM_INPUT = "input"


def arguments_object(text: str) -> dict[str, Any]:
    """The JSON object a model wrote; {} for none. What is no object is kept under `input`: nothing is lost, and an
    upstream that takes only objects accepts the history."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {CUSTOM_INPUT: text}
    return value if isinstance(value, dict) else {CUSTOM_INPUT: value}


def arguments_text(value: Any) -> str:
    """Compact JSON of an object that came decoded; None is no arguments."""
    return "{}" if value is None else msgspec.json.encode(value).decode()


def wrap_custom_input(text: str) -> str:
    """A custom tool's input as the arguments of the function that stands for it."""
    return msgspec.json.encode({CUSTOM_INPUT: text}).decode()


def unwrap_custom_input(arguments: str) -> str:
    """The reverse; a model that did not keep to the schema loses nothing."""
    value = arguments_object(arguments).get(CUSTOM_INPUT)
    return value if isinstance(value, str) else arguments
