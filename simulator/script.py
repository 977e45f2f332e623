"""What the simulated provider is told to do, and where it is told.

A script is a set of `key=value` pairs. Later sources win:

1. the model's name: `gpt-5.5@tokens=50,delay_ms=2` (values without commas)
2. a directive in the last user prompt: `[[sim tokens=50 tool=get_weather args={"city": "Paris"}]]`
   (a value that starts with `{`, `[` or `"` is JSON, any other ends at white space or `]]`)
3. a fault (`simulator.faults`)

README.md lists the keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

_DIRECTIVE = "[[sim"
_KEY = re.compile(r"\s*([a-z_0-9]+)=")
_BARE_VALUE = re.compile(r"(?:(?!\]\])\S)*")
_END = re.compile(r"\s*\]\]")
_JSON = json.JSONDecoder()

Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Position = Annotated[int, msgspec.Meta(ge=0, le=10**6)]
Size = Annotated[int, msgspec.Meta(ge=0, le=4 * 1024**2)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=3_600_000)]

DELTAS_MAX = 100_000
ANSWER_BYTES_MAX = 32 * 1024**2


class ScriptError(Exception):
    """The script cannot be followed; the text says why and becomes the answer's 400."""


class Finish(StrEnum):
    """Why an answer ends; each dialect has its own words for it."""

    STOP = "stop"
    LENGTH = "length"
    TOOL = "tool"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One answer's script. None: not said, the dialect's own default applies."""

    # What the answer holds
    tokens: Annotated[int, msgspec.Meta(ge=0, le=DELTAS_MAX)] | None = None
    thinking: Annotated[int, msgspec.Meta(ge=0, le=DELTAS_MAX)] = 0
    tool: str = ""
    args: str = "{}"
    tools: Annotated[int, msgspec.Meta(ge=0, le=128)] = 1
    interleave: bool = False
    empty: bool = False
    finish: Finish | None = None
    unicode: bool = False
    frame_bytes: Size = 0
    ignore_cap: bool = False

    # What it reports: disjoint buckets, whatever the dialect's own arithmetic
    input: Count | None = None
    cached: Count = 0
    cache_write_5m: Count = 0
    cache_write_1h: Count = 0
    output: Count | None = None
    reasoning: Count | None = None
    usage: Literal["default", "none", "input_only", "every", "finish", "inside_choice", "before_finish", "start"] = (
        "default"
    )
    cached_as: Literal["details", "hit_tokens", "top_level"] = "details"

    # Errors in place of an answer
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    retry_after: Annotated[int, msgspec.Meta(ge=0, le=86_400)] | None = None
    message: str = ""
    error_body: Literal["no", "1", "html", "text", "empty", "array"] = "no"

    # Time
    first_byte_ms: Milliseconds = 0
    first_frame_ms: Milliseconds = 0
    delay_ms: Milliseconds = 0

    # Faults inside the answer, each after so many frames
    cut_after: Position | None = None
    reset_after: Position | None = None
    end_after: Position | None = None
    hang_after: Position | None = None
    error_after: Position | None = None
    garbage_after: Position | None = None
    comment_after: Position | None = None
    no_done: bool = False

    # How the bytes arrive
    one_write: bool = False
    split_bytes: Size = 0
    crlf: bool = False

    tag: Annotated[str, msgspec.Meta(max_length=64)] = ""


_FINISH_SYNONYMS = {
    "end": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_calls": "tool",
    "tool_use": "tool",
}


def split_model(model: str) -> tuple[str, dict[str, Any]]:
    """`name@key=value,...` -> the name, and the pairs. Raises ScriptError."""
    name, at, text = model.partition("@")
    pairs: dict[str, Any] = {}
    if at:
        for pair in text.split(","):
            key, equals, value = pair.partition("=")
            if not equals:
                raise ScriptError(f"the script in the model's name: {pair!r} is no key=value")
            pairs[key.strip()] = value
    return name, pairs


def read_directive(prompt: str) -> dict[str, Any]:
    """The pairs of the first `[[sim ...]]` in `prompt`; empty when there is none. Raises ScriptError."""
    start = prompt.find(_DIRECTIVE)
    if start < 0:
        return {}
    pairs: dict[str, Any] = {}
    position = start + len(_DIRECTIVE)
    while _END.match(prompt, position) is None:
        key = _KEY.match(prompt, position)
        if key is None:
            raise ScriptError(f"[[sim ...]]: expected key=value or ]] at {prompt[position : position + 20]!r}")
        pairs[key[1]], position = _read_value(prompt, key.end())
    return pairs


def _read_value(prompt: str, position: int) -> tuple[str, int]:
    if prompt[position : position + 1] in ("{", "[", '"'):
        try:
            value, end = _JSON.raw_decode(prompt, position)
        except ValueError as error:
            raise ScriptError(f"[[sim ...]]: {error}") from None
        return (value if isinstance(value, str) else prompt[position:end]), end
    bare = _BARE_VALUE.match(prompt, position)
    assert bare is not None, "the pattern also matches nothing"
    return bare[0], bare.end()


def build_script(*sources: Mapping[str, Any]) -> Script:
    """Merge the sources, the last one winning. Raises ScriptError on an unknown key or a value out of range."""
    pairs: dict[str, Any] = {}
    for source in sources:
        pairs.update(source)
    if not pairs:
        return DEFAULT_SCRIPT
    if "stop" in pairs:
        pairs.setdefault("finish", pairs.pop("stop"))
    if isinstance(args := pairs.get("args"), dict):
        pairs["args"] = json.dumps(args, separators=(",", ":"))
    if isinstance(finish := pairs.get("finish"), str):
        pairs["finish"] = _FINISH_SYNONYMS.get(finish, finish)
    try:
        script = msgspec.convert(pairs, Script, strict=False)
    except msgspec.ValidationError as error:
        raise ScriptError(f"the simulator's script: {error}") from None
    if script.frame_bytes * (script.tokens or 1) > ANSWER_BYTES_MAX:
        raise ScriptError(f"the simulator's script: tokens x frame_bytes is over {ANSWER_BYTES_MAX} bytes")
    return script


DEFAULT_SCRIPT = Script()
