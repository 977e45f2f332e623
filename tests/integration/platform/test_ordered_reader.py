"""The ordered reader on a real broker: bounded, and never mistaken about silence."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from nats.js.api import StreamConfig

from lumen.platform import nats as platform_nats
from lumen.platform.ordered_reader import OrderedReader

_MESSAGES = 10_000  # more than the reader keeps


async def test_a_reader_whose_messages_nobody_takes_keeps_its_place(nats_url: str) -> None:
    nc = await platform_nats.connect(nats_url, name="reader-test")
    stream = f"reader-{uuid4().hex}"
    js = nc.jetstream()
    await js.add_stream(StreamConfig(name=stream, subjects=[f"{stream}.>"]))
    for start in range(0, _MESSAGES, 500):
        numbers = range(start, start + 500)
        await asyncio.gather(*(js.publish(f"{stream}.a", str(number).encode()) for number in numbers))
    reader = OrderedReader(nc, stream, [f"{stream}.>"], start_sequence=1, heartbeat_s=0.5, misses_max=2)
    await reader.start()
    try:
        while not 1.5 < reader.age_s() < float("inf"):  # noqa: ASYNC110  # full, for longer than a silence may last
            await asyncio.sleep(0.05)
        taken: list[bytes] = []
        while len(taken) < _MESSAGES:
            taken += [message.data for message in await reader.read(timeout_s=10)]
        assert taken == [str(number).encode() for number in range(_MESSAGES)]
        assert reader.recreated == 0
    finally:
        await reader.stop()
        await js.delete_stream(stream)
        await nc.close()
