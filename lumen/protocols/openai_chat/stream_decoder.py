"""Chat Completions streams -> events.

One prose block (text, refusal or thinking) is open at a time: the wire has no ends of blocks, another kind of delta
ends the one before. Tool calls are told apart by `index` and stay open to the end, for their pieces may interleave. A
finish reason is kept until `[DONE]` or the end of the stream: usage, and with some relatives more text, comes after it.

The relatives' habits that are read without complaint: usage on any chunk or inside a choice; `content: null` or "";
ids and names repeated, empty or null on later pieces of a call, or missing; several calls under one index (Gemini);
a whole call, the finish and usage in one chunk; a whole `message` at the end (MiniMax); no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.content import ToolKind
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    CitationAdded,
    Event,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.openai_chat.chunks import Choice, Chunk, Delta, decode_chunk, is_error
from lumen.protocols.openai_chat.citations import decode_annotations
from lumen.protocols.openai_chat.finish import decode_finish, is_failure
from lumen.protocols.openai_chat.response_decoder import CallIds, as_text, content_text
from lumen.protocols.openai_chat.tools_decoder import google_seal
from lumen.protocols.openai_chat.usage import decode_usage
from lumen.protocols.provider_values import text_or_none
from lumen.protocols.sse_reader import FRAME_BYTES_MAX, SseReader
from lumen.protocols.stream_reader import UpstreamStreamError
from lumen.protocols.upstream_errors import UpstreamMessage, parse_message

_DELTAS: Mapping[BlockKind, type[TextDelta] | type[ReasoningDelta] | type[RefusalDelta]] = {
    BlockKind.TEXT: TextDelta,
    BlockKind.REASONING: ReasoningDelta,
    BlockKind.REFUSAL: RefusalDelta,
}


class _Call:
    """A call whose pieces are coming. `index` is None until its name is known: a block has to start with it."""

    __slots__ = ("arguments", "call_id", "index")

    def __init__(self, call_id: str | None) -> None:
        self.call_id = call_id
        self.index: int | None = None
        self.arguments: list[str] = []  # those that came before the name


class OpenAIChatStreamDecoder:
    """`issuer` is every decoder's argument; this wire says itself whose its seals are (`extra_content.google`)."""

    def __init__(self, *, issuer: str, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.anomalies = 0
        self._sse = SseReader(frame_bytes_max)
        self._events: list[Event] = []
        self._is_started = self._is_ended = False
        self._blocks = 0
        self._prose: BlockKind | None = None
        self._prose_index = 0
        self._delta = _DELTAS[BlockKind.TEXT]
        self._calls: list[_Call] = []
        self._call_at: dict[int | str | None, _Call] = {}  # the latest one under each wire index
        self._ids = CallIds(None)
        self._has_refusal = False
        self._finish = ""
        self._usage: TokenUsage | None = None
        self._service_tier: str | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Raises UpstreamProtocolError when a frame grows beyond the limit."""
        for said in self._sse.feed(data):
            self._read(said)
        return self._taken()

    def close(self) -> list[Event]:
        for said in self._sse.close():
            self._read(said)
        if not self._is_ended:
            if self._finish:
                self._end()
            else:
                self._fail(None)
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _read(self, data: bytes) -> None:
        if self._is_ended:
            return
        chunk = decode_chunk(data)
        if chunk is None:
            self._read_other(data)
            return
        choices = chunk.choices
        if (chunk.error or not choices) and is_error(chunk):
            self._read_error(data)
            return
        if choices is None and chunk.usage is None:
            return  # a ping, or what a relative adds of its own
        if not self._is_started:
            self._start(chunk)
        if chunk.service_tier is not None:
            self._service_tier = text_or_none(chunk.service_tier)
        if chunk.usage is not None:
            self._read_usage(chunk.usage)
        if choices:
            for choice in choices:
                self._read_choice(choice)

    def _read_other(self, data: bytes) -> None:
        """`[DONE]`, or nothing that can be read."""
        if data.strip() == b"[DONE]" and self._is_started:
            self._end()
        else:
            self.anomalies += 1

    def _read_error(self, data: bytes) -> None:
        if self._finish:
            self.anomalies += 1  # the answer is complete all the same
        else:
            self._fail(UpstreamStreamError(parse_message(data)))

    def _start(self, chunk: Chunk) -> None:
        self._is_started = True
        response_id = text_or_none(chunk.id)
        self._ids = CallIds(response_id)
        self._events.append(ResponseStarted(response_id, text_or_none(chunk.model)))

    def _read_choice(self, choice: Choice) -> None:
        if choice.index or self._is_ended:  # n > 1 is never asked for in translation
            self.anomalies += 1
            return
        delta = choice.delta
        if delta is not None:
            self._read_delta(delta)
        if choice.usage is not None:
            self._read_usage(choice.usage)
        reason = choice.finish_reason
        if reason and isinstance(reason, str) and not self._finish:
            if is_failure(reason):
                said = UpstreamMessage(f"The model gave up before the end of its answer ({reason}).", code=reason)
                self._fail(UpstreamStreamError(said))
            else:
                self._finish = reason

    def _read_delta(self, delta: Delta) -> None:
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning and isinstance(reasoning, str):
            self._prose_delta(BlockKind.REASONING, reasoning)
        content = delta.content
        if content:
            text = content if type(content) is str else content_text(content)
            if text:
                self._prose_delta(BlockKind.TEXT, text)
        if delta.refusal and isinstance(delta.refusal, str):
            self._has_refusal = True
            self._prose_delta(BlockKind.REFUSAL, delta.refusal)
        if delta.annotations:
            self._read_annotations(delta.annotations)
        if delta.tool_calls:
            self._read_calls(delta.tool_calls)
        elif isinstance(delta.function_call, dict):
            self._read_call({"index": "function_call", "function": delta.function_call})

    def _prose_delta(self, kind: BlockKind, text: str) -> None:
        if kind is not self._prose:
            self._open_prose(kind)
        self._events.append(self._delta(self._prose_index, text))

    def _open_prose(self, kind: BlockKind) -> None:
        self._close_prose()
        self._prose, self._delta = kind, _DELTAS[kind]
        self._prose_index = self._next_index()
        self._events.append(BlockStarted(self._prose_index, kind))

    def _close_prose(self) -> None:
        if self._prose is not None:
            self._prose = None
            self._events.append(BlockFinished(self._prose_index))

    def _next_index(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _read_annotations(self, annotations: Any) -> None:
        citations = decode_annotations(annotations)
        if citations and self._prose is not BlockKind.TEXT:
            self._open_prose(BlockKind.TEXT)
        self._events += [CitationAdded(self._prose_index, citation) for citation in citations]

    def _read_calls(self, calls: Any) -> None:
        if not isinstance(calls, list):
            self.anomalies += 1
            return
        for call in calls:
            if isinstance(call, dict):
                self._read_call(call)
            else:
                self.anomalies += 1

    def _read_call(self, entry: dict[str, Any]) -> None:
        custom = entry.get("custom")
        kind = ToolKind.CUSTOM if isinstance(custom, dict) else ToolKind.FUNCTION
        members = custom if isinstance(custom, dict) else entry.get("function")
        members = members if isinstance(members, dict) else {}
        call_id, name = text_or_none(entry.get("id")), text_or_none(members.get("name"))
        wire_index = entry.get("index")
        call = self._call_of(wire_index if isinstance(wire_index, int | str) else None, call_id, name)
        if call.index is None and name is not None:
            self._close_prose()
            call.index = self._next_index()
            seal = google_seal(entry)
            own_id = self._ids.claim(call.call_id)
            self._events.append(BlockStarted(call.index, BlockKind.TOOL_CALL, own_id, name, kind, seal=seal))
            self._events += [ArgumentsDelta(call.index, piece) for piece in call.arguments]
        piece = as_text(members.get("input" if kind is ToolKind.CUSTOM else "arguments"))
        if not piece:
            return
        if call.index is None:
            call.arguments.append(piece)
        else:
            self._events.append(ArgumentsDelta(call.index, piece))

    def _call_of(self, wire_index: int | str | None, call_id: str | None, name: str | None) -> _Call:
        """The call a piece belongs to. Another id counts as another call only with a name: some make up an id for
        every piece. Without an index (`None`) a named piece begins a call, any other continues the latest."""
        call = self._call_at.get(wire_index)
        if call is None and wire_index is None and name is None and self._calls:
            call = self._calls[-1]
        is_other = call is not None and name is not None and call_id is not None and call.call_id not in (None, call_id)
        is_unindexed_start = wire_index is None and name is not None and call_id is None
        if call is None or is_other or is_unindexed_start:
            call = _Call(call_id)
            self._calls.append(call)
            self._call_at[wire_index] = call
        elif call.call_id is None and call.index is None:
            call.call_id = call_id
        return call

    def _read_usage(self, members: Any) -> None:
        if not isinstance(members, dict):
            self.anomalies += 1
            return
        reading = decode_usage(members)
        self.anomalies += reading.anomalies
        if reading.usage is not None and reading.usage != self._usage:
            self._usage = reading.usage
            self._events.append(UsageReported(reading.usage, self._service_tier))

    def _end(self) -> None:
        self._close_prose()
        open_calls = [call.index for call in self._calls if call.index is not None]
        self.anomalies += len(self._calls) - len(open_calls)  # calls that never had a name
        self._events += [BlockFinished(index) for index in open_calls]
        reason, anomalies = decode_finish(self._finish, has_calls=bool(open_calls), has_refusal=self._has_refusal)
        self.anomalies += anomalies
        self._events.append(ResponseFinished(reason, self._finish))
        self._is_ended = True

    def _fail(self, error: UpstreamStreamError | None) -> None:
        self._events.append(StreamFailed(error))
        self._is_ended = True
