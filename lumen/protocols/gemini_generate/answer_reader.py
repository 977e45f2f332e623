"""Gemini's chunks -> canonical events; a single answer is a stream of one chunk.

How it works. A chunk carries parts of the first candidate. Parts of one kind that follow one another are one block. It
stays open until a part of another kind comes, so that citations and a late signature still find it:

    part                                   event
    {text}, {text, thought: true}          deltas of a TEXT or REASONING block
    {text: "", thoughtSignature}           the open block's signature
    {functionCall}                         a whole TOOL_CALL block
    any other                              OpaqueEvent

A signature belongs to one part and goes back on it, so text after a signed part is a block of its own. A signature on
an empty part with no such block open has nothing to go back on: those are optional for the model and left out.

Every chunk has usage so far and the last one the finish reason; nothing marks the end. So both are kept until `close`.
https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lumen.protocols.arguments import arguments_text
from lumen.protocols.canonical.content import Opaque, Seal
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    CitationAdded,
    Event,
    FinishReason,
    OpaqueEvent,
    ReasoningDelta,
    ResponseFinished,
    ResponseStarted,
    SignatureDelta,
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.dialects import Dialect
from lumen.protocols.gemini_generate.call_ids import invent_call_id
from lumen.protocols.gemini_generate.finish import FAILURES, finish_reason
from lumen.protocols.gemini_generate.grounding import citations_of
from lumen.protocols.gemini_generate.tool_names import decode_tool_name
from lumen.protocols.gemini_generate.usage import decode_usage
from lumen.protocols.stream_reader import UpstreamStreamError
from lumen.protocols.upstream_errors import UpstreamMessage, message_of
from lumen.protocols.usage_counts import UsageReading

# Members of a part that say something about it rather than what it is.
_PART_ATTRIBUTES = frozenset({"thought", "thoughtSignature", "partMetadata", "mediaResolution", "videoMetadata"})


_NOTHING = msgspec.Raw()


class PlainPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str
    thought: bool = False


class PlainContent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    parts: list[PlainPart]
    role: str = "model"


class PlainCandidate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: PlainContent
    index: int = 0


class PlainChunk(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The shape of nearly every chunk of a stream. What has any other member is read as a dict."""

    candidates: list[PlainCandidate]
    usageMetadata: msgspec.Raw = _NOTHING
    modelVersion: str | None = None
    responseId: str | None = None
    createTime: str | None = None


