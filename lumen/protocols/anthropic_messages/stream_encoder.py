"""Events -> a Messages stream for a client.

One block is open at a time, as the API has it and Claude Code needs it: the blocks stand in a queue in the order they
began, the first is written as it grows, the others gather their events until it is their turn. A block is opened by
the first thing it has to say, so one without text or seal leaves no trace. A signature replaces the one before it and
is written at its block's end. What gathers is bounded by the answer itself, which the upstream's cap bounds.

Usage is complete in message_delta, where clients take it from; message_start has what was known then. `close` gives
message_stop. https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from lumen.money.usage import TokenUsage
from lumen.protocols.anthropic_messages.content_encoder import own_extras
from lumen.protocols.anthropic_messages.finish import encode_finish
from lumen.protocols.anthropic_messages.response_encoder import encode_seal, message_id, tool_use
from lumen.protocols.anthropic_messages.usage_encoder import encode_usage
from lumen.protocols.canonical.content import Seal, ToolCall
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    CitationAdded,
    Event,
    OpaqueEvent,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    TextDelta,
    UsageReported,
)
from lumen.protocols.codec import Reply
from lumen.protocols.dialects import Dialect

_encode = msgspec.json.Encoder().encode

_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_DELTA_END = b"}}\n\n"
# Kind -> type of its deltas and their member.
_DELTA_NAMES = {
    BlockKind.TEXT: (b"text_delta", b"text"),
    BlockKind.REFUSAL: (b"text_delta", b"text"),
    BlockKind.REASONING: (b"thinking_delta", b"thinking"),
    BlockKind.TOOL_CALL: (b"input_json_delta", b"partial_json"),
}


class _Block:
    """`prefix`: what stands before a delta's text; b"" until the block is open. `opening`: its content_block."""

    __slots__ = ("is_finished", "kind", "opening", "parts", "prefix", "seal", "wire_index")

    def __init__(self, kind: BlockKind | None, opening: dict[str, Any]) -> None:
        self.kind = kind
        self.opening = opening
        self.prefix = b""
        self.wire_index = 0
        self.seal: Seal | None = None
        self.parts: list[str | dict[str, Any]] = []  # texts and citations that are not written yet
        self.is_finished = False


