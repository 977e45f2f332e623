"""The engines that every other test stands on: they answer, keep their data over kill -9 and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import nats
import psutil
import pytest
from redis.asyncio import Redis

from tests.fixtures.engines import NatsServer, RedisServer


async def test_nats_keeps_acknowledged_messages_over_kill_9(new_nats: Callable[..., NatsServer]) -> None:
    server = new_nats()
    nc = await nats.connect(server.url)
    await nc.jetstream().add_stream(name="S", subjects=["s.>"])
    ack = await nc.jetstream().publish("s.a", b"one")
    await nc.close()

    server.restart()

    nc = await nats.connect(server.url)
    message = await nc.jetstream().get_msg("S", ack.seq)
    assert message.data == b"one"
    assert nc.max_payload == 8 * 1024 * 1024
    await nc.close()


@pytest.mark.parametrize("binary", [None, "redis-server"])
async def test_redis_keeps_its_data_over_kill_9_and_can_be_emptied(
    new_redis: Callable[..., RedisServer], real_redis_url: str, binary: str | None
) -> None:
    server = new_redis(binary=binary)
    async with Redis.from_url(server.url) as client:
        await client.set("k", "v")
    server.restart()
    async with Redis.from_url(server.url) as client:
        assert await client.get("k") == b"v"
        server.flush()
        assert await client.get("k") is None


def test_stopped_engine_is_gone_and_starts_again_on_its_port(new_nats: Callable[..., NatsServer]) -> None:
    server = new_nats()
    pid, port = server.pid, server.port
    server.stop()
    assert not psutil.pid_exists(pid)
    server.start()
    assert server.port == port
    assert server.pid != pid
