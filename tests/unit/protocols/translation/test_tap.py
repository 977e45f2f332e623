"""The translating tap: what goes out, what waits, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumen.money.usage import TokenUsage
from lumen.protocols.dialects import Dialect
from lumen.protocols.translating_tap import TranslatingTap
from tests.unit.protocols.frames import payloads
from tests.unit.protocols.translation import answers
from tests.unit.protocols.translation.answers import CLIENTS, run

PAIRS = [(upstream, client) for upstream in Dialect for client in CLIENTS]
by_pair = pytest.mark.parametrize(("upstream", "client"), PAIRS, ids=map("-".join, PAIRS))

ERRORS = {
    Dialect.OPENAI_CHAT: {"error": {"message": "no luck", "type": "server_error", "code": "x"}},
    Dialect.OPENAI_RESPONSES: {"type": "error", "sequence_number": 9, "code": "server_error", "message": "no luck"},
    Dialect.ANTHROPIC_MESSAGES: {"type": "error", "error": {"type": "overloaded_error", "message": "no luck"}},
    Dialect.GEMINI_GENERATE: {"error": {"code": 503, "message": "no luck", "status": "UNAVAILABLE"}},
}
FINISHES = ("finish_reason", "message_delta", "message_stop", "response.completed", "[DONE]")


def has_finish(data: bytes) -> bool:
    return any(
        payload == "[DONE]"
        or payload.get("type") in FINISHES
        or any(choice.get("finish_reason") for choice in payload.get("choices", ()))
        for payload in payloads(data)
    )


def error_frame(upstream: Dialect) -> bytes:
    return answers.frame(upstream, ERRORS[upstream])


@by_pair
def test_the_finish_waits_until_it_is_asked_for(upstream: Dialect, client: Dialect) -> None:
    tap, relayed = run(upstream, client, answers.stream(upstream, "text"))
    assert not has_finish(relayed)
    assert has_finish(tap.held)
    assert tap.held == tap.held
    assert b"Hel" in relayed
    assert tap.relayed_bytes == len(relayed)


@by_pair
def test_what_the_tap_knows_of_an_answer(upstream: Dialect, client: Dialect) -> None:
    tap, _ = run(upstream, client, answers.stream(upstream, "text"))
    assert (tap.is_complete, tap.is_ended, tap.error, tap.anomalies) == (True, True, None, 0)
    assert tap.finish_reason in ("stop", "end_turn", "completed", "STOP")
    assert tap.provider_response_id in ("chatcmpl-1", "msg_01", "resp_1", "r1")
    assert tap.output_bytes == len("Hello.")
    assert tap.usage is not None
    assert (tap.usage.prompt_tokens(), tap.usage.output) == (15, 20)


@by_pair
def test_every_read_of_one_frame_gives_whole_frames(upstream: Dialect, client: Dialect) -> None:
    tap = answers.tap(upstream, client)
    for frame in answers.stream(upstream, "text"):
        out = tap.feed(frame)
        assert out == b"" or out.endswith(b"\n\n")


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_frames(data: st.DataObject) -> None:
    upstream, behaviour = data.draw(st.sampled_from(answers.answer_cases()))
    client = data.draw(st.sampled_from(CLIENTS))
    stream = b"".join(answers.stream(upstream, behaviour))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=20)))
    reads = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    tap, relayed = run(upstream, client, reads)
    assert relayed + tap.held == answers.client_stream(upstream, behaviour, client)


@by_pair
def test_an_error_that_comes_first_lets_nothing_out(upstream: Dialect, client: Dialect) -> None:
    tap, relayed = run(upstream, client, [error_frame(upstream)])
    assert (relayed, tap.held, tap.relayed_bytes, tap.next_sequence) == (b"", b"", 0, None)
    assert tap.is_ended
    assert not tap.is_complete
    assert tap.error is not None
    assert tap.error.said.message == "no luck"


@by_pair
def test_an_error_right_after_the_start_lets_nothing_out(upstream: Dialect, client: Dialect) -> None:
    start = answers.stream(upstream, "text")[0]
    if upstream is Dialect.GEMINI_GENERATE:
        start = answers.frame(upstream, {"responseId": "r1", "modelVersion": "gemini-x"})
    for reads in ([start, error_frame(upstream)], [start + error_frame(upstream)]):
        tap, relayed = run(upstream, client, reads)
        assert (relayed, tap.held) == (b"", b"")
        assert tap.error is not None


@by_pair
def test_an_error_after_text_ends_the_stream_without_a_finish(upstream: Dialect, client: Dialect) -> None:
    frames = answers.stream(upstream, "text")
    middle = next(number for number, frame in enumerate(frames) if b'"Hel"' in frame) + 1
    tap, relayed = run(upstream, client, [*frames[:middle], error_frame(upstream), *frames[middle:]])
    assert b"Hel" in relayed
    assert b"lo." not in relayed
    assert not has_finish(relayed)
    assert (tap.held, tap.is_complete) == (b"", False)
    assert tap.error is not None
    sequences = [payload["sequence_number"] for payload in payloads(relayed) if "sequence_number" in payload]
    assert tap.next_sequence == (sequences[-1] + 1 if client is Dialect.OPENAI_RESPONSES else None)


@by_pair
def test_a_cut_stream_has_no_finish(upstream: Dialect, client: Dialect) -> None:
    frames = answers.stream(upstream, "text")
    for count in range(len(frames)):
        tap, relayed = run(upstream, client, frames[:count])
        assert not has_finish(relayed)
        if not tap.is_complete:
            assert (tap.error, tap.held) == (None, b"")
    tap, _ = run(upstream, client, frames[:2])
    assert not tap.is_complete


@by_pair
def test_lumens_figures_stand_in_where_the_provider_reported_none(upstream: Dialect, client: Dialect) -> None:
    tap, _ = run(upstream, client, answers.stream(upstream, "text"))
    tap.supply_usage(TokenUsage(input=1234, output=4321))
    assert b"1234" in tap.held
    assert b"4321" in tap.held


@by_pair
def test_nothing_is_read_after_the_end(upstream: Dialect, client: Dialect) -> None:
    tap = answers.tap(upstream, client)
    tap.feed(error_frame(upstream))
    assert tap.feed(b"".join(answers.stream(upstream, "text"))) == b""


def test_an_empty_stream_is_cut() -> None:
    tap, relayed = run(Dialect.GEMINI_GENERATE, Dialect.OPENAI_CHAT, [])
    assert (relayed, tap.held, tap.error, tap.is_ended, tap.is_complete) == (b"", b"", None, True, False)


def test_text_is_counted_in_bytes() -> None:
    tap: TranslatingTap = answers.tap(Dialect.GEMINI_GENERATE, Dialect.OPENAI_CHAT)
    tap.feed(answers.frame(Dialect.GEMINI_GENERATE, {"candidates": [{"content": {"parts": [{"text": "日本"}]}}]}))
    assert tap.output_bytes == 6
