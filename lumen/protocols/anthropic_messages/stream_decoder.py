"""A provider's Messages stream -> events.

    message_start, (content_block_start, content_block_delta*, content_block_stop)*, message_delta+, message_stop

with pings and unknown events anywhere. The event's name is read from `type`, never from the `event:` line, which some
vendors leave out. Wire indexes are the provider's own; ours count blocks in the order they began. What breaks the
order is an anomaly and is mended without losing text: a delta without its start opens the block, a second start of an
index closes the first, a second stop is ignored. Blocks of the provider's own (server tools and their results) are
gathered whole. A stream is complete with message_stop only.
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lumen.protocols.anthropic_messages.content_decoder import decode_citation
from lumen.protocols.anthropic_messages.finish import decode_explanation, decode_finish
from lumen.protocols.anthropic_messages.response_decoder import decode_seal, text_of
from lumen.protocols.anthropic_messages.stream_blocks import DELTAS, KINDS, OpenBlock
from lumen.protocols.anthropic_messages.usage import decode_usage, merge_usage
from lumen.protocols.arguments import arguments_text
from lumen.protocols.canonical.content import Seal
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
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.provider_values import UNREADABLE
from lumen.protocols.sse_reader import FRAME_BYTES_MAX, SseReader
from lumen.protocols.stream_reader import UpstreamStreamError
from lumen.protocols.upstream_errors import message_of

_DONE = b"[DONE]"
_decode = msgspec.json.Decoder().decode


class AnthropicStreamDecoder:
    """`issuer`: the vendor of the model, whose signatures these are."""

    def __init__(self, *, issuer: str, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.anomalies = 0
        self._issuer = issuer
        self._reader = SseReader(frame_bytes_max)
        self._events: list[Event] = []
        self._blocks: dict[int, OpenBlock] = {}
        self._next_index = 0
        self._is_started = self._is_ended = self._has_calls = False
        self._usage: dict[str, Any] = {}
        self._usage_anomalies = 0
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None

    def feed(self, data: bytes) -> list[Event]:
        for said in self._reader.feed(data):
            self._read(said)
        return self._take()

    def close(self) -> list[Event]:
        for said in self._reader.close():
            self._read(said)
        if not self._is_ended:
            self._end(StreamFailed())
        return self._take()

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _read(self, said: bytes) -> None:
        try:
            event = _decode(said)
            kind = event.get("type")
        except (*UNREADABLE, AttributeError):
            self.anomalies += said.strip() != _DONE
            return
        if self._is_ended:
            self.anomalies += kind != "ping"
        elif kind == "content_block_delta":
            self._read_delta(event)
        else:
            self._read_other(kind, event)

    def _read_other(self, kind: Any, event: dict[str, Any]) -> None:
        match kind:
            case "content_block_start":
                self._start_block(event)
            case "content_block_stop":
                self._stop_block(event.get("index"))
            case "message_start":
                self._start(event.get("message"))
            case "message_delta":
                self._read_message_delta(event)
            case "message_stop":
                self._finish()
            case "error":
                self._end(StreamFailed(UpstreamStreamError(message_of(event))))
            case _:
                if kind is None and event.get("error"):
                    self._end(StreamFailed(UpstreamStreamError(message_of(event))))

    # --- the message

    def _start(self, message: Any) -> None:
        if self._is_started or not isinstance(message, dict):
            self.anomalies += 1
        members = message if isinstance(message, dict) else {}
        self._merge_usage(members.get("usage"))
        if not self._is_started:
            self._is_started = True
            usage = decode_usage(self._usage).usage
            self._events.append(ResponseStarted(text_of(members, "id"), text_of(members, "model"), usage))

    def _need_start(self) -> None:
        if not self._is_started:
            self.anomalies += 1
            self._is_started = True
            self._events.append(ResponseStarted())

    def _read_message_delta(self, event: dict[str, Any]) -> None:
        self._need_start()
        delta = event.get("delta")
        self._stop_reason = text_of(delta, "stop_reason") or self._stop_reason
        self._stop_sequence = text_of(delta, "stop_sequence") or self._stop_sequence
        explanation = decode_explanation(delta.get("stop_details") if isinstance(delta, dict) else None)
        if explanation:
            self._close_blocks()
            index = self._take_index()
            self._events += (
                BlockStarted(index, BlockKind.REFUSAL),
                RefusalDelta(index, explanation),
                BlockFinished(index),
            )
        self._merge_usage(event.get("usage"))
        usage = decode_usage(self._usage).usage
        if usage is not None:
            self._events.append(UsageReported(usage, text_of(self._usage, "service_tier")))

    def _merge_usage(self, members: Any) -> None:
        if not isinstance(members, dict):
            self.anomalies += members is not None
            return
        self._usage, anomalies = merge_usage(self._usage, members)
        # The snapshot is read anew each time, so its own anomalies replace the last reading's.
        own = decode_usage(self._usage).anomalies
        self.anomalies += anomalies + own - self._usage_anomalies
        self._usage_anomalies = own

    def _finish(self) -> None:
        self._need_start()
        self._close_blocks()
        self.anomalies += self._stop_reason is None
        reason = decode_finish(self._stop_reason, has_calls=self._has_calls)
        self._end(ResponseFinished(reason, self._stop_reason or "", self._stop_sequence))

    def _end(self, event: Event) -> None:
        self._events.append(event)
        self._is_ended = True

    # --- blocks

    def _take_index(self) -> int:
        self._next_index += 1
        return self._next_index - 1

    def _start_block(self, event: dict[str, Any]) -> None:
        self._need_start()
        wire_index, raw = event.get("index"), event.get("content_block")
        if not isinstance(wire_index, int) or not isinstance(raw, dict):
            self.anomalies += 1
            return
        if wire_index in self._blocks:
            self.anomalies += 1
            self._finish_block(wire_index)
        kind = KINDS.get(text_of(raw, "type") or "")
        self._open(wire_index, kind, raw)

    def _open(self, wire_index: int, kind: BlockKind | None, raw: dict[str, Any]) -> OpenBlock:
        block = self._blocks[wire_index] = OpenBlock(kind, 0 if kind is None else self._take_index(), raw)
        match kind:
            case BlockKind.TEXT:
                self._events.append(BlockStarted(block.index, kind))
                self._add_text(block, TextDelta, text_of(raw, "text"))
                citations = raw.get("citations")
                for citation in citations if isinstance(citations, list) else ():
                    self._add_citation(block, citation)
            case BlockKind.REASONING:
                is_redacted = raw.get("type") == "redacted_thinking"
                seal = self._seal(raw, "data" if is_redacted else "signature")
                self._events.append(BlockStarted(block.index, kind, seal=seal, is_redacted=is_redacted))
                self._add_text(block, ReasoningDelta, text_of(raw, "thinking"))
            case BlockKind.TOOL_CALL:
                self._has_calls = True
                call_id, name = text_of(raw, "id") or "", text_of(raw, "name") or ""
                self._events.append(BlockStarted(block.index, kind, call_id, name))
        return block

    def _add_text(self, block: OpenBlock, event: Callable[[int, str], Event], text: str | None) -> None:
        if text:
            self._events.append(event(block.index, text))

    def _add_citation(self, block: OpenBlock, citation: Any) -> None:
        if isinstance(citation, dict):
            self._events.append(CitationAdded(block.index, decode_citation(citation)))
        else:
            self.anomalies += 1

    def _read_delta(self, event: dict[str, Any]) -> None:
        delta, wire_index = event.get("delta"), event.get("index")
        if not isinstance(delta, dict) or not isinstance(wire_index, int):
            self.anomalies += 1
            return
        block = self._blocks.get(wire_index)
        known = DELTAS.get(text_of(delta, "type") or "")
        if known is None or (block is not None and block.kind is None):
            self._read_rare_delta(block, wire_index, delta)
            return
        member, kind, make = known
        text = delta.get(member)
        if not isinstance(text, str):
            self.anomalies += 1
        elif text:
            if block is None or block.kind is not kind:
                block = self._mend(wire_index, kind)
            if kind is BlockKind.TOOL_CALL:
                block.has_arguments = True
            self._events.append(make(block.index, text))

    def _mend(self, wire_index: int, kind: BlockKind) -> OpenBlock:
        """The block for a delta that has none of its kind."""
        self._need_start()
        self.anomalies += 1
        if wire_index in self._blocks:
            self._finish_block(wire_index)
        return self._open(wire_index, kind, {})

    def _read_rare_delta(self, block: OpenBlock | None, wire_index: int, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        if block is not None and block.kind is None:
            block.gather(delta)
        elif kind == "signature_delta":
            if block is None or block.kind is not BlockKind.REASONING:
                block = self._mend(wire_index, BlockKind.REASONING)
            seal = self._seal(delta, "signature")
            if seal is not None:
                self._events.append(SignatureDelta(block.index, seal))
        elif kind == "citations_delta":
            if block is None or block.kind is not BlockKind.TEXT:
                block = self._mend(wire_index, BlockKind.TEXT)
            self._add_citation(block, delta.get("citation"))

    def _seal(self, members: Mapping[str, Any], name: str) -> Seal | None:
        return decode_seal(text_of(members, name), self._issuer)

    def _stop_block(self, wire_index: Any) -> None:
        if isinstance(wire_index, int) and wire_index in self._blocks:
            self._finish_block(wire_index)
        else:
            self.anomalies += 1

    def _close_blocks(self) -> None:
        for wire_index in tuple(self._blocks):
            self.anomalies += 1
            self._finish_block(wire_index)

    def _finish_block(self, wire_index: int) -> None:
        block = self._blocks.pop(wire_index)
        if block.kind is None:
            self._events.append(OpaqueEvent(block.opaque()))
            return
        if block.kind is BlockKind.TOOL_CALL and not block.has_arguments:
            # Vendors that do not stream arguments have them whole in the start.
            self._events.append(ArgumentsDelta(block.index, arguments_text(block.raw.get("input"))))
        self._events.append(BlockFinished(block.index))
