"""Limits of the HTTP server in front of everything: heads that are too large or too slow, clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from lumen.platform.ops_server import EmbeddedServer
from services.edge.bootstrap import listen
from services.edge.http_protocol import PROTOCOL_KEY, limited

App = Callable[[Any, Any, Any], Awaitable[None]]
HEAD_BYTES_MAX = 4096


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(app: App, head_s_max: float = 30.0) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    server = EmbeddedServer(
        uvicorn.Config(app, http=limited(HEAD_BYTES_MAX, head_s_max), ws="none", lifespan="off", log_config=None)
    )
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
