"""What every dialect's decoders and encoders look like, and what they are given.

A decoder of an upstream never raises for what the provider sent, but UpstreamProtocolError where nothing can be made of
it; an encoder of a request raises Unsupported for what its dialect cannot say and that must not be left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lumen.protocols.canonical.events import Event
from lumen.protocols.canonical.request import Request


class LossAction(StrEnum):
    REFUSED = "refused"  # 400: leaving it out would change what the client gets
    DROPPED = "dropped"  # a hint: left out, counted and listed in `x-lumen-dropped`
    ADAPTED = "adapted"  # said in another way that comes close


@dataclass(frozen=True, slots=True)
class Loss:
    """A row of a dialect's table: what it cannot carry. `note` is for people (docs/protocol-losses.md)."""

    action: LossAction
    note: str


class Unsupported(Exception):
    """The upstream's dialect cannot express what the client asked for: a 400."""

    def __init__(self, feature: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.feature = feature  # a key of the dialect's LOSSES
        self.message = message
        self.param = param


@dataclass(slots=True)
class Target:
    """Whom a request is encoded for, and what was lost on the way.

    `issuer`: the vendor of the model, the only one whose seals may be sent. `max_output_tokens`: the catalog's, for
    dialects that need a cap where the client gave none. `output_cap`: a strict hold's, which lowers the client's.
    """

    model: str  # the channel's name
    issuer: str
    is_stream: bool
    max_output_tokens: int
    output_cap: int | None = None
    dropped: list[str] = field(default_factory=list)

    def drop(self, feature: str) -> None:
        """Note a loss that the dialect's LOSSES declares as dropped."""
        if feature not in self.dropped:
            self.dropped.append(feature)

    def cap(self, asked: int | None) -> int | None:
        """The output cap to send: the client's, no more than a strict hold's."""
        if self.output_cap is None:
            return asked
        return self.output_cap if asked is None else min(asked, self.output_cap)


@dataclass(frozen=True, slots=True)
class Reply:
    """Whom an answer is encoded for. `new_id()` gives a fresh random token of 24 hex digits; prefixes are the
    dialect's. `request` is the client's, which Responses echoes and which says what kind its tools are."""

    request: Request
    model: str  # as the client named it
    created_s: int  # Unix
    new_id: Callable[[], str]
    include_usage: bool = True


class StreamDecoder(Protocol):
    """An upstream's bytes -> events, however they are split. `anomalies` counts what broke the dialect's rules."""

    @property
    def anomalies(self) -> int: ...

    def feed(self, data: bytes) -> list[Event]:
        """Raises UpstreamProtocolError when a frame grows beyond the limit."""
        ...

    def close(self) -> list[Event]:
        """The stream is over. Ends it with ResponseFinished or StreamFailed if it has not ended."""
        ...


class StreamEncoder(Protocol):
    """Events -> a client's bytes, whole frames only. UsageReported may write nothing until the end.

    StreamFailed is never encoded: the caller writes the dialect's error frame (`errors.encode_stream_error`), for
    which Responses needs `next_sequence`.
    """

    def encode(self, event: Event) -> bytes: ...

    def close(self) -> bytes:
        """After ResponseFinished was encoded: the terminator, b"" where the dialect has none."""
        ...

    @property
    def next_sequence(self) -> int | None: ...
