"""Large bodies in both directions: memory stays bounded, whoever is slow."""

from __future__ import annotations

import asyncio

import pytest

from services.edge.provider_workers.lean.response import LeanResponse
from tests.contract.provider_workers.conftest import NewTransport, ask, cancel, post, until
from tests.contract.provider_workers.scripted_provider import Connection, answering, scripted_provider

MIB = 1024**2
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


async def test_large_body_reaches_a_slow_reader_whole(new_transport: NewTransport) -> None:
    body = bytes(range(256)) * (2 * MIB // 256)

    async def handler(connection: Connection) -> None:
        while True:
            request = await connection.head()
            left = int(request.headers[b"content-length"])
            while left:
                request.body += await connection.reader.read(min(left, 65536))
                left = len(body) - len(request.body)
                await asyncio.sleep(0.001)
            await connection.send(HELLO)

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        for _ in range(2):
            assert await ask(transport, post(body)) == b"hello"
        assert [request.body == body for request in provider.requests] == [True, True]
        assert provider.connections == 1


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 262_144, 262_145, 1_000_000])
async def test_bodies_of_any_size_arrive_unchanged(new_transport: NewTransport, size: int) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    async with scripted_provider(answering(HELLO)) as provider:
        assert await ask(new_transport(provider.url), post(body[:size])) == b"hello"
        assert provider.requests[0].body == body[:size]


async def test_cancelling_an_upload_closes_the_connection(new_transport: NewTransport) -> None:
    is_cancelled = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.head()
        await is_cancelled.wait()
        await connection.gone()

    async with scripted_provider(handler) as provider:
        sending = asyncio.ensure_future(new_transport(provider.url).send(post(bytes(32 * MIB))))
        await until(lambda: len(provider.requests) == 1)
        await cancel(sending)
        is_cancelled.set()
        await until(lambda: provider.open == 0)


@pytest.mark.parametrize("kind", ["lean"], indirect=True)  # httpx reads only after it has written all
async def test_answer_before_the_body_is_sent_is_read_and_ends_the_connection(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await connection.gone()

    async with scripted_provider(handler) as provider:
        response = await new_transport(provider.url).send(post(bytes(32 * MIB)))
        assert response.status == 413
        assert await response.read() == b"no"
        assert await response.read() == b""
        await until(lambda: provider.open == 0)


async def test_slow_reader_stops_the_provider(new_transport: NewTransport) -> None:
    size = 64 * MIB
    written = 0

    async def handler(connection: Connection) -> None:
        nonlocal written
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while written < size:
            connection.writer.write(bytes(65536))
            await connection.writer.drain()
            written += 65536
        await connection.gone()

    async with scripted_provider(handler) as provider:
        response = await new_transport(provider.url).send(post())
        seen = -1
        while seen != written:  # until the provider's writer is paused
            seen = written
            await asyncio.sleep(0.1)
        assert written < size
        if isinstance(response, LeanResponse):
            assert 0 < response.buffered_bytes <= MIB
        total = 0
        while piece := await response.read():
            total += len(piece)
        assert total == size


@pytest.mark.parametrize("kind", ["lean"], indirect=True)  # httpx yields chunk by chunk
async def test_frames_of_one_segment_are_one_read(new_transport: NewTransport) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with scripted_provider(answering(head + b"2\r\nab\r\n" * 3 + b"0\r\n\r\n")) as provider:
        response = await new_transport(provider.url).send(post())
        assert await response.read() == b"ababab"
        assert await response.read() == b""
