"""Every wait ends: head, body, the whole answer. Times are small settings; servers wait on events, not clocks."""

from __future__ import annotations

import asyncio

import pytest

from services.edge.provider_workers.transport import UpstreamTimeout
from tests.contract.provider_workers.conftest import NewTransport, ask, post, read_all, until
from tests.contract.provider_workers.scripted_provider import Connection, scripted_provider

SHORT_S = 0.1
LONG_S = 30.0
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def silent(connection: Connection) -> None:
    await connection.request()
    await connection.gone()


async def silent_after_head(connection: Connection) -> None:
    await connection.request()
    await connection.send(HEAD + b"2\r\nhi\r\n")
    await connection.gone()


async def dripping(connection: Connection) -> None:
    await connection.request()
    await connection.send(HEAD)
    while True:
        await connection.send(b"1\r\nx\r\n")
        await asyncio.sleep(0.02)


async def dripping_head(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        await connection.send(b"x")
        await asyncio.sleep(0.02)


def limits(**changed: float) -> dict[str, float]:
    return {"first_byte_s": LONG_S, "idle_s": LONG_S, "total_s": LONG_S, **changed}


@pytest.mark.parametrize("handler", [silent, dripping_head])
@pytest.mark.parametrize("name", ["first_byte_s", "total_s"])
async def test_head_that_does_not_come_times_out(new_transport: NewTransport, handler: object, name: str) -> None:
    async with scripted_provider(handler) as provider:  # type: ignore[arg-type]
        with pytest.raises(UpstreamTimeout):
            await new_transport(provider.url, timeouts=limits(**{name: SHORT_S})).send(post())
        await until(lambda: provider.open == 0)


@pytest.mark.parametrize("name", ["idle_s", "total_s"])
async def test_body_that_stops_times_out(new_transport: NewTransport, name: str) -> None:
    async with scripted_provider(silent_after_head) as provider:
        response = await new_transport(provider.url, timeouts=limits(**{name: SHORT_S})).send(post())
        assert await response.read() == b"hi"
        with pytest.raises(UpstreamTimeout):
            await response.read()
        await until(lambda: provider.open == 0)


async def test_slow_drip_is_ended_by_total_s(new_transport: NewTransport) -> None:
    async with scripted_provider(dripping) as provider:
        response = await new_transport(provider.url, timeouts=limits(idle_s=5, total_s=0.3)).send(post())
        with pytest.raises(UpstreamTimeout):
            await read_all(response)
        await until(lambda: provider.open == 0)


async def test_body_slower_than_first_byte_s_and_longer_than_idle_s_is_fine(new_transport: NewTransport) -> None:
    """Each wait is timed on its own."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HEAD)
        for _ in range(20):
            await asyncio.sleep(0.03)
            await connection.send(b"1\r\nx\r\n")
        await connection.send(b"0\r\n\r\n")
        await connection.gone()

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url, timeouts=limits(first_byte_s=0.4, idle_s=0.4))
        assert await ask(transport) == b"x" * 20


async def test_time_a_reader_takes_is_not_the_providers(new_transport: NewTransport) -> None:
    proceed = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HEAD + b"2\r\nhi\r\n")
        await proceed.wait()
        await connection.send(b"0\r\n\r\n")
        await connection.gone()

    async with scripted_provider(handler) as provider:
        response = await new_transport(provider.url, timeouts=limits(idle_s=SHORT_S)).send(post())
        assert await response.read() == b"hi"
        await asyncio.sleep(3 * SHORT_S)
        proceed.set()
        assert await response.read() == b""


async def test_timeouts_hold_on_a_connection_used_before(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await silent(connection)

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url, timeouts=limits(first_byte_s=SHORT_S))
        assert await ask(transport) == b"hi"
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(UpstreamTimeout):
            await ask(transport)
        assert 0.9 * SHORT_S <= loop.time() - began < 10 * SHORT_S
        assert provider.connections == 1
