"""Only what has to change changes; every other value goes out byte for byte."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.protocols.dialects import Dialect
from lumen.protocols.passthrough import rewrite
from lumen.protocols.peek import peek

CHAT, RESPONSES, ANTHROPIC = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES
OURS = {"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens", "n"}

# Values as raw JSON, some of which no decoder and encoder would give back unchanged.
VALUES = st.sampled_from(
    [
        "1",
        "-0.0",
        "1.50",
        "1E400",
        "123456789012345678901234567890",
        "null",
        "true",
        '"\\u00e9\\/"',
        '"é 😀"',
        "[ 1 ,2 ]",
        *['{"b":1, "a":{"$schema":"x"},"b":2}', '""', "{ }", '"\\"model\\":"'],
    ]
)
NAMES = st.text(st.sampled_from('abcde_"\\é'), min_size=1, max_size=6).filter(lambda name: name not in OURS)
SPACE = st.sampled_from(["", " ", "\n", "\t \r\n"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Dialect, bytes, dict[str, bytes]]:
    """(dialect, body, its foreign members' raw values)"""
    dialect = draw(st.sampled_from([CHAT, RESPONSES, ANTHROPIC]))
    prompt = "input" if dialect is RESPONSES else "messages"
    members = {json.dumps(name): value for name, value in draw(st.dictionaries(NAMES, VALUES, max_size=5)).items()}
    members |= {'"model"': '"m"', f'"{prompt}"': '[ {"role":"user" ,"content":"\\u0041"} ]', '"max_tokens"': "77"}
    if (stream := draw(st.sampled_from([None, "true", "false", "null"]))) is not None:
        members['"stream"'] = stream
    if dialect is CHAT and draw(st.booleans()):
        members['"stream_options"'] = draw(st.sampled_from(['{"x":1}', '{"include_usage": true}', "null"]))
    items = draw(st.permutations(list(members.items())))
    parts = [f"{draw(SPACE)}{name}{draw(SPACE)}:{draw(SPACE)}{value}{draw(SPACE)}" for name, value in items]
    foreign = {json.loads(name): value.encode() for name, value in items if json.loads(name) not in OURS}
    return dialect, f"{draw(SPACE)}{{{','.join(parts)}}}{draw(SPACE)}".encode(), foreign


def raw_members(body: bytes) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


@given(bodies(), st.sampled_from(["m", "other"]), st.booleans())
def test_foreign_members_keep_their_bytes(
    drawn: tuple[Dialect, bytes, dict[str, bytes]], model: str, stream: bool
) -> None:
    dialect, body, foreign = drawn
    out = raw_members(rewrite(peek(dialect, body), body, model=model, stream=stream))
    assert {name: out[name] for name in foreign} == foreign
    assert json.loads(out["model"]) == model
    assert out["stream"] == (b"true" if stream else b"false")
    assert set(out) - set(foreign) <= OURS
    if dialect is CHAT and stream:
        assert json.loads(out["stream_options"])["include_usage"] is True


@given(bodies())
def test_the_body_itself_comes_back_when_nothing_changes(drawn: tuple[Dialect, bytes, dict[str, bytes]]) -> None:
    dialect, body, _ = drawn
    once = rewrite(peek(dialect, body), body, model="m", stream=True)
    assert rewrite(peek(dialect, once), once, model="m", stream=True) is once
    found = peek(dialect, body)
    if found.stream is True and (dialect is not CHAT or found.include_usage is True):
        assert once is body


def edit(dialect: Dialect, members: dict[str, Any], **options: Any) -> dict[str, Any]:
    minimal = {"model": "m", "messages": [], "input": "x", "max_tokens": 100}
    if dialect is not ANTHROPIC:
        del minimal["max_tokens"]
    body = json.dumps({**minimal, **members}).encode()
    decoded: dict[str, Any] = json.loads(
        rewrite(peek(dialect, body), body, **{"model": "m", "stream": False, **options})
    )
    return decoded


def test_other_stream_options_are_kept() -> None:
    options = edit(CHAT, {"stream_options": {"include_obfuscation": False, "include_usage": False}}, stream=True)
    assert options["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_stream_options_are_dropped_from_a_single_answer() -> None:
    assert edit(CHAT, {"stream_options": {"include_usage": True}}, stream=False)["stream_options"] is None


def test_only_chat_gets_the_usage_option() -> None:
    assert "stream_options" not in edit(RESPONSES, {}, stream=True)
    assert "stream_options" not in edit(ANTHROPIC, {}, stream=True)


@pytest.mark.parametrize(
    ("dialect", "members", "expected"),
    [
        (CHAT, {}, {"max_completion_tokens": 7}),
        (CHAT, {"max_tokens": 100}, {"max_tokens": 7}),
        (CHAT, {"max_tokens": 100, "max_completion_tokens": 50}, {"max_tokens": 7, "max_completion_tokens": 7}),
        (CHAT, {"max_tokens": None}, {"max_completion_tokens": 7}),
        (RESPONSES, {}, {"max_output_tokens": 7}),
        (ANTHROPIC, {}, {"max_tokens": 7}),
    ],
)
def test_an_output_cap_goes_where_the_client_put_its_own(
    dialect: Dialect, members: dict[str, Any], expected: dict[str, int]
) -> None:
    out = edit(dialect, members, output_cap=7)
    assert {name: out[name] for name in expected} == expected


def test_an_output_cap_only_ever_lowers() -> None:
    out = edit(CHAT, {"max_tokens": 100, "max_completion_tokens": 50}, output_cap=70)
    assert (out["max_tokens"], out["max_completion_tokens"]) == (70, 50)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"dear","model":"m","stream":true,"max_tokens":1,"messages":[]}',
        b'{"model":"m","stream":true,"max_tokens":1,"messages":[],"max_tokens":1}',
        b'{"model":"m","stream":true,"max_tokens":1,"messages":[],"mod\\u0065l":"m"}',
        b'{"stream":true,"max_tokens":1,"messages":[],"model":"m","x":1,"x":11}',
    ],
)
def test_a_repeated_member_goes_out_once_as_it_was_read(body: bytes) -> None:
    out = rewrite(peek(ANTHROPIC, body), body, model="m", stream=True)
    pairs: list[tuple[str, Any]] = json.loads(out, object_pairs_hook=lambda found: found)
    assert len(pairs) == len({name for name, _ in pairs})
    assert dict(pairs)["model"] == "m"


def test_the_model_is_encoded_as_json() -> None:
    assert edit(CHAT, {}, model='a"b/ü')["model"] == 'a"b/ü'
