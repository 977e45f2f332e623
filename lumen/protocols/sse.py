"""Server-sent events as bytes: where a frame ends, and what it says.

Lines end with LF, CRLF or CR, and with nothing else: U+2028, U+0085 or a vertical tab inside a line are text. A blank
line ends a frame. https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re

# Two line ends in a row. After a CRLF or LF a CR at the very end is taken for half of a CRLF whose LF is still to come;
# after a CR it is the blank line of a stream that ends its lines so, which must not wait.
_FRAME_END = re.compile(rb"(?:\r\n|\n)(?:\r\n|\n|\r(?=[^\n]))|\r(?:\r\n|\r)")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


def frames_end(data: bytes | bytearray, start: int = 0) -> int:
    """Position after the last frame that is complete in `data`; 0 when none is. `start`: nothing ends before it."""
    if data.endswith(b"\n\n"):
        return len(data)
    if data.find(b"\r", start) < 0:
        position = data.rfind(b"\n\n", start)
        return 0 if position < 0 else position + 2
    end = 0
    for match in _FRAME_END.finditer(data, start):
        end = match.end()
    return end


def split_frames(data: bytes) -> list[bytes]:
    """Frames, each with its blank line, that joined give `data` again. `data` ends where a frame ends."""
    if b"\r" not in data:
        frames = [frame + b"\n\n" for frame in data.split(b"\n\n")]
        rest = frames.pop()[:-2]
        return [*frames, rest] if rest else frames
    frames = []
    start = 0
    for match in _FRAME_END.finditer(data):
        frames.append(data[start : match.end()])
        start = match.end()
    return [*frames, data[start:]] if start < len(data) else frames


def frame_data(frame: bytes) -> bytes | None:
    """The event's data, its lines joined by LF; None for a frame that has none (comments, retry, id)."""
    lines = _LINE_END.split(frame) if b"\r" in frame else frame.split(b"\n")
    lines[0] = lines[0].removeprefix(_BOM)
    values = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(values) if values else None
