"""Streams as the vendors send them. Each is a whole answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.protocols.frames import CHAT_USAGE, DONE, chat_stream, chunk, usage_chunk


def piece(index: int | None, call_id: Any = None, name: Any = None, arguments: Any = None, **members: Any) -> bytes:
    """A chunk with one piece of a call; None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call = {"function": function, **members}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call["id"] = call_id
    return chunk({"tool_calls": [call]})


ROLE = chunk({"role": "assistant", "content": ""})
THOUGHTS = [chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "m"})]
TEXT = [chunk({"content": "Hel"}), chunk({"content": "lo"})]
STOP = chunk(finish="stop")
CALLS_FINISH = chunk(finish="tool_calls")
END = [STOP, usage_chunk(), DONE]

INTERLEAVED = [
    ROLE,
    piece(0, "call_1", "f", ""),
    piece(1, "call_2", "g", ""),
    piece(0, arguments='{"a"'),
    piece(1, arguments="{"),
    piece(0, arguments=":1}"),
    piece(1, arguments="}"),
    CALLS_FINISH,
    usage_chunk(),
    DONE,
]

ANSWERS: Mapping[str, list[bytes]] = {
    "openai": chat_stream(),
    "deepseek thinks first": [ROLE, *THOUGHTS, *TEXT, *END],
    "calls interleaved": INTERLEAVED,
    "text then a call": [ROLE, *TEXT, piece(0, "call_1", "f", "{}"), CALLS_FINISH, usage_chunk(), DONE],
    "refusal": [ROLE, chunk({"refusal": "I will"}), chunk({"refusal": " not."}), *END],
    "usage with the finish (GLM)": [ROLE, *TEXT, chunk(finish="stop", usage=CHAT_USAGE), DONE],
    "no usage": [ROLE, *TEXT, STOP, DONE],
    "empty": [ROLE, *END],
}
