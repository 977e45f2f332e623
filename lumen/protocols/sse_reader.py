"""Bytes as they come off the network -> the data of each complete server-sent event."""

from __future__ import annotations

import msgspec

from lumen.protocols.sse import frame_data, frames_end, split_frames
from lumen.protocols.stream_reader import UpstreamProtocolError

FRAME_BYTES_MAX = 16 * 1024 * 1024
# CR LF CR LF
_FRAME_END_BYTES_MAX = 4


class SseReader:
    """`feed` gives whole events only, however the bytes are split; comments and events without data are left out."""

    __slots__ = ("_frame_bytes_max", "_unfinished")

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._unfinished = bytearray()

    @property
    def has_unfinished(self) -> bool:
        return bool(self._unfinished)

    def feed(self, data: bytes) -> list[bytes]:
        """Raises UpstreamProtocolError when an event grows beyond the limit."""
        if not self._unfinished:
            said = _only_line(data)
            if said is not None:
                return [said]
        complete = self.complete_frames(data)
        if not complete:
            return []
        return [said for frame in split_frames(complete) if (said := frame_data(frame)) is not None]

    def close(self) -> list[bytes]:
        """A last event without its blank line counts, unless it was cut in the middle."""
        rest = self.unfinished_frame()
        said = frame_data(rest) if rest else None
        return [] if said is None else [said]

    def complete_frames(self, data: bytes) -> bytes:
        """The complete frames of what came so far, verbatim; the rest waits."""
        unfinished = self._unfinished
        if not unfinished:
            end = frames_end(data)
            if end == len(data):
                return data
            unfinished += data[end:]
            complete = data[:end]
        else:
            start = max(0, len(unfinished) - _FRAME_END_BYTES_MAX + 1)
            unfinished += data
            end = frames_end(unfinished, start)
            complete = bytes(unfinished[:end])
            del unfinished[:end]
        if len(unfinished) > self._frame_bytes_max:
            raise UpstreamProtocolError(f"a frame is larger than {self._frame_bytes_max} bytes")
        return complete

    def unfinished_frame(self) -> bytes:
        """What is left at the end of the stream, without its line ends; b"" unless its data is whole."""
        rest = bytes(self._unfinished).rstrip(b"\r\n")
        self._unfinished.clear()
        data = frame_data(rest)
        return rest if data is not None and _is_whole(data) else b""


def _only_line(data: bytes) -> bytes | None:
    """What most reads are: one event of one line of data, perhaps with its name before. None for anything else.

    By searches: a regular expression for the same costs twice as much, on every delta.
    """
    if not data.endswith(b"\n\n") or b"\r" in data:
        return None
    start = data.find(b"\n") + 1 if data.startswith(b"event: ") else 0
    if not data.startswith(b"data: ", start) or data.find(b"\n", start) != len(data) - 2:
        return None
    return data[start + 6 : -2]


def _is_whole(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError:
        return data.strip() == b"[DONE]"
    return True
