"""A proxy in front of NATS that delivers stream messages twice, out of order, or not at all.

It reads the broker's side of the client protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol) and
tampers only with MSG and HMSG whose reply subject is a delivery's (`$JS.ACK...`); everything else passes untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from urllib.parse import urlsplit


class TamperingProxy:
    """For one client. `url` is the broker's, through the proxy. Of a hundred deliveries about `percent` are tampered
    with, decided by `seed`. Use as an async context manager."""

    def __init__(self, upstream_url: str, *, percent: int = 10, seed: int = 1) -> None:
        self._upstream = urlsplit(upstream_url)
        self._percent = percent
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_held = False
        self.tampered = {"twice": 0, "swapped": 0, "dropped": 0}

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> TamperingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=16 * 1024 * 1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(self._upstream.hostname, self._upstream.port, limit=16 * 1024 * 1024)
        pumps = [
            asyncio.create_task(_copy(reader, upstream[1])),
            asyncio.create_task(self._tamper(upstream[0], writer)),
        ]
        self._tasks |= set(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, upstream[1]):
            end.transport.abort()

    async def _tamper(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = b""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                words = line.split()
                if words[:1] not in ([b"MSG"], [b"HMSG"]):
                    writer.write(line)
                    continue
                frame = line + await reader.readexactly(int(words[-1]) + 2)
                if not any(word.startswith(b"$JS.ACK.") for word in words[3:]):
                    writer.write(frame)
                    continue
                writer.write(self._deliver(frame, held))
                held = frame if self._is_held else b""
                await writer.drain()

    def _deliver(self, frame: bytes, held: bytes) -> bytes:
        """What goes to the client now; a held frame goes behind the next one."""
        was_held, self._is_held = self._is_held, False
        if was_held:
            return frame + held
        if self._random.randrange(100) >= self._percent:
            return frame
        kind = self._random.choice(list(self.tampered))
        self.tampered[kind] += 1
        if kind == "twice":
            return frame + frame
        self._is_held = kind == "swapped"
        return b""


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
