"""The few parts of HTTP/1.1 that the simulator speaks, as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

_REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 429: b"Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Request:
    """`headers`: lower-case names; a repeated header's values are joined by ", "."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Ending(Enum):
    """How a reply ends once its pieces are written."""

    COMPLETE = auto()
    CUT = auto()  # the connection is closed in the middle of the body
    RESET = auto()  # likewise, with a TCP reset
    HANG = auto()  # nothing more comes, and the connection stays open until the client closes it


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes as they go out, and when. The first piece is the head, alone when `first_frame_s` parts it from the rest.

    `delay_s` lies between the pieces after the head. `answer_tag` is None for what is no provider's answer and
    not counted.
    """

    pieces: tuple[bytes, ...]
    first_byte_s: float = 0.0
    first_frame_s: float = 0.0
    delay_s: float = 0.0
    ending: Ending = Ending.COMPLETE
    answer_tag: str | None = None

    @property
    def is_immediate(self) -> bool:
        return not (self.first_byte_s or self.first_frame_s or self.delay_s)


def encode_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"Error" if status >= 400 else b"OK"))]
    lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def whole_reply(status: int, body: bytes, content_type: str = "application/json") -> Reply:
    head = encode_head(status, [("content-type", content_type), ("content-length", str(len(body)))])
    return Reply((head + body,))


def encode_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def resplit(pieces: Sequence[bytes], size_bytes: int) -> list[bytes]:
    """The same bytes in pieces of `size_bytes`."""
    data = b"".join(pieces)
    return [data[start : start + size_bytes] for start in range(0, len(data), size_bytes)]
