"""What holds for every dialect's stream, whatever the reads look like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumen.money.usage import TokenUsage
from lumen.protocols.dialects import Dialect
from lumen.protocols.stream_tap import UpstreamProtocolError
from tests.unit.protocols.frames import (
    FRAMES_BEFORE_FINISH,
    STREAMS,
    run,
    sse,
    tap_for,
    text_delta,
)

DIALECTS = list(STREAMS)
LINE_ENDS = [b"\n", b"\r\n", b"\r"]

by_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@by_dialect
def test_frames_pass_verbatim_until_the_finish_and_wait_from_then_on(dialect: Dialect) -> None:
    frames = STREAMS[dialect]
    before = FRAMES_BEFORE_FINISH[dialect]
    tap = tap_for(dialect)
    assert [tap.feed(frame) for frame in frames] == frames[:before] + [b""] * (len(frames) - before)
    tap.close()
    assert tap.held == b"".join(frames[before:])
    assert tap.is_complete
    assert tap.is_ended
    assert tap.error is None
    assert tap.anomalies == 0
    assert tap.usage is not None
    assert tap.usage.output == 5
    assert tap.usage.prompt_tokens() == 12
    assert tap.finish_reason in ("stop", "end_turn", "completed")
    assert tap.provider_response_id in ("chatcmpl-1", "msg_1", "resp_1")


@by_dialect
def test_a_whole_stream_in_one_read_is_split_at_the_finish(dialect: Dialect) -> None:
    frames = STREAMS[dialect]
    tap, relayed = run(dialect, [b"".join(frames)])
    assert relayed == b"".join(frames[: FRAMES_BEFORE_FINISH[dialect]])
    assert relayed + tap.held == b"".join(frames)


@pytest.mark.parametrize("line_end", LINE_ENDS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_stream(line_end: bytes, data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(DIALECTS))
    stream = (b": keepalive\n\n" + b"".join(STREAMS[dialect])).replace(b"\n", line_end)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=30)))
    reads = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, relayed_whole = run(dialect, [stream])
    tap, relayed = run(dialect, reads)
    assert relayed + tap.held == stream
    assert relayed == relayed_whole
    assert (tap.usage, tap.finish_reason, tap.is_complete) == (whole.usage, whole.finish_reason, True)
    assert tap.anomalies == 0


@by_dialect
@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_every_single_byte_as_its_own_read(dialect: Dialect, line_end: bytes) -> None:
    stream = b"".join(STREAMS[dialect]).replace(b"\n", line_end)
    tap, relayed = run(dialect, [bytes([byte]) for byte in stream])
    assert relayed + tap.held == stream
    assert tap.is_complete


@by_dialect
def test_a_stream_cut_after_any_frame_before_its_end_is_not_complete(dialect: Dialect) -> None:
    frames = STREAMS[dialect]
    for count in range(FRAMES_BEFORE_FINISH[dialect] + 1):
        tap, relayed = run(dialect, frames[:count])
        assert not tap.is_complete
        assert relayed == b"".join(frames[:count])
        assert tap.held == b""


@by_dialect
def test_a_frame_cut_in_its_middle_is_neither_relayed_nor_believed(dialect: Dialect) -> None:
    frames = STREAMS[dialect]
    finish = frames[FRAMES_BEFORE_FINISH[dialect]]
    tap, _ = run(dialect, [*frames[: FRAMES_BEFORE_FINISH[dialect]], finish[: len(finish) // 2]])
    assert not tap.is_complete
    assert tap.held == b""
    assert tap.finish_reason is None


@by_dialect
@pytest.mark.parametrize("missing", [1, 2])
def test_the_last_blank_line_may_be_missing(dialect: Dialect, missing: int) -> None:
    frames = STREAMS[dialect]
    tap, relayed = run(dialect, [*frames[:-1], frames[-1][:-missing]])
    assert tap.is_complete
    assert relayed + tap.held == b"".join(frames)


@by_dialect
def test_frames_without_space_after_the_colon_and_with_other_fields(dialect: Dialect) -> None:
    stream = b"".join(STREAMS[dialect]).replace(b"data: ", b"id: 7\nretry: 10\ndata:")
    tap, relayed = run(dialect, [stream])
    assert relayed + tap.held == stream
    assert tap.usage is not None
    assert tap.usage.output == 5


@by_dialect
def test_event_lines_may_be_missing(dialect: Dialect) -> None:
    lines = b"".join(STREAMS[dialect]).split(b"\n")
    stream = b"\n".join(line for line in lines if not line.startswith(b"event:"))
    tap, _ = run(dialect, [stream])
    assert tap.is_complete


@by_dialect
def test_data_over_several_lines_is_joined(dialect: Dialect) -> None:
    stream = b"".join(STREAMS[dialect]).replace(b',"', b',\ndata: "')
    tap, relayed = run(dialect, [stream])
    assert relayed + tap.held == stream
    assert tap.is_complete
    assert tap.usage is not None
    assert tap.usage.output == 5


@by_dialect
def test_a_byte_order_mark_is_no_part_of_the_first_event(dialect: Dialect) -> None:
    stream = b"\xef\xbb\xbf" + b"".join(STREAMS[dialect])
    tap, relayed = run(dialect, [stream])
    assert relayed + tap.held == stream
    assert tap.anomalies == 0
    assert tap.provider_response_id is not None


@by_dialect
def test_comments_are_relayed_between_frames_and_held_after_the_finish(dialect: Dialect) -> None:
    frames = STREAMS[dialect]
    comment = b": still there\n\n"
    stream = b"".join(comment + frame for frame in frames)
    tap, relayed = run(dialect, [comment + frame for frame in frames])
    assert relayed.count(comment) >= FRAMES_BEFORE_FINISH[dialect]
    assert relayed.count(comment) + tap.held.count(comment) == len(frames)
    assert len(relayed + tap.held) == len(stream)
    assert tap.usage is not None


@by_dialect
def test_comments_before_the_first_event_wait_for_it(dialect: Dialect) -> None:
    tap = tap_for(dialect)
    assert tap.feed(b": PROCESSING\n\n") == b""
    first = STREAMS[dialect][0]
    assert tap.feed(first) == b": PROCESSING\n\n" + first


@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb", "a\x0cb", "😀", "\x1c\x1d\x1e"])
def test_unicode_separators_end_no_line(text: str) -> None:
    raw = text if text >= " " and "\x0b" not in text and "\x0c" not in text else "a\x85b"
    frame = (
        f'event: content_block_delta\ndata: {{"type":"content_block_delta","delta":{{"text":"{raw}"}}}}\n\n'.encode()
    )
    frames = STREAMS[Dialect.ANTHROPIC_MESSAGES]
    stream = [frames[0], frame, *frames[1:]]
    tap, relayed = run(Dialect.ANTHROPIC_MESSAGES, stream)
    assert frame in relayed
    assert tap.anomalies == 0


def test_utf8_split_between_reads_is_put_together() -> None:
    frame = text_delta("x").replace(b'"x"', '"grüß 😀"'.encode())
    position = frame.index("😀".encode()) + 2
    tap = tap_for(Dialect.ANTHROPIC_MESSAGES)
    tap.feed(STREAMS[Dialect.ANTHROPIC_MESSAGES][0])
    assert tap.feed(frame[:position]) == b""
    assert tap.feed(frame[position:]) == frame


def test_a_single_delta_of_300_kb_in_small_reads() -> None:
    frame = text_delta("x" * 300_000)
    start, *rest = STREAMS[Dialect.ANTHROPIC_MESSAGES]
    reads = [start, *(frame[i : i + 1400] for i in range(0, len(frame), 1400)), *rest]
    tap, relayed = run(Dialect.ANTHROPIC_MESSAGES, reads)
    assert frame in relayed
    assert tap.is_complete


def test_1500_deltas_in_one_read() -> None:
    deltas = [text_delta(f"word {number}") for number in range(1500)]
    start, *rest = STREAMS[Dialect.ANTHROPIC_MESSAGES]
    tap, relayed = run(Dialect.ANTHROPIC_MESSAGES, [b"".join([start, *deltas, *rest])])
    assert relayed.count(b"text_delta") == 1502
    assert tap.is_complete


@by_dialect
def test_unknown_events_and_garbage_are_passed_on(dialect: Dialect) -> None:
    first, *rest = STREAMS[dialect]
    odd = [sse({"type": "something.new", "big": 2**70}, "something.new"), b"data: <html>garbage\n\n", b"data\n\n"]
    tap, relayed = run(dialect, [first, *odd, *rest])
    assert b"".join(odd) in relayed
    assert tap.is_complete


@by_dialect
def test_garbage_that_looks_decisive_is_passed_on_and_counted(dialect: Dialect) -> None:
    first, *rest = STREAMS[dialect]
    garbage = b'data: {"error" "message_delta" "finish_reason" "response"\n\n'
    tap, relayed = run(dialect, [first, garbage, *rest])
    assert garbage in relayed
    assert tap.anomalies == 1
    assert tap.is_complete


@by_dialect
def test_text_that_quotes_the_protocol_changes_nothing(dialect: Dialect) -> None:
    quoted = '{"finish_reason":"stop","type":"message_stop","usage":{"output_tokens":999},"error":{"message":"x"}}'
    say = {
        Dialect.OPENAI_CHAT: lambda text: sse(
            {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        ),
        Dialect.OPENAI_RESPONSES: lambda text: sse({"type": "response.output_text.delta", "delta": text}),
        Dialect.ANTHROPIC_MESSAGES: text_delta,
    }[dialect]
    exact = ["finish_reason", "usage", "error", "message_stop", "response", "[DONE]", "response.completed"]
    odd = [say(text) for text in (quoted, *exact)]
    first, *rest = STREAMS[dialect]
    tap, relayed = run(dialect, [first, *odd, *rest])
    assert b"".join(odd) in relayed
    assert tap.is_complete
    assert tap.anomalies == 0
    assert tap.usage is not None
    assert tap.usage.output == 5


@by_dialect
def test_an_error_as_the_first_event_lets_nothing_out(dialect: Dialect) -> None:
    error = sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
    tap = tap_for(dialect)
    assert tap.feed(b": hello\n\n" + error + STREAMS[dialect][0]) == b""
    assert tap.error is not None
    assert tap.error.said.message == "Overloaded"
    assert tap.feed(STREAMS[dialect][0]) == b""
    tap.close()
    assert not tap.is_complete
    assert tap.held == b""


@by_dialect
def test_an_error_after_text_lets_the_text_out_and_nothing_else(dialect: Dialect) -> None:
    first, second, *rest = STREAMS[dialect]
    error = sse({"type": "error", "error": {"type": "api_error", "message": "it broke"}}, "error")
    tap = tap_for(dialect)
    assert tap.feed(first) == first
    assert tap.feed(second + error + rest[0]) == second
    assert tap.feed(b"".join(rest)) == b""
    tap.close()
    assert tap.error is not None
    assert not tap.is_complete
    assert tap.held == b""
    assert tap.is_ended


@by_dialect
def test_an_unfinished_frame_is_limited(dialect: Dialect) -> None:
    tap = tap_for(dialect, frame_bytes_max=1000)
    tap.feed(STREAMS[dialect][0])
    assert tap.feed(b"data: " + b"x" * 900) == b""
    with pytest.raises(UpstreamProtocolError):
        tap.feed(b"x" * 100)


@by_dialect
def test_held_frames_are_limited(dialect: Dialect) -> None:
    tap = tap_for(dialect, held_bytes_max=2000)
    for frame in STREAMS[dialect]:
        tap.feed(frame)
    with pytest.raises(UpstreamProtocolError):
        tap.feed(b": comment\n\n" * 200)


@by_dialect
def test_an_empty_stream_is_not_complete(dialect: Dialect) -> None:
    tap, relayed = run(dialect, [])
    assert (relayed, tap.held, tap.is_complete, tap.usage, tap.output_bytes) == (b"", b"", False, None, 0)


@by_dialect
def test_output_bytes_measure_the_text_and_not_the_frames(dialect: Dialect) -> None:
    tap, _ = run(dialect, STREAMS[dialect])
    assert tap.output_bytes == len("Hello")


@by_dialect
def test_output_bytes_of_a_long_stream_are_extrapolated(dialect: Dialect) -> None:
    first, *frames = STREAMS[dialect]
    delta = next(frame for frame in frames if b'"Hel"' in frame)
    tap, relayed = run(dialect, [first, *[delta] * 2000])
    assert tap.relayed_bytes == len(relayed)
    assert tap.output_bytes == pytest.approx(6000, rel=0.05)


def test_usage_is_none_until_it_is_reported() -> None:
    tap = tap_for(Dialect.ANTHROPIC_MESSAGES)
    assert tap.usage is None
    tap.feed(STREAMS[Dialect.ANTHROPIC_MESSAGES][0])
    assert tap.usage == TokenUsage(input=12)  # its output is a placeholder