class AnthropicStreamEncoder:
    """Other dialects' OpaqueEvents are left out."""

    next_sequence = None

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._queue: deque[_Block] = deque()
        self._blocks: dict[int, _Block] = {}
        self._next_wire_index = 0
        self._usage: TokenUsage | None = None
        self._service_tier: str | None = None
        self._has_calls = self._has_refusal = False

    def encode(self, event: Event) -> bytes:
        if isinstance(event, TextDelta | ReasoningDelta | ArgumentsDelta | RefusalDelta):
            block = self._blocks[event.index]
            if block.prefix and not block.parts:
                return block.prefix + _encode(event.text) + _DELTA_END if event.text else b""
            return self._add(block, event.text)
        return self._encode_other(event)

    def close(self) -> bytes:
        return _MESSAGE_STOP

    def _encode_other(self, event: Event) -> bytes:
        match event:
            case ResponseStarted():
                return self._start(event)
            case BlockStarted():
                return self._start_block(event)
            case CitationAdded() if own_extras(event.citation.extras):
                return self._add(self._blocks[event.index], own_extras(event.citation.extras))
            case SignatureDelta() if self._blocks[event.index].kind is BlockKind.REASONING:
                self._blocks[event.index].seal = event.seal
            case BlockFinished():
                self._blocks.pop(event.index).is_finished = True
                return self._advance()
            case UsageReported():
                self._usage, self._service_tier = event.usage, event.service_tier or self._service_tier
            case OpaqueEvent():
                return self._add_opaque(event)
            case ResponseFinished():
                return self._finish(event)
        return b""

    def _start(self, event: ResponseStarted) -> bytes:
        self._usage = event.usage
        message: dict[str, Any] = {
            "id": message_id(event.response_id, self._reply),
            "type": "message",
            "role": "assistant",
            "model": self._reply.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(event.usage),
        }
        return _frame("message_start", message=message)

    def _finish(self, event: ResponseFinished) -> bytes:
        delta = encode_finish(
            event.reason,
            event.raw,
            event.stop_sequence,
            has_calls=self._has_calls,
            has_refusal=self._has_refusal,
        )
        return _frame("message_delta", delta=delta, usage=encode_usage(self._usage, self._service_tier))

    # --- blocks

    def _start_block(self, event: BlockStarted) -> bytes:
        block = _Block(event.kind, self._opening(event))
        block.seal = event.seal if event.kind is BlockKind.REASONING and not event.is_redacted else None
        self._blocks[event.index] = block
        self._queue.append(block)
        self._has_refusal |= event.kind is BlockKind.REFUSAL
        if event.kind is not BlockKind.TOOL_CALL:
            return b""
        self._has_calls = True
        return self._open(block) if block is self._queue[0] else b""

    def _opening(self, event: BlockStarted) -> dict[str, Any]:
        match event.kind:
            case BlockKind.TOOL_CALL:
                return tool_use(ToolCall(event.call_id, event.name, "", seal=event.seal), self._reply)
            case BlockKind.REASONING if event.is_redacted:
                return {"type": "redacted_thinking", "data": encode_seal(event.seal)}
            case BlockKind.REASONING:
                return {"type": "thinking", "thinking": "", "signature": ""}
            case _:
                return {"type": "text", "text": ""}

    def _add_opaque(self, event: OpaqueEvent) -> bytes:
        if event.block.dialect is not Dialect.ANTHROPIC_MESSAGES:
            return b""
        block = _Block(None, dict(event.block.raw))
        if event.block.kind == "server_tool_use":
            block.kind = BlockKind.TOOL_CALL  # arguments stream as a client tool's do
            block.parts.append(_encode(block.opening.get("input") or {}).decode())
            block.opening["input"] = {}
        block.is_finished = True
        self._queue.append(block)
        return self._advance()

    def _add(self, block: _Block, part: str | dict[str, Any]) -> bytes:
        if part == "":
            return b""
        block.parts.append(part)
        return self._write(block) if block is self._queue[0] else b""

    def _advance(self) -> bytes:
        """Writes on from the head of the queue: all that is finished, and what the next one gathered."""
        written = b""
        while self._queue:
            block = self._queue[0]
            written += self._write(block)
            if not block.is_finished:
                break
            written += self._stop(block)
            self._queue.popleft()
        return written

    def _write(self, block: _Block) -> bytes:
        """What the block gathered. A client's tool call opens without having said anything."""
        is_call = block.kind is BlockKind.TOOL_CALL
        written = self._open(block) if not block.prefix and (block.parts or is_call) else b""
        for part in block.parts:
            if isinstance(part, str):
                written += block.prefix + _encode(part) + _DELTA_END
            else:
                delta = {"type": "citations_delta", "citation": part}
                written += _frame("content_block_delta", index=block.wire_index, delta=delta)
        block.parts.clear()
        return written

    def _open(self, block: _Block) -> bytes:
        block.wire_index = self._next_wire_index
        self._next_wire_index += 1
        kind, member = _DELTA_NAMES[block.kind or BlockKind.TEXT]
        block.prefix = _DELTA % (block.wire_index, kind, member)
        return _frame("content_block_start", index=block.wire_index, content_block=block.opening)

    def _stop(self, block: _Block) -> bytes:
        is_whole = block.kind is None or bool(block.opening.get("data"))
        written = self._open(block) if not block.prefix and (block.seal or is_whole) else b""
        if not block.prefix:
            return b""
        if block.seal:
            delta = {"type": "signature_delta", "signature": encode_seal(block.seal)}
            written += _frame("content_block_delta", index=block.wire_index, delta=delta)
        return written + _frame("content_block_stop", index=block.wire_index)


def _frame(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members}))
