"""Blocks of a provider's stream while they are open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lumen.protocols.anthropic_messages.response_decoder import text_of
from lumen.protocols.canonical.content import Opaque
from lumen.protocols.canonical.events import ArgumentsDelta, BlockKind, Event, ReasoningDelta, TextDelta
from lumen.protocols.dialects import Dialect

# Type of a delta -> its member, the kind of block it belongs to, its event.
DELTAS: Mapping[str, tuple[str, BlockKind, Callable[[int, str], Event]]] = {
    "text_delta": ("text", BlockKind.TEXT, TextDelta),
    "thinking_delta": ("thinking", BlockKind.REASONING, ReasoningDelta),
    "input_json_delta": ("partial_json", BlockKind.TOOL_CALL, ArgumentsDelta),
}
KINDS: Mapping[str, BlockKind] = {
    "text": BlockKind.TEXT,
    "thinking": BlockKind.REASONING,
    "redacted_thinking": BlockKind.REASONING,
    "tool_use": BlockKind.TOOL_CALL,
}


class OpenBlock:
    """An open block. `kind` None: one of the provider's own, gathered in `raw`."""

    __slots__ = ("has_arguments", "index", "kind", "partial_json", "raw")

    def __init__(self, kind: BlockKind | None, index: int, raw: dict[str, Any]) -> None:
        self.kind = kind
        self.index = index
        self.raw = raw
        self.has_arguments = False
        self.partial_json = ""

    def gather(self, delta: Mapping[str, Any]) -> None:
        """Texts of a delta extend the block's members of the same name; `partial_json` is its input."""
        for name, value in delta.items():
            if name == "partial_json" and isinstance(value, str):
                self.partial_json += value
            elif name != "type" and isinstance(value, str):
                earlier = self.raw.get(name)
                self.raw[name] = (earlier if isinstance(earlier, str) else "") + value

    def opaque(self) -> Opaque:
        """The provider's own block, whole."""
        raw = self.raw
        if self.partial_json:
            try:
                raw = {**raw, "input": msgspec.json.decode(self.partial_json)}
            except (msgspec.DecodeError, RecursionError):
                raw = {**raw, "input": {"partial_json": self.partial_json}}
        return Opaque(Dialect.ANTHROPIC_MESSAGES, text_of(raw, "type") or "unknown", raw)
