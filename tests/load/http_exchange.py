"""The client's half of HTTP/1.1 on one connection: one exchange at a time, everything received kept as it came.

idle -> `exchange()` -> waiting -> the message is whole (reusable) | the connection failed (never reused)
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

import httptools

_BODY_BYTES_MAX = 64 * 1024**2


class HttpExchange(asyncio.Protocol):
    """`status` 0: no status line yet. `first_byte_at` and gaps are of the body, by `time.perf_counter`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._ended: asyncio.Future[None] | None = None
        self.failure = ""
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._last_byte_at = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_whole = False
        self.first_byte_at = 0.0
        self.gap_s_max = 0.0
        self._is_last = False

    @property
    def is_reusable(self) -> bool:
        return self._transport is not None and not self.failure and not self._is_last

    async def exchange(self, request: bytes) -> None:
        """Returns when the message is whole, or when nothing more can come (`failure`)."""
        self._reset()
        if self._transport is None:
            return
        self._ended = self._loop.create_future()
        self._transport.write(request)
        try:
            await self._ended
        finally:
            self._ended = None

    def fail(self, why: str) -> None:
        """Give the connection up; the first reason stays."""
        self.failure = self.failure or why
        self.abort()
        self._end()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    # --- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.failure = self.failure or f"the connection was lost: {error or 'closed by the server'}"
        self._end()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(f"not HTTP: {error!r}")

    # --- the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._is_last = not self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.first_byte_at:
            self.first_byte_at = now
        else:
            self.gap_s_max = max(self.gap_s_max, now - self._last_byte_at)
        self._last_byte_at = now
        self.body += data
        if len(self.body) > _BODY_BYTES_MAX:
            raise ValueError("the body is too large")

    def on_message_complete(self) -> None:
        self.is_whole = True
        self._end()
