"""Limits of the HTTP server in front of everything: heads that are too large or too slow, clients that leave."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from lumen.platform.ops_server import EmbeddedServer
from services.edge.http_protocol import ClientStalled, EdgeHttpProtocol, limited
from services.edge.listening import listen
from services.edge.short_cycle import ShortCycle, ShortWay

App = Callable[[Any, Any, Any], Awaitable[None]]
HEAD_BYTES_MAX = 4096
_servers: list[EmbeddedServer] = []


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def protocol_of(send: Any) -> EdgeHttpProtocol:
    """ASGI's `send` is a method of uvicorn's cycle, which knows the protocol."""
    protocol = send.__self__.on_response.__self__
    assert isinstance(protocol, EdgeHttpProtocol)
    return protocol


@asynccontextmanager
async def serving(
    app: App,
    head_s_max: float = 30.0,
    stalled_s_max: float = 30.0,
    on_stalled: Callable[[], None] = lambda: None,
    short_way: ShortWay | None = None,
    idle_s_max: int = 5,
) -> AsyncIterator[int]:
    """`short_way` serves POST /short."""
    listener = listen("127.0.0.1", 0)
    short_ways = {b"/short": short_way} if short_way else {}
    protocol = limited(HEAD_BYTES_MAX, head_s_max, stalled_s_max, on_stalled, short_ways)
    server = EmbeddedServer(
        uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None, timeout_keep_alive=idle_s_max)
    )
    _servers.append(server)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def talk(port: int, *pieces: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_a_head_that_is_too_large_is_431() -> None:
    async with serving(ok) as port:
        answer = await talk(port, b"GET / HTTP/1.1\r\nhost: x\r\nx-large: " + b"y" * (2 * HEAD_BYTES_MAX))
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_is_too_slow_is_408() -> None:
    async with serving(ok, head_s_max=0.05) as port:
        assert (await talk(port, b"GET / HTTP/1.1\r\nhost:")).startswith(b"HTTP/1.1 408 ")
        assert await talk(port) == b""  # said nothing, gets nothing


async def test_a_body_larger_than_a_head_may_be_is_no_head() -> None:
    body = b"z" * (4 * HEAD_BYTES_MAX)
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with serving(ok) as port:
        assert (await talk(port, head + body)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("count", [2, 5])
async def test_every_request_of_a_connection_has_the_whole_allowance(count: int) -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\nx-large: " + b"y" * (HEAD_BYTES_MAX // 2) + b"\r\n\r\n"
    async with serving(ok) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(2) == b"ok"
        writer.close()


async def test_a_client_that_leaves_is_told_of_at_once() -> None:
    gone = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        protocol = protocol_of(send)
        assert not protocol.is_closed
        protocol.on_gone = gone.set
        await gone.wait()
        assert protocol.is_closed

    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await writer.drain()
        writer.close()
        await asyncio.wait_for(gone.wait(), 10)


REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class SlowAnswer:
    """Answers `ab`, the second half when told to."""

    def __init__(self) -> None:
        self.has_started = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        self.protocol = protocol_of(send)
        self.has_started.set()
        await self.may_end.wait()
        await send({"type": "http.response.body", "body": b"b"})

    async def end_once(self, received: Callable[[EdgeHttpProtocol], bool]) -> None:
        while not received(self.protocol):  # noqa: ASYNC110  # the protocol has no event for it
            await asyncio.sleep(0.001)
        self.may_end.set()


@pytest.mark.parametrize("stray", [b"\r\n", b"G", b"GET / HTTP/1.1\r\nx-half: "])
async def test_what_comes_during_an_answer_never_writes_into_it(stray: bytes) -> None:
    app = SlowAnswer()
    async with serving(app, head_s_max=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await app.has_started.wait()
        writer.write(stray)
        with pytest.raises(asyncio.TimeoutError):  # far beyond the limit of a head nothing has been said
            await asyncio.wait_for(reader.readuntil(b"408"), 0.3)
        app.may_end.set()
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"b") or b"\r\n\r\nab" in answer
        late = answer.partition(b"b")[2]
        assert late.startswith(b"HTTP/1.1 408 ") if stray.strip() else late == b""
        writer.close()


async def test_a_head_that_is_too_large_during_an_answer_is_refused_after_it() -> None:
    app = SlowAnswer()
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await app.has_started.wait()
        writer.write(b"GET / HTTP/1.1\r\nx-large: " + b"y" * (3 * HEAD_BYTES_MAX))
        await writer.drain()
        await app.end_once(lambda protocol: protocol._head_bytes > HEAD_BYTES_MAX)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert b"\r\n\r\nabHTTP/1.1 431 " in answer
        writer.close()


async def test_garbage_after_a_request_ends_the_connection_but_not_the_answer() -> None:
    app = SlowAnswer()
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await app.has_started.wait()
        writer.write(b"\x00nonsense\r\n\r\n")
        await app.end_once(lambda protocol: protocol._is_lingering)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.endswith(b"\r\n\r\nab")
        writer.close()


async def test_a_large_head_that_comes_at_once_is_431_too() -> None:
    async with serving(ok) as port:
        answer = await talk(port, b"GET / HTTP/1.1\r\nx-large: " + b"y" * (2 * HEAD_BYTES_MAX) + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nx: " + b"y" * (2 * HEAD_BYTES_MAX), b"431")],
)
async def test_refusals_of_the_protocol_are_json_with_a_request_id(sent: bytes, status: bytes) -> None:
    async with serving(ok) as port:
        head, _, body = (await talk(port, sent)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nx-request-id: req_" in head
    assert b"\r\nconnection: close" in head
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = scope["path"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": body})

    async with serving(app) as port:
        requests = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(4))
        last = b"GET /9 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        answer = await talk(port, requests + last)
    assert re.findall(rb"\r\n\r\n(/\d)", answer) == [b"/0", b"/1", b"/2", b"/3", b"/9"]


async def early_413(scope: Any, receive: Any, send: Any) -> None:
    """An answer before the request has come whole, as the model endpoints write it."""
    protocol, cycle = protocol_of(send), send.__self__
    protocol.write_answer(cycle, 413, [(b"content-type", b"text/plain")], b"too large")


async def test_an_early_answer_reaches_a_client_that_still_sends() -> None:
    body = b"z" * (8 * 1024 * 1024)
    async with serving(early_413) as port:
        answer = await talk(port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (len(body) + 1), body)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert answer.endswith(b"too large")


async def test_an_endless_body_does_not_hold_a_connection_that_is_answered() -> None:
    async with serving(early_413) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")

        assert (await asyncio.wait_for(reader.readuntil(b"too large"), 10)).startswith(b"HTTP/1.1 413 ")

        async def send_for_ever() -> None:
            while True:
                writer.write(b"4\r\nzzzz\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_for_ever(), 10)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_does_not_read_its_answer_is_cut_off(is_streamed: bool) -> None:
    stalled, gone = asyncio.Event(), asyncio.Event()
    large = b"x" * (16 * 1024 * 1024)  # more than the sockets' buffers hold

    async def app(scope: Any, receive: Any, send: Any) -> None:
        protocol, cycle = protocol_of(send), send.__self__
        protocol.on_gone = gone.set
        if not is_streamed:
            protocol.write_answer(cycle, 200, [], large)
            return
        protocol.start_chunks(cycle, [])
        protocol.write_chunk(cycle, large, is_last=False)
        with pytest.raises(ClientStalled):
            await protocol.until_writable()

    async with serving(app, stalled_s_max=0.05, on_stalled=stalled.set) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await asyncio.wait_for(stalled.wait(), 10)
        await asyncio.wait_for(gone.wait(), 10)
        writer.close()


async def test_a_slow_reader_of_a_finished_answer_is_left_alone() -> None:
    large = b"x" * (4 * 1024 * 1024)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        protocol_of(send).write_answer(send.__self__, 200, [], large)

    async with serving(app, stalled_s_max=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024)
        writer.write(REQUEST)
        received = b""
        while len(received) < len(large):
            received += await asyncio.wait_for(reader.read(256 * 1024), 10)
            await asyncio.sleep(0.02)  # progress in every 0.2 s, the whole in more
        assert received.endswith(b"xxxx")
        writer.close()


async def echo(cycle: ShortCycle) -> None:
    """The body, read in pieces as they come, behind path and query."""
    pieces = [cycle.path.encode(), b"?", cycle.query, b" "]
    while True:
        message = await cycle.receive()
        if message["type"] == "http.disconnect":
            return
        pieces.append(message["body"])
        if not message["more_body"]:
            break
    cycle.protocol.write_answer(cycle, 200, [], b"".join(pieces))


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_short_way_gets_the_body_in_whatever_pieces_it_comes(framing: str) -> None:
    body = bytes(range(256)) * 2048  # half a megabyte: above what waits unread
    head = b"POST /short?beta=true HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    if framing == "length":
        rest = b"content-length: %d\r\n\r\n%b" % (len(body), body)
    else:
        cut = 100_000
        rest = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            cut,
            body[:cut],
            len(body) - cut,
            body[cut:],
        )
    async with serving(ok, short_way=echo) as port:
        answer = await talk(port, head, rest[:10], rest[10:200_000], rest[200_000:])
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"/short?beta=true " + body)


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    head = b"POST /short HTTP/1.1\r\nhost: x\r\nExpect: 100-Continue\r\ncontent-length: 2\r\n\r\n"
    async with serving(ok, short_way=echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ab")
        assert (await asyncio.wait_for(reader.readuntil(b"/short? ab"), 10)).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_pipelined_requests_of_both_ways_are_answered_in_order() -> None:
    short = b"POST /short?%d HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n%d"
    asgi = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    last = b"POST /short?9 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    async with serving(ok, short_way=echo) as port:
        answer = await talk(port, short % (1, 1) + asgi + short % (2, 2) + short % (3, 3) + asgi + last)
    assert re.findall(rb"\r\n\r\n(ok|/short\?\d \d?)", answer) == [
        b"/short?1 1",
        b"ok",
        b"/short?2 2",
        b"/short?3 3",
        b"ok",
        b"/short?9 ",
    ]


async def test_another_method_or_path_is_no_short_way() -> None:
    async with serving(ok, short_way=echo) as port:
        for request in (b"GET /short", b"POST /short/", b"POST /Short", b"POST //short"):
            answer = await talk(
                port, request + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            assert answer.endswith(b"ok")


@pytest.mark.parametrize("target", [b"http://lumen.example/short?a=1", b"/sh%6Frt?a=1"])
async def test_a_short_way_is_found_however_its_target_is_written(target: bytes) -> None:
    async with serving(ok, short_way=echo) as port:
        rest = b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab"
        assert (await talk(port, b"POST " + target + rest)).endswith(b"/short?a=1 ab")


async def test_a_short_way_that_fails_closes_its_connection() -> None:
    async def fail(cycle: ShortCycle) -> None:
        raise RuntimeError("broken")

    async with serving(ok, short_way=fail) as port:
        assert await talk(port, b"POST /short HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n") == b""


async def test_a_short_way_is_told_of_a_client_that_leaves_before_its_body() -> None:
    messages: asyncio.Queue[str] = asyncio.Queue()

    async def read(cycle: ShortCycle) -> None:
        while (kind := (await cycle.receive())["type"]) != "http.disconnect":
            pass
        messages.put_nowait(kind)

    async with serving(ok, short_way=read) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /short HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        await writer.drain()
        writer.close()
        assert await asyncio.wait_for(messages.get(), 10) == "http.disconnect"


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    busy = SlowAnswer()
    async with serving(busy, idle_s_max=1, short_way=echo) as port:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        idle_writer.write(b"POST /short HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        await asyncio.wait_for(idle.readuntil(b"/short? "), 10)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await busy.has_started.wait()
        assert await asyncio.wait_for(idle.read(), 10) == b""  # after a second
        busy.may_end.set()
        assert (await asyncio.wait_for(reader.readuntil(b"ab"), 10)).startswith(b"HTTP/1.1 200 ")
        idle_writer.close()
        writer.close()


async def stopped(port: int, *requests: bytes) -> bytes:
    """All that comes on one connection on which `requests[0]` was answered before the server stops."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(requests[0])
    first = await asyncio.wait_for(reader.readuntil(b"ok"), 10)
    protocol = next(iter(current_server().server_state.connections))
    assert isinstance(protocol, EdgeHttpProtocol)
    current_server().should_exit = True
    async with asyncio.timeout(10):
        while not protocol._is_leaving:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for request in requests[1:]:
        writer.write(request)
    rest = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return first + rest


