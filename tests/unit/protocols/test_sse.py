"""Where frames end and what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.protocols.sse import frame_data, frames_end, split_frames


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"data: x", 0),
        (b"data: x\n", 0),
        (b"data: x\n\n", 9),
        (b"data: x\n\ndata", 9),
        (b"data: x\r\n", 0),
        (b"data: x\r\n\r", 0),
        (b"data: x\r\n\r\n", 11),
        (b"data: x\r\r", 9),
        (b"data: x\r", 0),
        (b"data: x\r\n\r\ndata: y\n\n", 20),
    ],
)
def test_a_blank_line_ends_a_frame(data: bytes, end: int) -> None:
    assert frames_end(data) == end


@given(st.lists(st.sampled_from([b"data: x", b":c", b"\n", b"\r", b"\r\n", b"\n\n"]), max_size=12).map(b"".join))
def test_frames_joined_are_the_data(data: bytes) -> None:
    complete = data[: frames_end(data)]
    assert b"".join(split_frames(complete)) == complete


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data\n\n", b""),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\r\ndata: b\r\n\r\n", b"a\nb"),
        (b"event: e\rdata: a\r\r", b"a"),
        (b"\xef\xbb\xbfdata: x\n\n", b"x"),
        (b": comment\n\n", None),
        (b"id: 1\nretry: 5\n\n", None),
        (b"database: x\n\n", None),
        (b"\n\n", None),
    ],
)
def test_data_lines_are_joined(frame: bytes, data: bytes | None) -> None:
    assert frame_data(frame) == data
