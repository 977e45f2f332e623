"""Bytes handed on without a task's wake-up: in order, once, and `read` goes on where the pump stopped."""

from __future__ import annotations

import asyncio

import pytest

from services.edge.provider_workers.transport import ConnectionCut, UpstreamTimeout
from tests.contract.provider_workers.conftest import NewTransport, cancel, post, read_all, until
from tests.contract.provider_workers.scripted_provider import Connection, scripted_provider

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(params=["lean"])
def kind() -> str:
    return "lean"


class Provider:
    """Sends a piece whenever it is told to."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[bytes] = asyncio.Queue()

    def tell(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._told.put_nowait(piece)

    async def __call__(self, connection: Connection) -> None:
        await connection.request()
        await connection.send(HEAD)
        while piece := await self._told.get():
            await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await connection.send(b"0\r\n\r\n")


async def test_pieces_are_handed_on_until_the_sink_has_enough(new_transport: NewTransport) -> None:
    tell = Provider()
    received: list[bytes] = []

    def sink(piece: bytes) -> bool:
        received.append(piece)
        tell.tell(b"%d" % len(received))
        return len(received) < 3

    async with scripted_provider(tell) as provider:
        response = await new_transport(provider.url).send(post())
        pumping = asyncio.create_task(response.pump(sink))
        tell.tell(b"0")
        await pumping
        assert received == [b"0", b"1", b"2"]
        tell.tell(b"")
        assert await read_all(response) == b"3"
        assert received == [b"0", b"1", b"2"]


async def test_it_returns_at_the_end_and_at_once_after_it(new_transport: NewTransport) -> None:
    tell = Provider()
    received: list[bytes] = []

    def sink(piece: bytes) -> bool:
        received.append(piece)
        tell.tell(b"")
        return True

    async with scripted_provider(tell) as provider:
        response = await new_transport(provider.url).send(post())
        pumping = asyncio.create_task(response.pump(sink))
        tell.tell(b"ab")
        await pumping
        await response.pump(sink)
        assert await response.read() == b""
        assert received == [b"ab"]


async def test_what_the_sink_raises_comes_out(new_transport: NewTransport) -> None:
    tell = Provider()

    def sink(piece: bytes) -> bool:
        raise LookupError(piece)

    async with scripted_provider(tell) as provider:
        response = await new_transport(provider.url).send(post())
        pumping = asyncio.create_task(response.pump(sink))
        tell.tell(b"ab")
        with pytest.raises(LookupError, match="ab"):
            await pumping
        response.abort()
        tell.tell(b"")
        await until(lambda: provider.open == 0)


@pytest.mark.parametrize("name", ["idle_s", "total_s"])
async def test_a_provider_that_stops_times_out(new_transport: NewTransport, name: str) -> None:
    tell = Provider()
    timeouts = {"first_byte_s": 30.0, "idle_s": 30.0, "total_s": 30.0, name: 0.2}
    received: list[bytes] = []

    def sink(piece: bytes) -> bool:
        received.append(piece)
        return True

    async with scripted_provider(tell) as provider:
        response = await new_transport(provider.url, timeouts=timeouts).send(post())
        pumping = asyncio.create_task(response.pump(sink))
        tell.tell(b"ab")
        await pumping
        assert received == [b"ab"]
        with pytest.raises(UpstreamTimeout):
            await response.read()
        tell.tell(b"")


async def test_each_piece_starts_the_idle_time_again(new_transport: NewTransport) -> None:
    tell = Provider()
    loop = asyncio.get_running_loop()
    idle_s, pieces = 1.5, 4
    received: list[bytes] = []

    def sink(piece: bytes) -> bool:
        received.append(piece)
        loop.call_later(idle_s / 3, tell.tell, b"x" if len(received) < pieces else b"")
        return True

    timeouts = {"first_byte_s": 30.0, "idle_s": idle_s, "total_s": 30.0}
    async with scripted_provider(tell) as provider:
        response = await new_transport(provider.url, timeouts=timeouts).send(post())
        pumping = asyncio.create_task(response.pump(sink))
        tell.tell(b"x")
        await pumping
        assert await response.read() == b""
    assert received == [b"x"] * pieces


async def test_a_connection_that_is_cut_has_handed_on_what_came(new_transport: NewTransport) -> None:
    received: list[bytes] = []
    may_send, may_cut = asyncio.Event(), asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HEAD)
        await may_send.wait()
        await connection.send(b"2\r\nab\r\n")
        await may_cut.wait()
        connection.reset()

    def sink(piece: bytes) -> bool:
        received.append(piece)
        may_cut.set()
        return True

    async with scripted_provider(handler) as provider:
        response = await new_transport(provider.url).send(post())
        pumping = asyncio.create_task(response.pump(sink))
        may_send.set()
        await pumping
        assert received == [b"ab"]
        with pytest.raises(ConnectionCut):
            await response.read()


async def test_cancelling_it_closes_the_connection(new_transport: NewTransport) -> None:
    tell = Provider()
    async with scripted_provider(tell) as provider:
        response = await new_transport(provider.url).send(post())
        pumping = asyncio.create_task(response.pump(lambda piece: True))
        await asyncio.sleep(0)  # it has begun
        await cancel(pumping)
        with pytest.raises(ConnectionCut):
            await response.read()
        tell.tell(b"")
        await until(lambda: provider.open == 0)
