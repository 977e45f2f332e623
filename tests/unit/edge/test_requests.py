"""What the edge reads of a request besides its body: who sends it, what goes on, whether a stream is wanted."""

from __future__ import annotations

import json

import pytest

from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.peek import peek
from services.edge.client_address import ClientAddresses, parse_address
from services.edge.forwarded_headers import forwarded
from services.edge.model_endpoint import is_stream_wanted
from services.edge.request_guard import error_headers


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "expected"),
    [
        ("", "203.0.113.5", "198.51.100.1", "203.0.113.5"),
        ("203.0.113.0/24", "203.0.113.5", "198.51.100.1", "198.51.100.1"),
        ("203.0.113.0/24", "203.0.113.5", "10.0.0.9, 198.51.100.1, 203.0.113.6", "198.51.100.1"),
        ("203.0.113.0/24", "203.0.113.5", "198.51.100.1, nonsense", "203.0.113.5"),
        ("203.0.113.0/24", "192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("203.0.113.0/24", "203.0.113.5", "", "203.0.113.5"),
    ],
)
def test_the_client_is_the_last_hop_that_is_not_trusted(
    trusted: str, peer: str, forwarded_for: str, expected: str
) -> None:
    assert ClientAddresses(trusted).of((peer, 1234), {b"x-forwarded-for": forwarded_for.encode()}) == expected


def test_an_ipv4_peer_of_a_dual_stack_socket_is_ipv4() -> None:
    peer = ("::ffff:203.0.113.5", 1)
    assert ClientAddresses("203.0.113.0/24").of(peer, {b"x-forwarded-for": b"198.51.100.1"}) == "198.51.100.1"
    assert str(parse_address("::ffff:203.0.113.5")) == "203.0.113.5"


def test_trusted_proxies_must_be_addresses() -> None:
    with pytest.raises(ValueError, match="not-an-address"):
        ClientAddresses("not-an-address")


SECRET_HEADERS = [
    (b"authorization", b"Bearer sk-lumen-x"),
    (b"x-api-key", b"k"),
    (b"cookie", b"c"),
    (b"proxy-authorization", b"p"),
    (b"te", b"trailers"),
    (b"openai-organization", b"org-1"),
    (b"openai-project", b"proj-1"),
    (b"x-forwarded-for", b"203.0.113.1"),
    (b"host", b"h"),
]


@pytest.mark.parametrize("dialect", [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES])
def test_credentials_and_account_headers_never_go_upstream(dialect: Dialect) -> None:
    assert forwarded(SECRET_HEADERS, dialect, is_stream=False) == [(b"accept", b"application/json")]


def test_betas_go_to_their_own_vendor_only() -> None:
    beta = (b"anthropic-beta", b"claude-code-20250219")
    agent = (b"user-agent", b"claude-cli/2")
    assert beta in forwarded([beta, agent], Dialect.ANTHROPIC_MESSAGES, is_stream=True)
    assert forwarded([beta, agent], Dialect.OPENAI_CHAT, is_stream=True) == [agent, (b"accept", b"text/event-stream")]


@pytest.mark.parametrize(
    ("stream", "accept", "expected"),
    [
        ("absent", None, True),
        ("absent", b"application/json", False),
        ("absent", b"*/*", True),
        ("absent", b"application/json, text/event-stream", True),
        (None, b"application/json", False),
        (True, b"application/json", True),
        (False, b"text/event-stream", False),
    ],
)
def test_an_absent_stream_is_decided_by_accept(stream: object, accept: bytes | None, expected: bool) -> None:
    body: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    if stream != "absent":
        body["stream"] = stream
    fields = {} if accept is None else {b"accept": accept}
    assert is_stream_wanted(peek(Dialect.OPENAI_CHAT, json.dumps(body).encode()), fields) is expected


def test_final_errors_tell_sdks_not_to_retry() -> None:
    headers = dict(error_headers(ApiError(ErrorKind.CREDITS_EXHAUSTED, "x")))
    assert headers[b"x-should-retry"] == b"false"
    retryable = dict(error_headers(ApiError(ErrorKind.OVERLOADED, "x", retry_after_s=3)))
    assert b"x-should-retry" not in retryable
    assert retryable[b"retry-after"] == b"3"
