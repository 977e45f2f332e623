"""When a client counts an answer as ended: the line between what must be charged and what may be."""

from __future__ import annotations

import json

import pytest

from lumen.protocols.dialects import Dialect
from simulator.app import Simulator
from simulator.http import Request
from tests.load.answers import read_single, read_stream
from tests.load.calls import Call, make_call, stream_of_frames

DIALECTS = [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES]
INPUT_NAMES = {Dialect.OPENAI_CHAT: "prompt_tokens"}


def body_of(call: Call) -> bytes:
    """What the simulator answers, without HTTP's framing."""
    request = Request("POST", call.upstream_path, "", dict(call.headers("key")), call.body)
    raw = b"".join(Simulator().handle(request).pieces).partition(b"\r\n\r\n")[2]
    if not call.is_stream:
        return raw
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        body, raw = body + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
    return body


@pytest.mark.parametrize("dialect", DIALECTS)
def test_stream_is_complete_with_its_last_frame_and_not_a_byte_sooner(dialect: Dialect) -> None:
    body = body_of(make_call(dialect, is_stream=True, script="tokens=3 input=11"))
    whole = read_stream(dialect, body)
    assert whole.is_complete
    assert whole.usage[INPUT_NAMES.get(dialect, "input_tokens")] == 11
    assert not any(read_stream(dialect, body[:end]).is_complete for end in range(len(body)))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_single_is_complete_only_as_a_whole(dialect: Dialect) -> None:
    body = body_of(make_call(dialect, is_stream=False, script="tokens=3 input=11"))
    whole = read_single(body)
    assert whole.is_complete
    assert whole.usage[INPUT_NAMES.get(dialect, "input_tokens")] == 11
    assert not any(read_single(body[:end]).is_complete for end in range(len(body)))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reported_error_is_no_end(dialect: Dialect) -> None:
    answer = read_stream(dialect, body_of(make_call(dialect, is_stream=True, script="tokens=9 error_after=4")))
    assert not answer.is_complete
    assert answer.error


def test_error_document_is_no_answer() -> None:
    assert not read_single(json.dumps({"error": {"message": "no"}}).encode()).is_complete


@pytest.mark.parametrize("dialect", DIALECTS)
def test_frames_are_as_many_as_asked_for(dialect: Dialect) -> None:
    assert read_stream(dialect, body_of(stream_of_frames(dialect, 50, 0))).frames == 50
