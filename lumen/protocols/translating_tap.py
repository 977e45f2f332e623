"""Translates a provider's stream on its way to the client: the StreamTap of streams that are not passed through.

How it works. Reads become events, events become the client's frames, and three things wait:

* ResponseStarted, until anything follows it: an error that comes first has let nothing out, and the relay can still try
  another channel. So does everything of a read that ends in an error, while nothing went out before.
* ResponseFinished, until `held` is asked for: what it makes (the finish frame, usage, the terminator) is only encoded
  once the usage entry is recorded, with Lumen's own figures where the provider reported none.
* What `close` brought, likewise; it is dropped when the stream turns out to be cut.

After a StreamFailed nothing goes out any more; `error` is None when the stream was cut. Buffers: an unfinished frame is
limited by `frame_bytes_max`; what encoders gather is a part of the answer, which the output cap bounds.
"""

from __future__ import annotations

from lumen.money.usage import TokenUsage
from lumen.protocols.canonical.events import (
    ArgumentsDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    ResponseFinished,
    ResponseStarted,
    StreamFailed,
    TextDelta,
    UsageReported,
)
from lumen.protocols.codec import StreamDecoder, StreamEncoder
from lumen.protocols.stream_reader import UpstreamStreamError

_DELTAS = (TextDelta, ReasoningDelta, ArgumentsDelta, RefusalDelta)
_WAITS = (ResponseStarted, ResponseFinished)


class TranslatingTap:
    """One per stream. `close` has to be called in every case, also when reading failed: some dialects have no end but
    the stream's, so that only then is it known whether the answer is complete."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._waiting: list[Event] = []
        self._held: bytes | None = None
        self.usage: TokenUsage | None = None
        self.finish_reason: str | None = None  # the upstream's own word
        self.provider_response_id: str | None = None
        self.error: UpstreamStreamError | None = None
        self.is_complete = False  # nothing of the answer is missing
        self.is_ended = False  # nothing more can come
        self.output_bytes = 0  # UTF-8 of generated text so far, for estimating when no usage came
        self.relayed_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """What the client gets now. Raises UpstreamProtocolError when a frame grows too large."""
        if self.is_ended:
            return b""
        events = self._decoder.feed(data)
        if not events:
            return b""
        return self._relay(events)

    def close(self) -> None:
        """The provider's stream is over."""
        if self.is_ended:
            return
        for event in self._decoder.close():
            if isinstance(event, _DELTAS):
                self._count(event.text)
            else:
                self._note(event)
            self._waiting.append(event)

    @property
    def held(self) -> bytes:
        """What the client gets once the entry is recorded: the finish and all that waited for it. b"" unless the
        answer is complete."""
        if self._held is None:
            self._held = self._encode_rest() if self.is_complete else b""
        return self._held

    @property
    def anomalies(self) -> int:
        return self._decoder.anomalies

    @property
    def next_sequence(self) -> int | None:
        """The number after the last relayed event's (Responses); None where events have none, or none was relayed."""
        return self._encoder.next_sequence if self.relayed_bytes else None

    def supply_usage(self, usage: TokenUsage) -> None:
        """Lumen's own figures where the provider reported none."""
        self.usage = usage

    def _relay(self, events: list[Event]) -> bytes:
        encode = self._encoder.encode
        frames = b""
        for event in events:
            if isinstance(event, _DELTAS):
                self._count(event.text)
            else:
                self._note(event)
                if isinstance(event, _WAITS):
                    self._waiting.append(event)
                    continue
                if isinstance(event, StreamFailed):
                    break
            if self._waiting:
                frames += self._encode_waiting()
            frames += encode(event)
        if self.is_ended and not self.is_complete and not self.relayed_bytes:
            return b""
        self.relayed_bytes += len(frames)
        return frames

    def _count(self, text: str) -> None:
        self.output_bytes += len(text) if text.isascii() else len(text.encode())

    def _note(self, event: Event) -> None:
        match event:
            case UsageReported():
                self.usage = event.usage
            case ResponseStarted():
                self.provider_response_id = event.response_id
                self.usage = event.usage
            case ResponseFinished():
                self.finish_reason = event.raw
                self.is_complete = self.is_ended = True
            case StreamFailed():
                self.error = event.error
                self.is_ended = True
            case _:
                pass

    def _encode_waiting(self) -> bytes:
        frames = b"".join(map(self._encoder.encode, self._waiting))
        self._waiting.clear()
        return frames

    def _encode_rest(self) -> bytes:
        finish = self._waiting.pop()
        frames = self._encode_waiting()
        if self.usage is not None:
            self._encoder.encode(UsageReported(self.usage))
        return frames + self._encoder.encode(finish) + self._encoder.close()
