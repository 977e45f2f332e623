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
from services.edge.bootstrap import listen
from services.edge.http_protocol import CYCLE_KEY, PROTOCOL_KEY, ClientStalled, EdgeHttpProtocol, limited

App = Callable[[Any, Any, Any], Awaitable[None]]
HEAD_BYTES_MAX = 4096


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(
    app: App,
    head_s_max: float = 30.0,
    stalled_s_max: float = 30.0,
    on_stalled: Callable[[], None] = lambda: None,
) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    protocol = limited(HEAD_BYTES_MAX, head_s_max, stalled_s_max, on_stalled)
    server = EmbeddedServer(uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None))
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
        protocol = scope[PROTOCOL_KEY]
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
        self.protocol = scope[PROTOCOL_KEY]
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
    protocol, cycle = scope[PROTOCOL_KEY], scope[CYCLE_KEY]
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
        protocol, cycle = scope[PROTOCOL_KEY], scope[CYCLE_KEY]
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
        scope[PROTOCOL_KEY].write_answer(scope[CYCLE_KEY], 200, [], large)

    async with serving(app, stalled_s_max=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024)
        writer.write(REQUEST)
        received = b""
        while len(received) < len(large):
            received += await asyncio.wait_for(reader.read(256 * 1024), 10)
            await asyncio.sleep(0.02)  # progress in every 0.2 s, the whole in more
        assert received.endswith(b"xxxx")
        writer.close()
