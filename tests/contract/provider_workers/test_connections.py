"""When a connection is used again, when not, and what cancelling leaves behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from services.edge.provider_workers.transport import ConnectFailed, ConnectionCut, ConnectionStats, UpstreamFailure
from tests.contract.provider_workers.conftest import NewTransport, ask, cancel, post, until
from tests.contract.provider_workers.scripted_provider import Connection, answering, answering_once, scripted_provider

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


async def test_connection_is_used_again(new_transport: NewTransport, stats: ConnectionStats) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        transport = new_transport(provider.url)
        for _ in range(5):
            assert await ask(transport) == b"hello"
        assert provider.connections == 1
        assert (stats.connects, stats.reuses) == (1, 4)


async def test_each_concurrent_request_has_its_own_connection(new_transport: NewTransport) -> None:
    release = asyncio.Event()

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await release.wait()
            await connection.send(HELLO)

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        asking = asyncio.gather(*(ask(transport) for _ in range(8)))
        await until(lambda: len(provider.requests) == 8)
        release.set()
        assert await asking == [b"hello"] * 8
        await asyncio.gather(*(ask(transport) for _ in range(8)))
        assert provider.connections == 8


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ],
)
async def test_connection_announced_to_close_is_not_used_again(new_transport: NewTransport, answer: bytes) -> None:
    async with scripted_provider(answering(answer)) as provider:
        transport = new_transport(provider.url)
        for _ in range(2):
            assert await ask(transport) == b"hello"
        assert provider.connections == 2
        await until(lambda: provider.open == 0)


@pytest.mark.parametrize("kind", ["lean"], indirect=True)  # httpx would take them for the next answer
@pytest.mark.parametrize("extra", [b"stray", HELLO, HELLO[:9], b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("is_late", [False, True])
async def test_bytes_after_the_message_end_the_connection(
    new_transport: NewTransport, extra: bytes, is_late: bool
) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO if is_late else HELLO + extra)
        if is_late:
            await asyncio.sleep(0.02)
            await connection.send(extra)
        await connection.gone()

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        assert await ask(transport) == b"hello"
        await until(lambda: provider.open == 0)
        assert await ask(transport) == b"hello"
        assert provider.connections == 2


async def test_connection_closed_while_idle_is_replaced(new_transport: NewTransport) -> None:
    async with scripted_provider(answering_once(HELLO)) as provider:
        transport = new_transport(provider.url)
        for _ in range(3):
            assert await ask(transport) == b"hello"
            await until(lambda: provider.open == 0)
        assert provider.connections == len(provider.requests) == 3


@pytest.mark.parametrize("is_reset", [False, True])
async def test_request_that_met_a_dying_pooled_connection_is_sent_again_once(
    new_transport: NewTransport, stats: ConnectionStats, is_reset: bool
) -> None:
    """The provider closes its idle connection in the very moment the next request is on its way."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO)
        await connection.reader.readexactly(1)
        if is_reset:
            connection.reset()

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        assert await ask(transport) == b"hello"
        assert await ask(transport, post(b"the body")) == b"hello"
        assert provider.connections == 2
        assert [request.body for request in provider.requests] == [b"{}", b"the body"]
        assert stats.stale_retries == 1


