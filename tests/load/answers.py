"""Whether an answer's bytes reach its end, and the usage it reports: what a client may hold Lumen to.

Judged from the whole body once the exchange is over, so that receiving costs next to nothing, and without
`lumen.protocols`: the load tests must not share a mistake with what they test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lumen.protocols.dialects import Dialect

_RESPONSES_ENDS = frozenset({"response.completed", "response.incomplete"})
_TELLING = (b"message_stop", b"response.completed", b"response.incomplete", b"response.failed", b'"error"')


@dataclass(frozen=True, slots=True)
class Answer:
    """`is_complete`: the end was seen, so Lumen must charge it exactly once. `usage` is the reported object as it came
    (Anthropic's: all its reports merged, the last winning); empty when none was seen. `error` is a reported one."""

    is_complete: bool = False
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    frames: int = 0


def read_single(body: bytes) -> Answer:
    """A single response with status 200. Half a JSON document is incomplete."""
    try:
        document = json.loads(body)
    except ValueError:
        return Answer(error="no JSON document")
    if not isinstance(document, dict) or document.get("error") is not None:
        return Answer(error=_describe(document))
    return Answer(is_complete=True, usage=document.get("usage") or {})


def read_stream(dialect: Dialect, body: bytes) -> Answer:
    """Everything received of a stream, however it ended. A last frame without its blank line is none."""
    usage: dict[str, Any] = {}
    is_complete, error, frames = False, "", 0
    for data in _frames(body):
        frames += 1
        if data == b"[DONE]":
            is_complete = dialect is Dialect.OPENAI_CHAT
            continue
        if not _is_telling(data):
            continue
        try:
            event = json.loads(data)
        except ValueError:
            error = f"no JSON: {data[:100]!r}"
            continue
        usage = {**usage, **_usage(event)}
        is_complete = is_complete or _is_end(dialect, event)
        if event.get("type") in ("error", "response.failed") or event.get("error"):
            error = _describe(event)
    return Answer(is_complete and not error, usage, error, frames)


def _frames(body: bytes) -> Iterator[bytes]:
    """The data of each finished frame that has any."""
    *finished, _ = body.replace(b"\r\n", b"\n").split(b"\n\n")
    for frame in finished:
        lines = [line[5:].removeprefix(b" ") for line in frame.split(b"\n") if line.startswith(b"data:")]
        if lines:
            yield b"\n".join(lines)


def _is_telling(data: bytes) -> bool:
    """Most frames hold only a delta: they need no decoding."""
    has_usage = b'"usage"' in data and b'"usage":null' not in data
    return has_usage or any(mark in data for mark in _TELLING)


def _is_end(dialect: Dialect, event: dict[str, Any]) -> bool:
    kind = event.get("type")
    if dialect is Dialect.ANTHROPIC_MESSAGES:
        return kind == "message_stop"
    return dialect is Dialect.OPENAI_RESPONSES and kind in _RESPONSES_ENDS


def _usage(event: dict[str, Any]) -> dict[str, Any]:
    for holder in (event, event.get("message"), event.get("response")):
        if isinstance(holder, dict) and isinstance(usage := holder.get("usage"), dict):
            return usage
    return {}


def _describe(document: object) -> str:
    return json.dumps(document)[:300]
