"""Whatever JSON comes: decoders of providers never raise but as they may, and clients get a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumen.protocols.canonical.events import ResponseFinished, StreamFailed
from lumen.protocols.canonical.response import fold
from lumen.protocols.codec import Unsupported
from lumen.protocols.openai_chat.request_decoder import decode_request
from lumen.protocols.openai_chat.request_encoder import encode_request
from lumen.protocols.openai_chat.response_decoder import decode_response
from lumen.protocols.openai_chat.response_encoder import encode_response
from lumen.protocols.request_fields import InvalidRequest
from lumen.protocols.stream_reader import UpstreamProtocolError
from tests.unit.protocols.frames import DONE, sse
from tests.unit.protocols.grammar import assert_grammatical
from tests.unit.protocols.openai_chat.wire import decode_stream, encode_stream, reply, target

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.just(2**70), st.just(0.5), st.text(max_size=3)
)


def odd(*members: tuple[str, st.SearchStrategy[Any]], optional: bool = True) -> st.SearchStrategy[Any]:
    """Mostly an object with some of the members, sometimes anything else."""
    given = {name: st.one_of(value, SCALARS) for name, value in members}
    one = st.fixed_dictionaries({}, optional=given) if optional else st.fixed_dictionaries(given)
    return st.one_of(one, one, one, SCALARS, st.lists(SCALARS, max_size=2))


TEXT: st.SearchStrategy[Any] = st.text(max_size=4)
NAME = st.sampled_from(["f", "g", "", "a.b"])
ID = st.sampled_from(["call_1", "call_2", ""])
FUNCTION = odd(("name", NAME), ("arguments", TEXT))
CALL = odd(
    ("index", st.integers(0, 2)),
    ("id", ID),
    ("type", st.sampled_from(["function", "custom"])),
    ("function", FUNCTION),
    ("custom", odd(("name", NAME), ("input", TEXT))),
    ("extra_content", odd(("google", odd(("thought_signature", TEXT))))),
)
ANNOTATION = odd(("url_citation", odd(("url", TEXT), ("title", TEXT), ("start_index", st.integers()))))
MESSAGE = odd(
    ("content", st.one_of(TEXT, st.lists(odd(("text", TEXT)), max_size=2))),
    ("reasoning_content", TEXT),
    ("reasoning", TEXT),
    ("refusal", TEXT),
    ("tool_calls", st.lists(CALL, max_size=3)),
    ("function_call", FUNCTION),
    ("annotations", st.lists(ANNOTATION, max_size=2)),
)
USAGE = odd(("prompt_tokens", st.integers(-1, 9)), ("completion_tokens", st.integers(-1, 9)))
FINISH = st.sampled_from([None, "", "stop", "tool_calls", "length", "network_error", "eos"])
ENVELOPE: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("id", TEXT), ("model", TEXT), ("usage", USAGE), ("service_tier", st.sampled_from(["flex", "standard"])),
]  # fmt: skip


def choices(member: str) -> tuple[str, st.SearchStrategy[Any]]:
    choice = odd((member, MESSAGE), ("finish_reason", FINISH), ("index", st.just(0)), ("usage", USAGE))
    return "choices", st.lists(choice, min_size=1, max_size=2)


@settings(max_examples=150, deadline=None)
@given(st.lists(odd(choices("delta"), *ENVELOPE), max_size=6), st.booleans())
def test_any_stream_is_grammatical_and_can_be_shown(payloads: list[Any], has_done: bool) -> None:
    events = decode_stream([*(sse(payload) for payload in payloads), *([DONE] if has_done else [])])
    assert_grammatical(events)
    encode_stream(event for event in events if not isinstance(event, StreamFailed))
    if isinstance(events[-1], ResponseFinished):
        encode_response(fold(events), reply())


@settings(max_examples=150, deadline=None)
@given(odd(choices("message"), *ENVELOPE, optional=False))
def test_any_answer_is_read_or_is_an_error_of_the_provider(payload: Any) -> None:
    try:
        response = decode_response(json.dumps(payload).encode(), "openai")
    except UpstreamProtocolError:
        return
    encode_response(response, reply())


PART = odd(
    ("type", st.sampled_from(["text", "image_url", "input_audio", "file", "refusal", "video_url"])),
    ("text", TEXT),
    ("image_url", odd(("url", st.sampled_from(["https://x", "data:image/png;base64,AA", "data:"])))),
    ("input_audio", odd(("data", TEXT))),
    ("file", odd(("file_data", TEXT), ("file_id", TEXT))),
    ("refusal", TEXT),
)
TURN = odd(
    ("role", st.sampled_from(["system", "user", "assistant", "tool", "function"])),
    ("content", st.one_of(TEXT, st.lists(PART, max_size=2))),
    ("name", NAME),
    ("tool_calls", st.lists(CALL, max_size=2)),
    ("function_call", FUNCTION),
    ("tool_call_id", ID),
    ("reasoning_content", TEXT),
    optional=False,
)
TOOL = odd(
    ("type", st.sampled_from(["function", "custom", "web_search"])),
    ("function", odd(("name", NAME))),
    ("custom", odd(("name", NAME), ("format", odd(("type", TEXT), ("grammar", odd(("syntax", TEXT))))))),
    optional=False,
)
REQUEST = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(TURN, min_size=1, max_size=4)},
    optional={
        "tools": st.lists(TOOL, max_size=2),
        "tool_choice": st.one_of(st.sampled_from(["auto", "required", "none"]), odd(("type", st.just("function")))),
        "functions": st.lists(odd(("name", NAME)), max_size=1),
        "stop": st.one_of(SCALARS, st.lists(SCALARS, max_size=2)),
        "temperature": SCALARS,
        "response_format": odd(("type", st.sampled_from(["text", "json_schema"]))),
        "reasoning_effort": st.sampled_from(["low", "none", "huge", None]),
        "stream_options": odd(("include_usage", st.booleans())),
        "metadata": odd(("a", TEXT)),
    },
)


@settings(max_examples=200, deadline=None)
@given(REQUEST, st.sampled_from(["openai", "google", "deepseek", "qwen", "somebody"]), st.booleans())
def test_any_request_is_refused_or_sent(body: dict[str, Any], issuer: str, is_stream: bool) -> None:
    try:
        said = encode_request(decode_request(body), target(issuer, is_stream=is_stream))
    except (InvalidRequest, Unsupported):
        return
    assert json.loads(said)["messages"] is not None


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"error":"\xff"}', b'{"error":1,"x":"\xff"}', b"\xff\xfe", b"null"])
def test_bytes_that_are_no_chunk_end_nothing_but_their_own_frame(data: bytes) -> None:
    assert_grammatical(decode_stream([b"data: " + data + b"\n\n", DONE]))
    with pytest.raises(UpstreamProtocolError):
        decode_response(data, "openai")
