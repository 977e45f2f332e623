"""Whatever a client sends: an answer or a closed connection, never a 5xx of ours, a hang or a crash.

JSON bodies are mutations of what the vendors' clients send; HTTP is what request smugglers send. The long forms search
more (with LUMEN_TEST_RANDOM=1 for new examples).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.test_errors import ENDPOINTS
from tests.fixtures.stack import Customer, Stack, until

MODELS = ("claude-opus-4-8", "gpt-5.5", "gemini-3.1-pro-preview", "deepseek-v4-pro")
_HANG_S = 20.0
_IN_A_PROCESS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
FAST = settings(max_examples=60, suppress_health_check=_IN_A_PROCESS)
LONG = settings(max_examples=5000, suppress_health_check=_IN_A_PROCESS)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308]),
    st.sampled_from(
        ["", "user", "text", "tool", "auto", "\x00", "\ud83d\ude00", "data:image/png;base64,AAAA", "x" * 5000]
    ),
    st.text(max_size=20),
)
MEMBERS = st.sampled_from(
    [
        "role",
        "content",
        "type",
        "text",
        "tool_calls",
        "id",
        "name",
        "function",
        "input",
        "arguments",
        "image_url",
        "source",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBERS | st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SEEDS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "x"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL}}],
        "tool_choice": "auto", "stream": False, "max_tokens": 16, "temperature": 1, "stop": ["x"], "n": 1,
        "response_format": {"type": "text"}, "stream_options": None, "reasoning_effort": "low", "metadata": {},
    },
    "/v1/responses": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "x"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": TOOL}],
        "instructions": "Be brief.", "stream": False, "max_output_tokens": 16, "reasoning": {"effort": "low"},
        "text": {"format": {"type": "text"}}, "store": False, "include": [], "tool_choice": "auto",
    },
    "/v1/messages": {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "x"}]},
        ],
        "tools": [{"name": "f", "input_schema": TOOL}],
        "max_tokens": 16, "stream": False, "temperature": 1, "thinking": {"type": "disabled"}, "stop_sequences": ["x"],
        "tool_choice": {"type": "auto"}, "metadata": {"user_id": "u"},
    },
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a document but of itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*path, key)
        yield from places(child, (*path, key))


PLACES = {endpoint: sorted(places(seed), key=repr) for endpoint, seed in SEEDS.items()}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """(endpoint, body): a document with one to three of its values replaced or left out; sometimes cut or not JSON."""
    endpoint = draw(st.sampled_from(ENDPOINTS))
    document = json.loads(json.dumps({"model": draw(st.sampled_from(MODELS)), **SEEDS[endpoint]}))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(PLACES[endpoint]))
        holder = document
        try:
            for key in parents:
                holder = holder[key]
            if draw(st.booleans()) or not isinstance(holder, dict):
                holder[last] = draw(VALUES)
            else:
                del holder[last]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    body = json.dumps(document).encode()
    spoil = draw(st.sampled_from(["no"] * 8 + ["cut", "nested", "bytes", "twice"]))
    if spoil == "cut":
        body = body[: draw(st.integers(0, len(body)))]
    elif spoil == "nested":
        depth = draw(st.sampled_from([50, 1000, 100_000]))
        body = body[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"
    elif spoil == "bytes":
        body = draw(st.binary(max_size=200))
    elif spoil == "twice":
        body = body[:-1] + b', "model": "gpt-5.5", "stream": 7}'
    return endpoint, body


@pytest.fixture(scope="module")
def customer(stack: Stack) -> Customer:
    return stack.customer("1000")


@pytest.fixture(scope="module")
def ask_with(stack: Stack, customer: Customer) -> Iterator[Callable[[str, bytes], httpx.Response]]:
    """A client that finds the edge as it was, whatever it was sent."""
    pid, logged = stack.pid("edge"), len(stack.log("edge"))
    with httpx.Client(
        base_url=stack.base_url, headers={"authorization": f"Bearer {customer.key}"}, timeout=_HANG_S
    ) as client:
        yield lambda endpoint, body: client.post(endpoint, content=body)
    assert stack.pid("edge") == pid, "the edge was started again"
    assert "Traceback" not in stack.log("edge")[logged:]
    until(lambda: in_flight(stack) == 0, "nothing is left in flight")


def in_flight(stack: Stack) -> float:
    ops = int(stack.base_url.rpartition(":")[2]) + 10
    text = httpx.get(f"http://127.0.0.1:{ops}/metrics").text
    return float(text.partition("\nlumen_edge_requests_in_flight ")[2].partition("\n")[0])


def check_body(ask: Callable[[str, bytes], httpx.Response], endpoint: str, body: bytes) -> None:
    answer = ask(endpoint, body)
    assert answer.status_code < 500, (answer.status_code, answer.text[:300])
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@FAST
@given(case=bodies())
def test_no_body_is_more_than_refused(
    ask_with: Callable[[str, bytes], httpx.Response], case: tuple[str, bytes]
) -> None:
    check_body(ask_with, *case)


@pytest.mark.long
@pytest.mark.timeout(1800)
@LONG
@given(case=bodies())
def test_no_body_is_more_than_refused_in_a_long_search(
    ask_with: Callable[[str, bytes], httpx.Response], case: tuple[str, bytes]
) -> None:
    check_body(ask_with, *case)


# --- HTTP itself

LINES = st.sampled_from(
    [
        *(
            b"content-length: 2",
            b"content-length: 2",
            b"content-length: 3",
            b"content-length: +2",
            b"content-length: -1",
        ),
        *(b"content-length: 2, 2", b"content-length: 0x2", b"content-length: 99999999999999999999", b"content-length:"),
        *(b"transfer-encoding: chunked", b"transfer-encoding : chunked", b"transfer-encoding: identity, chunked"),
        *(b"transfer-encoding: chunked, identity", b"transfer-encoding: xchunked", b"Transfer-Encoding:\x0bchunked"),
        *(b" folded: 1", b"\tfolded", b"x-nul: a\x00b", b"x-cr: a\rb", b"bad name: 1", b"nocolon", b": empty"),
        *(
            b"x-high: \xff\xfe",
            b"expect: 100-continue",
            b"expect: nonsense",
            b"upgrade: websocket",
            b"connection: upgrade",
        ),
        *(b"connection: close", b"host: other", b"x: " + b"y" * 9000, b"authorization: Bearer sk-lumen-x"),
    ]
)
STARTS = st.sampled_from(
    [
        *(
            b"POST /v1/messages HTTP/1.1",
            b"POST /v1/messages HTTP/1.0",
            b"POST /v1/messages HTTP/1.1 ",
            b"GET / HTTP/1.1",
        ),
        *(b"POST http://other/v1/messages HTTP/1.1", b"POST /v1/mess\x00ages HTTP/1.1", b"POST /%00%0d%0a HTTP/1.1"),
        *(b"POST  /v1/messages HTTP/1.1", b"POST /v1/messages HTTP/2.0", b"PRI * HTTP/2.0", b"CONNECT x:1 HTTP/1.1"),
        *(b"post /v1/messages HTTP/1.1", b"POST /v1/messages", b"\x16\x03\x01\x02\x00", b"OPTIONS * HTTP/1.1", b""),
    ]
)
BODIES = st.sampled_from(
    [
        *(b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"0\r\n\r\n", b"2\r\n{}\r\n", b"fffffffffffffffff\r\n", b"-2\r\n{}\r\n"),
        *(
            b"2;x=y\r\n{}\r\n0\r\nx-trailer: 1\r\n\r\n",
            b"2\n{}\n0\n\n",
            b"zz\r\n",
            b"2\r\n{}xx\r\n",
            b"2\r\n{}0\r\n\r\n",
        ),
        b"{}GET /admin HTTP/1.1\r\nhost: x\r\n\r\n",
    ]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """The bytes of one connection, in pieces."""
    lines = [draw(STARTS), b"host: x", *draw(st.lists(LINES, max_size=4))]
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    data = end.join(lines) + end * 2 + draw(BODIES)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=3)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def check_conversation(stack: Stack, pieces: list[bytes]) -> None:
    host = urlsplit(stack.base_url)
    received = b""
    with socket.create_connection((host.hostname, host.port), timeout=_HANG_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)  # what is half said will not be finished
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            pytest.fail(f"neither answered nor closed: {received[:200]!r}")
        except OSError:
            pass  # refused in the middle of it
    statuses = [line.split(b" ")[1] for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert not [status for status in statuses if status >= b"500"], received[:300]
    assert not received or received.startswith(b"HTTP/1.1 "), received[:200]
    assert len([status for status in statuses if status < b"300" and status != b"100"]) <= 1, "a smuggled request"


@FAST
@given(pieces=conversations())
def test_no_http_is_more_than_refused(
    stack: Stack, ask_with: Callable[[str, bytes], httpx.Response], pieces: list[bytes]
) -> None:
    check_conversation(stack, pieces)


@pytest.mark.long
@pytest.mark.timeout(1800)
@LONG
@given(pieces=conversations())
def test_no_http_is_more_than_refused_in_a_long_search(
    stack: Stack, ask_with: Callable[[str, bytes], httpx.Response], pieces: list[bytes]
) -> None:
    check_conversation(stack, pieces)


AUTHORITATIVE = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    "ambiguous",
    [
        AUTHORITATIVE + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        AUTHORITATIVE + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        AUTHORITATIVE + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        AUTHORITATIVE + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        AUTHORITATIVE + b"content-length: 2, 2\r\n\r\n{}",
        AUTHORITATIVE + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        AUTHORITATIVE + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        AUTHORITATIVE + b"x-nul: a\x00b\r\ncontent-length: 2\r\n\r\n{}",
        AUTHORITATIVE + b"x-fold: a\r\n b\r\ncontent-length: 2\r\n\r\n{}",
        AUTHORITATIVE + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_two_parsers_could_read_differently_is_refused_and_ends_the_connection(
    stack: Stack, ambiguous: bytes
) -> None:
    host = urlsplit(stack.base_url)
    with socket.create_connection((host.hostname, host.port), timeout=_HANG_S) as connection:
        connection.sendall(ambiguous + b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass  # it was closed with the rest unread
    # 401 where the head alone was enough to refuse it, before the body turned out to be wrong
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 ")), received[:200]
    assert received.count(b"HTTP/1.1 ") == 1, received