def current_server() -> EmbeddedServer:
    return _servers[-1]


async def test_a_stopping_server_answers_one_more_request_and_says_that_it_is_the_last() -> None:
    async with serving(ok) as port:
        answers = await stopped(port, REQUEST, REQUEST)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert b"connection: close" not in answers[: answers.index(b"ok")]
    assert b"connection: close" in answers[answers.index(b"ok") :]


async def test_a_stopping_server_closes_a_connection_on_which_nothing_comes() -> None:
    async with serving(ok) as port:
        assert (await stopped(port, REQUEST)).count(b"HTTP/1.1 200 ") == 1


async def test_an_answer_that_has_not_begun_says_that_the_server_stops() -> None:
    may_answer, has_begun = asyncio.Event(), asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        has_begun.set()
        await may_answer.wait()
        await ok(scope, receive, send)

    async with serving(wait) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await has_begun.wait()
        current_server().should_exit = True
        protocol = next(iter(current_server().server_state.connections))
        assert isinstance(protocol, EdgeHttpProtocol)
        async with asyncio.timeout(10):
            while protocol.cycle.keep_alive:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        may_answer.set()
        answer = await asyncio.wait_for(reader.read(), 10)
        assert b"connection: close" in answer
        assert answer.endswith(b"ok")
        writer.close()
