"""A Responses upstream's stream -> events. https://platform.openai.com/docs/api-reference/responses-streaming

Ordinary deltas are read by a typed decoder that skips the rest of their frame; every other event is decoded whole.
Reasoning is sealed by `output_item.done`: what `added` carries may be a part. Events of unknown kinds are skipped;
whole items of kinds no other dialect has become OpaqueEvent. Only `response.completed` and `response.incomplete` end an
answer, and nothing counts after them or after an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lumen.protocols.canonical.events import (
    BlockKind,
    Event,
    ResponseFinished,
    ResponseStarted,
    StreamFailed,
    UsageReported,
)
from lumen.protocols.openai_responses.output_items import decode_output_part, finish_reason
from lumen.protocols.openai_responses.response_decoder import read_usage
from lumen.protocols.openai_responses.stream import finish_reason_of
from lumen.protocols.openai_responses.stream_blocks import Blocks
from lumen.protocols.provider_values import UNREADABLE, decode_object, text_or_none
from lumen.protocols.sse_reader import FRAME_BYTES_MAX, SseReader
from lumen.protocols.stream_reader import UpstreamStreamError
from lumen.protocols.upstream_errors import message_of


class _Frame(msgspec.Struct, gc=False):
    """What tells where an event belongs; null and absent are the same."""

    type: str | None = None
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None


_frames = msgspec.json.Decoder(_Frame)

# Parts that have a content index.
_PART_DELTAS: Mapping[str | None, BlockKind] = {
    "response.output_text.delta": BlockKind.TEXT,
    "response.refusal.delta": BlockKind.REFUSAL,
}
_CALL_DELTAS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_SUMMARY_DELTA = "response.reasoning_summary_text.delta"
_REASONING_DELTA = "response.reasoning_text.delta"
_STARTS = frozenset({"response.created", "response.in_progress", "response.queued"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILURES = frozenset({"response.failed", "error"})


class ResponsesStreamDecoder:
    def __init__(self, *, issuer: str, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._reader = SseReader(frame_bytes_max)
        self._blocks = Blocks(issuer)
        self.anomalies = 0
        self._is_started = self._is_ended = False

    def feed(self, data: bytes) -> list[Event]:
        return self._read(self._reader.feed(data))

    def close(self) -> list[Event]:
        events = self._read(self._reader.close())
        if not self._is_ended:
            self._is_ended = True
            events.append(StreamFailed())
        return events

    def _read(self, frames: list[bytes]) -> list[Event]:
        blocks = self._blocks
        events: list[Event] = []
        blocks.events = events
        for data in frames:
            if self._is_ended:
                break
            try:
                frame = _frames.decode(data)
            except UNREADABLE:
                self._read_odd(data)
                continue
            kind = _PART_DELTAS.get(frame.type)
            if kind is None:
                self._read_event(frame, data)
            elif frame.delta:
                if not self._is_started:
                    self._start()
                item = blocks.item(frame.output_index, frame.item_id)
                blocks.add_delta(item, frame.content_index or 0, kind, frame.delta)
        self.anomalies = blocks.anomalies
        return events

    def _read_odd(self, data: bytes) -> None:
        """`[DONE]` says nothing here; an error is one whatever else is wrong with its frame."""
        if data.strip() == b"[DONE]":
            return
        self._blocks.anomalies += 1
        event = decode_object(data)
        if event is not None and event.get("error"):
            self._fail(event)

    def _read_event(self, frame: _Frame, data: bytes) -> None:
        kind = frame.type
        if kind in _CALL_DELTAS or kind in (_SUMMARY_DELTA, _REASONING_DELTA):
            self._start()
            self._read_other_delta(frame)
        elif kind in _READERS:
            self._start()
            self._read_part(frame, decode_object(data))
        elif kind is None or kind in _STARTS or kind in _ENDS or kind in _FAILURES:
            self._read_lifecycle(kind, decode_object(data))

    def _read_other_delta(self, frame: _Frame) -> None:
        if not frame.delta:
            return
        item = self._blocks.item(frame.output_index, frame.item_id)
        if frame.type in _CALL_DELTAS:
            self._blocks.add_delta(item, 0, BlockKind.TOOL_CALL, frame.delta)
            return
        is_summary = frame.type == _SUMMARY_DELTA
        number = frame.summary_index if is_summary else frame.content_index
        self._blocks.add_reasoning(item, (is_summary, number or 0), frame.delta)

    def _read_part(self, frame: _Frame, event: dict[str, Any] | None) -> None:
        if event is None:
            self._blocks.anomalies += 1
        else:
            _READERS[frame.type](self._blocks, frame, event)

    def _read_lifecycle(self, kind: str | None, event: dict[str, Any] | None) -> None:
        if event is None:
            self._blocks.anomalies += 1
            return
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        if kind in _STARTS:
            self._start(response)
        elif kind in _ENDS and response.get("status") != "failed":
            self._end(str(kind), response)
        elif kind is not None or event.get("error"):
            if isinstance(response.get("usage"), dict):
                self._start(response)
                self._report_usage(response)
            self._fail(response if response.get("error") else event)

    def _start(self, response: Mapping[str, Any] | None = None) -> None:
        """Only the first time counts."""
        if not self._is_started:
            self._is_started = True
            said = response or {}
            self._blocks.events.append(ResponseStarted(text_or_none(said.get("id")), text_or_none(said.get("model"))))

    def _end(self, kind: str, response: Mapping[str, Any]) -> None:
        self._start(response)
        blocks, output = self._blocks, response.get("output")
        for position, members in enumerate(output if isinstance(output, list) else ()):
            if isinstance(members, dict):
                blocks.complete_item(blocks.final_item(position, members.get("id")), members)
        blocks.finish_all()
        self._report_usage(response)
        raw = finish_reason_of(response) or kind.removeprefix("response.")
        reason = finish_reason(raw, has_calls=blocks.has_calls, has_refusal=blocks.has_refusal)
        blocks.events.append(ResponseFinished(reason, raw))
        self._is_ended = True

    def _report_usage(self, response: Mapping[str, Any]) -> None:
        reading = read_usage(response.get("usage"))
        self._blocks.anomalies += reading.anomalies
        if reading.usage is not None:
            service_tier = text_or_none(response.get("service_tier"))
            self._blocks.events.append(UsageReported(reading.usage, service_tier))

    def _fail(self, payload: Any) -> None:
        self._blocks.events.append(StreamFailed(UpstreamStreamError(message_of(payload))))
        self._is_ended = True


def _read_item_added(blocks: Blocks, frame: _Frame, event: Mapping[str, Any]) -> None:
    members = event.get("item")
    if isinstance(members, dict):
        blocks.begin_item(blocks.item(frame.output_index, members.get("id")), members)
    else:
        blocks.anomalies += 1


def _read_item_done(blocks: Blocks, frame: _Frame, event: Mapping[str, Any]) -> None:
    members = event.get("item")
    if isinstance(members, dict):
        blocks.complete_item(blocks.item(frame.output_index, members.get("id")), members)
    else:
        blocks.anomalies += 1


def _read_part_done(blocks: Blocks, frame: _Frame, event: Mapping[str, Any]) -> None:
    block = decode_output_part(event.get("part"))
    if block is not None:
        blocks.complete(blocks.item(frame.output_index, frame.item_id), frame.content_index or 0, block)


def _read_annotation(blocks: Blocks, frame: _Frame, event: Mapping[str, Any]) -> None:
    item = blocks.item(frame.output_index, frame.item_id)
    blocks.add_annotation(item, frame.content_index or 0, event.get("annotation"))


_READERS: Mapping[str | None, Callable[[Blocks, _Frame, Mapping[str, Any]], None]] = {
    "response.output_item.added": _read_item_added,
    "response.output_item.done": _read_item_done,
    "response.content_part.done": _read_part_done,
    "response.output_text.annotation.added": _read_annotation,
}
