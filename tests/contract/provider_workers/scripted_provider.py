"""A provider whose every byte the test decides: a handler per connection over `asyncio.start_server`."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_HEAD_BYTES_MAX = 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Received:
    line: bytes
    headers: dict[bytes, bytes]
    body: bytes


class Connection:
    def __init__(self, provider: ScriptedProvider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.provider = provider
        self.reader = reader
        self.writer = writer

    async def head(self) -> Received:
        """The next request without its body."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        pairs = [line.partition(b": ") for line in lines[1:] if line]
        received = Received(lines[0], {name.lower(): value for name, _, value in pairs}, b"")
        self.provider.requests.append(received)
        return received

    async def request(self) -> Received:
        received = await self.head()
        received.body = await self.reader.readexactly(int(received.headers.get(b"content-length", b"0")))
        return received

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a segment of its own, so that it is likely to be read alone."""
        for piece in pieces:
            if self.writer.transport.is_closing():  # uvloop answers a write then with RuntimeError
                raise ConnectionResetError
            self.writer.write(piece)
            await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0)

    async def gone(self) -> None:
        """Until the client has closed the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        """End with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()


Handler = Callable[[Connection], Awaitable[None]]


@dataclass
class ScriptedProvider:
    scheme: str = "http"
    port: int = 0
    connections: int = 0
    open: int = 0
    requests: list[Received] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}" if self.scheme == "https" else f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def scripted_provider(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedProvider]:
    """Runs `handler` for every connection and closes it afterwards. What a handler raises fails the test; a client that
    goes away does not."""
    provider = ScriptedProvider("https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        provider.connections += 1
        provider.open += 1
        try:
            await handler(Connection(provider, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        except Exception as error:
            provider.errors.append(error)
        finally:
            provider.open -= 1
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_HEAD_BYTES_MAX, ssl=tls)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not provider.errors, provider.errors


def answering(*pieces: bytes) -> Handler:
    """Answer every request of a connection with these bytes, and keep the connection open."""

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(*pieces)

    return handler


def answering_once(*pieces: bytes) -> Handler:
    """Answer one request with these bytes, then close."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(*pieces)

    return handler
