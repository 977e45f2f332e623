"""A Gemini stream (`alt=sse`) -> canonical events. Frames end with CRLF CRLF."""

from __future__ import annotations

import msgspec

from lumen.protocols.canonical.events import Event
from lumen.protocols.gemini_generate.answer_reader import AnswerReader, PlainChunk
from lumen.protocols.provider_values import UNREADABLE
from lumen.protocols.sse_reader import FRAME_BYTES_MAX, SseReader
from lumen.protocols.stream_reader import UpstreamStreamError
from lumen.protocols.upstream_errors import message_of

_plain = msgspec.json.Decoder(PlainChunk)
_START = b"data: "
_END = b"\r\n\r\n"


class GeminiStreamDecoder:
    """`issuer` is the vendor whose signatures the stream carries. The end is only known at `close`."""

    def __init__(self, *, issuer: str, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._frames = SseReader(frame_bytes_max)
        self._answer = AnswerReader(issuer)

    @property
    def anomalies(self) -> int:
        return self._answer.anomalies

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for said in self._split(data):
            self._read(said, events)
        return events

    def close(self) -> list[Event]:
        events: list[Event] = []
        for said in self._frames.close():
            self._read(said, events)
        self._answer.close(events)
        return events

    def _split(self, data: bytes) -> list[bytes]:
        """The data of the complete frames. Reads of whole one-line frames, as nearly all are, skip the SSE reader."""
        if data.startswith(_START) and data.endswith(_END) and not self._frames.has_unfinished:
            frames = data[len(_START) : -len(_END)].split(_END + _START)
            line_ends = 2 * len(frames)
            if data.count(b"\n") == line_ends and data.count(b"\r") == line_ends:
                return frames
        return self._frames.feed(data)

    def _read(self, said: bytes, events: list[Event]) -> None:
        if self._answer.is_ended:
            return
        try:
            chunk = _plain.decode(said)
        except UNREADABLE:
            self._read_any(said, events)
            return
        self._answer.read_plain(chunk, events)

    def _read_any(self, said: bytes, events: list[Event]) -> None:
        try:
            payload = msgspec.json.decode(said)
        except UNREADABLE:
            payload = None
        if isinstance(payload, dict):
            self._answer.read(payload, events)
        elif isinstance(payload, list) and payload and isinstance(payload[0], dict) and "error" in payload[0]:
            self._answer.fail(UpstreamStreamError(message_of(payload)), events)
        else:
            self._answer.anomalies += said.strip() != b"[DONE]"
