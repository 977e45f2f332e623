"""The short way through nats-py's client, against a real server: it keeps what the long way promises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats.errors import ConnectionReconnectingError

from services.edge.metering.ledger_client import LedgerClient
from tests.fixtures.engines import NatsServer

Connect = Callable[[str], Awaitable[LedgerClient]]
HEADERS = b"NATS/1.0\r\nX-Number: %d\r\n\r\n"


async def test_headers_reply_and_payload_arrive_and_so_does_the_answer(
    new_nats: Callable[..., NatsServer], connect: Connect
) -> None:
    server = new_nats()
    nc, other = await connect(server.url), await connect(server.url)
    answers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    await nc.subscribe_directly("answers.*", lambda subject, data: answers.put_nowait((subject, data)))
    asked = await other.subscribe("asked")
    await other.flush()

    await nc.publish_now("asked", "answers.1", HEADERS % 7, b"pay\r\nload")
    message = await asked.next_msg(timeout=5)
    assert (message.data, message.reply, message.headers) == (b"pay\r\nload", "answers.1", {"X-Number": "7"})
    await other.publish(message.reply, b"yes")
    assert await asyncio.wait_for(answers.get(), 5) == ("answers.1", b"yes")


async def test_what_waits_in_the_library_goes_first(new_nats: Callable[..., NatsServer], connect: Connect) -> None:
    server = new_nats()
    nc, other = await connect(server.url), await connect(server.url)
    seen = await other.subscribe("order")
    await other.flush()
    for number in range(0, 100, 2):
        await nc.publish("order", b"%d" % number)  # waits for the flusher, a task
        await nc.publish_now("order", "", HEADERS % number, b"%d" % (number + 1))
    assert [(await seen.next_msg(timeout=5)).data for _ in range(100)] == [b"%d" % number for number in range(100)]


async def test_without_a_connection_it_says_so_and_goes_on_after_it_is_back(
    new_nats: Callable[..., NatsServer], connect: Connect
) -> None:
    server = new_nats()
    nc = await connect(server.url)
    received: asyncio.Queue[bytes] = asyncio.Queue()
    await nc.subscribe_directly("echo", lambda subject, data: received.put_nowait(data))
    await nc.flush()
    server.kill()
    await until(lambda: not nc.is_connected)
    with pytest.raises(ConnectionReconnectingError):
        await nc.publish_now("echo", "", HEADERS % 1, b"lost")
    server.start()
    await until(lambda: nc.is_connected)
    await nc.publish_now("echo", "", HEADERS % 2, b"back")
    assert await asyncio.wait_for(received.get(), 5) == b"back"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