async def test_fresh_connection_that_ends_without_answer_is_a_failure(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()

    async with scripted_provider(handler) as provider:
        with pytest.raises(ConnectionCut):
            await new_transport(provider.url).send(post())
        assert provider.connections == 1


async def test_second_death_in_a_row_is_a_failure(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        if connection.provider.connections == 1:
            await connection.send(HELLO)
            await connection.request()

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        assert await ask(transport) == b"hello"
        with pytest.raises(ConnectionCut):
            await ask(transport)
        assert provider.connections == 2


@pytest.mark.parametrize("kind", ["lean"], indirect=True)  # httpx cannot tell a broken head from none
async def test_pooled_connection_that_ends_within_its_answer_is_not_retried(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO)
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-le")

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        assert await ask(transport) == b"hello"
        with pytest.raises(ConnectionCut):
            await ask(transport)
        assert len(provider.requests) == 2


@pytest.mark.parametrize("kind", ["lean"], indirect=True)  # httpx does not look at the time
async def test_pooled_connection_that_dies_late_may_have_run_the_request(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO)
        await connection.request()
        await asyncio.sleep(0.1)

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url, stale_s_max=0.02)
        assert await ask(transport) == b"hello"
        with pytest.raises(ConnectionCut):
            await ask(transport)
        assert provider.connections == 1


async def test_idle_connection_expires(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        transport = new_transport(provider.url, keepalive_s=0.05)
        assert await ask(transport) == b"hello"
        await asyncio.sleep(0.1)
        assert await ask(transport) == b"hello"
        assert provider.connections == 2


async def test_idle_connections_are_bounded(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        transport = new_transport(provider.url, idle_connections_max=2)
        await asyncio.gather(*(ask(transport) for _ in range(6)))
        await until(lambda: provider.open <= 2)


async def test_refused_connection_is_connect_failed(new_transport: NewTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed):
            await new_transport(f"http://127.0.0.1:{unused.getsockname()[1]}").send(post())


async def test_unknown_host_is_connect_failed(new_transport: NewTransport) -> None:
    with pytest.raises(ConnectFailed):
        await new_transport("http://no-such-host.invalid").send(post())


async def test_connecting_is_given_up_after_connect_s(new_transport: NewTransport) -> None:
    """A listener whose queue is full lets further connections hang, as a dropping firewall does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            with pytest.raises(ConnectFailed):
                await new_transport(
                    f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts={"connect_s": 0.1, "first_byte_s": 1}
                ).send(post())
        finally:
            for filler in fillers:
                filler.close()


async def test_cancelling_before_the_head_closes_the_connection(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.gone()

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        sending = asyncio.ensure_future(transport.send(post()))
        await until(lambda: len(provider.requests) == 1)
        await cancel(sending)
        await until(lambda: provider.open == 0)


async def test_cancelling_a_read_closes_the_connection(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO[:-1])
        await connection.gone()

    async with scripted_provider(handler) as provider:
        response = await new_transport(provider.url).send(post())
        assert await response.read() == b"hell"
        reading = asyncio.ensure_future(response.read())
        await asyncio.sleep(0.01)
        await cancel(reading)
        await until(lambda: provider.open == 0)
        with pytest.raises(UpstreamFailure):
            await response.read()


async def test_aborting_closes_the_connection(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO[:-1])
        await connection.gone()

    async with scripted_provider(handler) as provider:
        response = await new_transport(provider.url).send(post())
        response.abort()
        response.abort()
        await until(lambda: provider.open == 0)


@pytest.mark.parametrize("kind", ["lean"], indirect=True)  # httpx ends the reader with an error of its own
async def test_abort_wakes_a_reader(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO[:-5])
        await connection.gone()

    async with scripted_provider(handler) as provider:
        response = await new_transport(provider.url).send(post())
        reading = asyncio.ensure_future(response.read())
        await asyncio.sleep(0.01)
        response.abort()
        with pytest.raises(ConnectionCut):
            await reading


async def test_abort_after_the_end_leaves_the_connection_in_use(new_transport: NewTransport) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        transport = new_transport(provider.url)
        for _ in range(2):
            response = await transport.send(post())
            while await response.read():
                pass
            response.abort()
        assert provider.connections == 1


async def test_closing_lets_answers_under_way_end(new_transport: NewTransport) -> None:
    finish = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO[:-5])
        await finish.wait()
        await connection.send(b"hello")
        await connection.gone()

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        response = await transport.send(post())
        closing = asyncio.ensure_future(transport.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        finish.set()
        assert await response.read() == b"hello"
        assert await response.read() == b""
        await asyncio.wait_for(closing, 5)
        await until(lambda: provider.open == 0)


async def test_cancelled_closing_aborts_what_is_under_way(new_transport: NewTransport) -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO[:-5])
        await connection.gone()

    async with scripted_provider(handler) as provider:
        transport = new_transport(provider.url)
        response = await transport.send(post())
        closing = asyncio.ensure_future(transport.close())
        await asyncio.sleep(0.01)
        await cancel(closing)
        await until(lambda: provider.open == 0)
        with pytest.raises(UpstreamFailure):
            await response.read()
        response.abort()
