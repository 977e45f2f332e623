"""HTTP/1.1 over asyncio and httptools: parsing, keep-alive, slow readers, the end of a process. No rules of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from urllib.parse import unquote

import httptools

from simulator.http import Ending, Reply, Request, encode_head
from simulator.playback import Playback
from simulator.records import Stats

_BODY_BYTES_MAX = 64 * 1024**2
_HEADER_BYTES_MAX = 256 * 1024
_PIPELINED_MAX = 16
_BACKLOG = 1024
_STOP_S_MAX = 2.0
_REFUSAL = encode_head(400, [("content-length", "0"), ("connection", "close")])


class Server:
    """Listens, and knows its open connections so that it can end them."""

    def __init__(self, handle: Callable[[Request], Reply], stats: Stats) -> None:
        self._handle = handle
        self._stats = stats
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Port 0 picks a free one. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._stats, self._connections, loop), host, port, backlog=_BACKLOG
        )

    async def stop(self) -> None:
        """Take no more requests; answers under way have a moment to end."""
        assert self._server is not None, "not started"
        self._server.close()
        for connection in list(self._connections):
            connection.finish()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STOP_S_MAX
        while self._connections and loop.time() < deadline:  # noqa: ASYNC110  # rare; not worth an event each
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()


class Connection(asyncio.Protocol):
    """One client. Requests are answered one after the other; a few may wait (pipelining), then reading pauses."""

    def __init__(
        self,
        handle: Callable[[Request], Reply],
        stats: Stats,
        connections: set[Connection],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._handle = handle
        self._stats = stats
        self._connections = connections
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._playback: Playback | None = None
        self._tag: str | None = None
        self._is_busy = self._is_last = self._is_slow = False
        self._reset_message()

    # --- the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's is none by type
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._playback is not None:
            self._playback.cancel()
            self._playback = None
        if self._is_busy and self._tag is not None:
            self._stats.disconnected(self._tag)
        self._waiting.clear()

    def pause_writing(self) -> None:
        self._is_slow = True
        if self._playback is not None:
            self._playback.hold()

    def resume_writing(self) -> None:
        self._is_slow = False
        if self._playback is not None:
            self._playback.release()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse()

    def finish(self) -> None:
        """Close now when idle, else after the reply under way."""
        self._is_last = True
        if not self._is_busy:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # --- the parser

    def _reset_message(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = self._body_bytes = 0
        self._body: list[bytes] = []

    def on_message_begin(self) -> None:
        self._reset_message()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header_bytes(len(name) + len(value))
        key, text = name.lower().decode("latin-1"), value.decode("latin-1")
        earlier = self._headers.get(key)
        self._headers[key] = text if earlier is None else f"{earlier}, {text}"

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and not self._is_busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > _BODY_BYTES_MAX:
            raise ValueError("too large")
        self._body.append(data)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=unquote(path) if "%" in path and "/models/" not in path else path,
            query=query,
            headers=self._headers,
            body=b"".join(self._body),
        )
        keep_alive = self._parser.should_keep_alive()
        if self._is_busy:
            self._waiting.append((request, keep_alive))
            if len(self._waiting) >= _PIPELINED_MAX:
                self._transport.pause_reading()
        else:
            self._reply(request, keep_alive)

    def _count_header_bytes(self, count: int) -> None:
        self._header_bytes += count
        if self._header_bytes > _HEADER_BYTES_MAX:
            raise ValueError("too large")

    # --- replies

    def _reply(self, request: Request, keep_alive: bool) -> None:
        reply = self._handle(request)
        self._is_busy = True
        self._is_last = self._is_last or not keep_alive
        self._tag = reply.answer_tag
        if self._tag is not None:
            self._stats.started(self._tag)
        self._playback = Playback(reply, self._transport, self._loop, self._replied)
        if self._is_slow:
            self._playback.hold()
        self._playback.start()

    def _replied(self, ending: Ending) -> None:
        self._playback = None
        if ending is Ending.HANG:
            return  # busy until the client goes
        self._is_busy = False
        if self._tag is not None:
            self._stats.ended(self._tag, ending)
        if ending is Ending.RESET:
            self._reset_connection()
        elif ending is Ending.CUT or self._is_last:
            self._transport.close()
        elif self._waiting:
            self._loop.call_soon(self._next_reply)

    def _next_reply(self) -> None:
        if self._waiting and not self._is_busy and not self._transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            self._transport.resume_reading()
            self._reply(request, keep_alive)

    def _reset_connection(self) -> None:
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _refuse(self) -> None:
        self._transport.write(_REFUSAL)
        self._transport.close()