class AnswerReader:
    """State of one answer. `issuer`: whose signatures it carries."""

    def __init__(self, issuer: str) -> None:
        self.anomalies = 0
        self.is_ended = False
        self._issuer = issuer
        self._is_started = False
        self._response_id: str | None = None
        self._index = -1  # of the newest block
        self._open: BlockKind | None = None  # its kind while it is open
        self._is_signed = False
        self._text: list[str] = []  # of the open text block
        self._cited: set[tuple[str, int | None, int | None, str]] = set()
        self._calls = 0
        self._finish: str | None = None
        self._finish_message = ""
        self._has_parts = False
        self._usage: msgspec.Raw | Mapping[str, Any] | None = None

    def read_plain(self, chunk: PlainChunk, events: list[Event]) -> None:
        if chunk.usageMetadata is not _NOTHING:
            self._usage = chunk.usageMetadata
        if not self._is_started:
            self._start(chunk.responseId, chunk.modelVersion, events)
        for candidate in chunk.candidates:
            if candidate.index:
                self.anomalies += 1
                continue
            for part in candidate.content.parts:
                if part.text:
                    self._say(part.text, part.thought, events)

    def read(self, chunk: Mapping[str, Any], events: list[Event]) -> None:
        if "error" in chunk:
            self.fail(UpstreamStreamError(message_of(chunk)), events)
            return
        if isinstance(usage := chunk.get("usageMetadata"), dict):
            self._usage = usage
        if not self._is_started:
            self._start(_string(chunk.get("responseId")), _string(chunk.get("modelVersion")), events)
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and (reason := _string(feedback.get("blockReason"))):
            self._finish = reason
        for candidate in _objects(chunk.get("candidates")):
            if candidate.get("index"):
                self.anomalies += 1
            else:
                self._read_candidate(candidate, events)

    def close(self, events: list[Event]) -> None:
        """The answer's last chunk was read: its usage, and its end unless it had none."""
        if self.is_ended:
            return
        self._report_usage(events)
        self.is_ended = True
        if self._finish is None:
            events.append(StreamFailed())
            return
        if self._finish in FAILURES:
            self._spoil(events)
            return
        self._finish_block(events)
        reason = finish_reason(self._finish, has_calls=self._calls > 0)
        if reason is None:
            # The prompt was blocked, or the reason is newer than this table.
            self.anomalies += self._has_parts
            reason = FinishReason.STOP if self._has_parts else FinishReason.FILTERED
        events.append(ResponseFinished(reason, self._finish))

    def fail(self, error: UpstreamStreamError, events: list[Event]) -> None:
        self._report_usage(events)
        self.is_ended = True
        events.append(StreamFailed(error))

    def _spoil(self, events: list[Event]) -> None:
        code = self._finish or ""
        message = self._finish_message or FAILURES[code]
        events.append(StreamFailed(UpstreamStreamError(UpstreamMessage(message, code, code))))

    def _start(self, response_id: str | None, model: str | None, events: list[Event]) -> None:
        """With the prompt's usage, which the first chunk tells."""
        self._is_started = True
        self._response_id = response_id
        usage = self._read_usage().usage
        if usage is not None:
            usage = msgspec.structs.replace(usage, output=None, reasoning=None, audio_output=None)
        events.append(ResponseStarted(response_id, model, usage))

    def _read_candidate(self, candidate: Mapping[str, Any], events: list[Event]) -> None:
        content = candidate.get("content")
        if isinstance(content, dict):
            for part in _objects(content.get("parts")):
                self._read_part(part, events)
        if self._open is BlockKind.TEXT:
            self._cite(candidate, events)
        if reason := _string(candidate.get("finishReason")):
            self._finish = reason
            self._finish_message = _string(candidate.get("finishMessage")) or ""

    def _read_part(self, part: Mapping[str, Any], events: list[Event]) -> None:
        self._has_parts = True
        signature = _string(part.get("thoughtSignature"))
        seal = Seal(self._issuer, signature) if signature else None
        kind = next((name for name in part if name not in _PART_ATTRIBUTES), "text")
        if kind == "text":
            self._read_text(_string(part.get("text")) or "", part.get("thought") is True, seal, events)
        elif kind == "functionCall" and isinstance(call := part["functionCall"], dict):
            self._read_call(call, seal, events)
        else:
            self._finish_block(events)
            events.append(OpaqueEvent(Opaque(Dialect.GEMINI_GENERATE, kind, dict(part))))

    def _read_text(self, text: str, is_thought: bool, seal: Seal | None, events: list[Event]) -> None:
        if text:
            self._say(text, is_thought, events)
        elif is_thought and seal is not None and self._open is not BlockKind.REASONING:
            self._start_block(BlockKind.REASONING, events)
        if seal is not None and self._open is not None:
            events.append(SignatureDelta(self._index, seal))
            self._is_signed = True

    def _read_call(self, call: Mapping[str, Any], seal: Seal | None, events: list[Event]) -> None:
        self._finish_block(events)
        name, arguments = _string(call.get("name")) or "", call.get("args")
        call_id = _string(call.get("id")) or invent_call_id(self._response_id, self._calls, name, arguments)
        self._calls += 1
        self._index += 1
        events.append(
            BlockStarted(self._index, BlockKind.TOOL_CALL, call_id=call_id, name=decode_tool_name(name), seal=seal)
        )
        events.append(ArgumentsDelta(self._index, arguments_text(arguments)))
        events.append(BlockFinished(self._index))

    def _say(self, text: str, is_thought: bool, events: list[Event]) -> None:
        kind = BlockKind.REASONING if is_thought else BlockKind.TEXT
        if self._open is not kind or self._is_signed:
            self._start_block(kind, events)
        if is_thought:
            events.append(ReasoningDelta(self._index, text))
        else:
            self._text.append(text)
            events.append(TextDelta(self._index, text))

    def _cite(self, candidate: Mapping[str, Any], events: list[Event]) -> None:
        """A stream may repeat what it cited before."""
        if "groundingMetadata" not in candidate and "citationMetadata" not in candidate:
            return
        for citation in citations_of(candidate, "".join(self._text)):
            known = (citation.url, citation.start, citation.end, citation.cited_text)
            if known not in self._cited:
                self._cited.add(known)
                events.append(CitationAdded(self._index, citation))

    def _start_block(self, kind: BlockKind, events: list[Event]) -> None:
        self._finish_block(events)
        self._index += 1
        self._open = kind
        self._has_parts = True
        events.append(BlockStarted(self._index, kind))

    def _finish_block(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(BlockFinished(self._index))
            self._open = None
            self._is_signed = False
            self._text.clear()
            self._cited.clear()

    def _report_usage(self, events: list[Event]) -> None:
        if not self._is_started:
            return
        reading = self._read_usage()
        self.anomalies += reading.anomalies
        if reading.usage is not None:
            events.append(UsageReported(reading.usage))

    def _read_usage(self) -> UsageReading:
        usage = msgspec.json.decode(self._usage) if isinstance(self._usage, msgspec.Raw) else self._usage
        if isinstance(usage, dict):
            return decode_usage(usage)
        return UsageReading(None, int(usage is not None))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
