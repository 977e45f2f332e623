"""Which requests pass for Claude Code's, and what of them goes to other vendors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lumen.protocols.canonical.content import Text
from lumen.protocols.claude_code import is_claude_code, without_billing_header
from lumen.protocols.codec import Target
from lumen.protocols.dialects import Dialect
from lumen.protocols.peek import peek
from lumen.protocols.translation import translate_request

SESSION = "7f6b2c7e-1111-2222-3333-444455556666"
PATH = "/v1/messages?beta=true"
HEADERS = {
    b"user-agent": b"claude-cli/2.1.330 (external, cli)",
    b"x-app": b"cli",
    b"anthropic-beta": b"oauth-2025-04-20,claude-code-20250219, interleaved-thinking-2025-05-14",
    b"x-claude-code-session-id": SESSION.encode(),
}
BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [],
    "metadata": {"user_id": json.dumps({"device_id": "d", "session_id": SESSION})},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.a1b; cc_entrypoint=cli;"},
        {"type": "text", "text": "You are Claude Code."},
    ],
}
SIGNS = ("beta", "session", "billing", "path")


def recognised(*signs: str, headers: dict[bytes, bytes] | None = None, dialect: str = "anthropic_messages") -> bool:
    """A request with just these of SIGNS."""
    sent, body = dict(headers or HEADERS), dict(BODY)
    if "beta" not in signs:
        del sent[b"anthropic-beta"]
    if "session" not in signs:
        del sent[b"x-claude-code-session-id"]
    if "billing" not in signs:
        del body["system"]
    found = peek(Dialect(dialect), json.dumps(body).encode())
    return is_claude_code(PATH if "path" in signs else "/v1/messages", sent, found)


def test_the_real_thing() -> None:
    assert recognised(*SIGNS)


def test_counting_tokens_has_neither_metadata_nor_a_billing_header() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": []}).encode()
    found = peek(Dialect.ANTHROPIC_MESSAGES, body, is_output_cap_required=False)
    assert is_claude_code("/v1/messages/count_tokens?beta=true", HEADERS, found)
    assert not is_claude_code("/v1/messages/count_tokens", HEADERS, found)


@pytest.mark.parametrize("first", SIGNS)
@pytest.mark.parametrize("second", SIGNS)
def test_any_two_signs_are_enough_and_one_is_not(first: str, second: str) -> None:
    assert recognised(first, second) is (first != second)


@pytest.mark.parametrize("agent", [b"", b"claude-cli", b"claude-cli/x", b"my claude-cli/2.1", b"curl/8"])
def test_the_user_agent_is_needed(agent: bytes) -> None:
    assert not recognised(*SIGNS, headers={**HEADERS, b"user-agent": agent})


@pytest.mark.parametrize("app", [b"", b"web", b"CLI"])
def test_x_app_is_needed(app: bytes) -> None:
    assert not recognised(*SIGNS, headers={**HEADERS, b"x-app": app})


def test_only_anthropic_requests_can_be() -> None:
    assert not recognised(*SIGNS, dialect="openai_chat")


def test_a_different_version_in_the_billing_block_is_no_sign() -> None:
    headers = {**HEADERS, b"user-agent": b"claude-cli/2.1.33"}
    assert not recognised("billing", "path", headers=headers)


def test_a_different_session_is_no_sign() -> None:
    headers = {**HEADERS, b"x-claude-code-session-id": b"other"}
    assert not recognised("session", "path", headers=headers)


@pytest.mark.parametrize("path", [b"/v1/messages?beta=true", "/v1/messages?a=1&beta=true"])
def test_the_path_may_come_as_bytes_and_with_more_in_its_query(path: str | bytes) -> None:
    found = peek(Dialect.ANTHROPIC_MESSAGES, json.dumps(BODY).encode())
    headers = {name: value for name, value in HEADERS.items() if name != b"x-claude-code-session-id"}
    assert is_claude_code(path, headers, found)


@pytest.mark.parametrize(
    "members",
    [
        {"metadata": {"user_id": "no json"}, "system": "x-anthropic-billing-header: text"},
        {"metadata": {"user_id": 5}, "system": []},
        {"metadata": 5, "system": [5]},
        {"metadata": {"user_id": "[]"}, "system": [{"text": 5}]},
    ],
)
def test_odd_shapes_are_no_signs(members: dict[str, Any]) -> None:
    found = peek(Dialect.ANTHROPIC_MESSAGES, json.dumps({**BODY, **members}).encode())
    headers = {name: value for name, value in HEADERS.items() if name != b"anthropic-beta"}
    assert not is_claude_code(PATH, headers, found)


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "gemini_generate"])
def test_the_billing_header_stays_away_from_other_vendors(upstream: str) -> None:
    body = {**BODY, "messages": [{"role": "user", "content": "Hi"}]}
    target = Target("m", "other", is_stream=False, max_output_tokens=100)
    _, sent = translate_request(Dialect.ANTHROPIC_MESSAGES, body, Dialect(upstream), target)
    assert b"x-anthropic-billing-header" not in sent
    assert b"You are Claude Code." in sent


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x-anthropic-billing-header: cc_version=2.1;", ()),
        ("x-anthropic-billing-header: cc_version=2.1;\nYou are Claude Code.", ("You are Claude Code.",)),
        ("About x-anthropic-billing-header: it is a line.", ("About x-anthropic-billing-header: it is a line.",)),
    ],
)
def test_only_the_billing_header_is_taken_from_a_system_prompt(text: str, left: tuple[str, ...]) -> None:
    assert tuple(block.text for block in without_billing_header((Text(text), Text("more")))) == (*left, "more")
    assert without_billing_header(()) == ()
