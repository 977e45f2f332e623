"""Reads a provider's stream on its way to the client: usage, the end, errors, without touching the bytes.

How it works. Bytes come in as they were read from the network and go out as complete SSE frames, verbatim. A read in
which no frame can decide anything (the dialect's reader knows by a few byte searches) goes out whole and unparsed; that
is nearly every read. Otherwise its frames are looked at one by one:

    opening --first event--> relaying --finish frame--> holding
       |                        |
       +------- error ----------+------> failed         (nothing goes out any more)

* opening: comments wait for the first event, so that an error that comes first has let nothing out and the relay can
  still try another channel.
* holding: everything waits in `held` until the usage entry is recorded.
* failed: `error` says why. What was held is dropped, so that nothing looks like a clean end.

Buffers are limited: an unfinished frame by `frame_bytes_max`, the held ones by `held_bytes_max`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum, auto

from lumen.money.usage import TokenUsage
from lumen.protocols.answer import Answer, read_answer
from lumen.protocols.anthropic_messages.stream import AnthropicStreamReader
from lumen.protocols.dialects import Dialect
from lumen.protocols.openai_chat.stream import ChatStreamReader
from lumen.protocols.openai_responses.stream import ResponsesStreamReader
from lumen.protocols.sse import frame_data, split_frames
from lumen.protocols.sse_reader import FRAME_BYTES_MAX, SseReader
from lumen.protocols.stream_reader import StreamReader, UpstreamProtocolError, UpstreamStreamError, Verdict

__all__ = ["Answer", "StreamTap", "UpstreamProtocolError", "UpstreamStreamError", "read_answer"]

# How much of the start of a stream tells how much of its bytes is text.
_SAMPLE_BYTES = 8 * 1024
_SEQUENCE_NUMBER = b'"sequence_number":'
_INTEGER = re.compile(rb"\s*(\d{1,18})")


class _State(Enum):
    OPENING = auto()
    RELAYING = auto()
    HOLDING = auto()
    FAILED = auto()


class StreamTap:
    """One per stream. `choices` is the request's n."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        suppress_usage_chunk: bool = False,
        frame_bytes_max: int = FRAME_BYTES_MAX,
        held_bytes_max: int = 16 * 1024 * 1024,
        choices: int = 1,
    ) -> None:
        self._reader = _reader(dialect, suppress_usage_chunk, choices)
        self._may_decide = self._reader.may_decide
        self._frames = SseReader(frame_bytes_max)
        self._held_bytes_max = held_bytes_max
        self._state = _State.OPENING
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._sample: list[bytes] = []
        self._sample_bytes = 0
        self._last_relayed = b""
        self.relayed_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """What the client gets now. Raises UpstreamProtocolError when a frame or the held ones grow too large."""
        if self._frames.has_unfinished or not data.endswith(b"\n\n"):
            data = self._frames.complete_frames(data)
        if not data:
            return data
        if self._state is _State.RELAYING and not self._may_decide(data):
            self._count_relayed(data)
            return data
        return self._feed_frames(split_frames(data))

    def close(self) -> None:
        """The provider's stream is over. A last frame without its blank line counts unless it was cut in the middle."""
        rest = self._frames.unfinished_frame()
        if not rest:
            return
        relayed = self._feed_frames([rest + b"\n\n"])
        if relayed:
            self._hold(relayed)

    @property
    def held(self) -> bytes:
        """What the client gets once the entry is recorded: the finish frame and all after it."""
        return b"" if self._state is _State.OPENING else self._reader.closing(self._held)

    @property
    def usage(self) -> TokenUsage | None:
        return self._reader.usage

    @property
    def anomalies(self) -> int:
        return self._reader.anomalies

    @property
    def finish_reason(self) -> str | None:
        return self._reader.finish_reason

    @property
    def provider_response_id(self) -> str | None:
        return self._reader.response_id

    @property
    def is_complete(self) -> bool:
        """Nothing of the answer is missing; usage may still follow, so read on until `is_ended` or the end."""
        return self._reader.is_complete

    @property
    def is_ended(self) -> bool:
        """Nothing that counts can follow."""
        return self._reader.is_ended

    @property
    def error(self) -> UpstreamStreamError | None:
        return self._reader.error

    @property
    def output_bytes(self) -> int:
        """Bytes of generated text so far, for estimating when no usage came (JSON escapes included).

        Measured in the stream's first frames and extrapolated by size: it costs nothing where usage is reported.
        """
        text = _text_bytes(self._reader, self._held)
        if self._sample_bytes:
            text += self.relayed_bytes * _text_bytes(self._reader, self._sample) // self._sample_bytes
        return text

    @property
    def next_sequence(self) -> int | None:
        """The number after the last relayed event's (Responses); None where events have none."""
        _, name, rest = self._last_relayed.rpartition(_SEQUENCE_NUMBER)
        match = _INTEGER.match(rest) if name else None
        return int(match[1]) + 1 if match else None

    def supply_usage(self, usage: TokenUsage) -> None:
        """Lumen's own figures where the provider reported none: a chat stream's usage chunk tells them."""
        self._reader.supply_usage(usage)

    def _feed_frames(self, frames: list[bytes]) -> bytes:
        relayed: list[bytes] = []
        for frame in frames:
            self._feed_frame(frame, relayed)
        out = b"".join(relayed)
        if out:
            self._count_relayed(out)
        return out

    def _feed_frame(self, frame: bytes, relayed: list[bytes]) -> None:
        if self._state is _State.FAILED:
            return
        data = frame_data(frame)
        if data is not None and (self._state is not _State.RELAYING or self._may_decide(frame)):
            verdict = self._reader.read(frame, data)
            self._move_on(verdict, relayed)
            if verdict is Verdict.FAIL or verdict is Verdict.KEEP_BACK:
                return
        if self._state is _State.RELAYING:
            relayed.append(frame)
        else:
            self._hold(frame)

    def _move_on(self, verdict: Verdict, relayed: list[bytes]) -> None:
        if verdict is Verdict.FAIL:
            self._state = _State.FAILED
            self._held.clear()
        elif verdict is Verdict.HOLD or self._reader.is_complete:
            self._state = _State.HOLDING
        elif verdict is Verdict.RELAY and self._state is _State.OPENING:
            self._state = _State.RELAYING
            relayed += self._held
            self._held.clear()
            self._held_bytes = 0

    def _hold(self, frame: bytes) -> None:
        self._held.append(frame)
        self._held_bytes += len(frame)
        if self._held_bytes > self._held_bytes_max:
            raise UpstreamProtocolError(f"more than {self._held_bytes_max} bytes wait to be sent")

    def _count_relayed(self, data: bytes) -> None:
        self.relayed_bytes += len(data)
        self._last_relayed = data
        if self._sample_bytes < _SAMPLE_BYTES:
            self._sample.append(data)
            self._sample_bytes += len(data)


def _reader(dialect: Dialect, suppress_usage_chunk: bool, choices: int) -> StreamReader:
    if dialect is Dialect.OPENAI_CHAT:
        return ChatStreamReader(suppress_usage_chunk=suppress_usage_chunk, choices=choices)
    return _READERS[dialect]()


def _text_bytes(reader: StreamReader, frames: list[bytes]) -> int:
    return sum(len(text) for text in reader.TEXT.findall(b"".join(frames)))


_READERS: Mapping[Dialect, Callable[[], StreamReader]] = {
    Dialect.OPENAI_RESPONSES: ResponsesStreamReader,
    Dialect.ANTHROPIC_MESSAGES: AnthropicStreamReader,
}
