"""One HTTP/1.1 connection to a provider.

    new -> busy -> idle -> busy -> ... -> closed

It is busy from `start` until the answer is whole, and goes back to its pool only if that answer ended cleanly: framed
by a length or chunks, keep-alive, nothing after it, nothing of the request unsent. An answer framed by the
connection's end is whole at EOF and cut by a reset. Whatever else happens closes the connection and fails the answer.
1xx heads are skipped, trailers dropped.

Time: one timer per connection, never touched per request or per read. It fires at least every `tick_s` (the shortest of
the timeouts), compares the clock with the deadline and re-arms itself; as no deadline is set less than `tick_s` ahead,
none is missed.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

import httptools

from services.edge.provider_workers.lean.response import LeanResponse
from services.edge.provider_workers.transport import (
    ConnectionCut,
    ProtocolViolation,
    TransportOptions,
    UpstreamFailure,
    UpstreamTimeout,
)

_ONE_WRITE_BYTES_MAX = 64 * 1024
_UPLOAD_PIECE_BYTES = 256 * 1024
# Chunk extensions and trailers: bytes received without any of the body among them.
_FRAMING_BYTES_MAX = 64 * 1024
_TCP_KEEPALIVE_S = 60
_BODILESS = (204, 304)


class StaleConnection(ConnectionCut):
    """A pooled connection that had been closed before the request reached it: send again on another."""


class Owner(Protocol):
    """The pool, as a connection sees it."""

    def opened(self, connection: LeanConnection) -> None: ...

    def freed(self, connection: LeanConnection) -> bool:
        """The connection is idle; False: it is not wanted any more."""
        ...

    def left(self, connection: LeanConnection) -> None:
        """It must not be handed out again. May be told several times."""
        ...

    def lost(self, connection: LeanConnection) -> None:
        """It is closed."""
        ...


class LeanConnection(asyncio.Protocol):
    __slots__ = (
        "_deadline",
        "_first_byte_s",
        "_framing_bytes",
        "_has_bytes",
        "_has_head",
        "_head_bytes",
        "_header_count",
        "_headers",
        "_idle_s",
        "_is_head_request",
        "_is_interim",
        "_is_read_paused",
        "_is_reused",
        "_is_until_close",
        "_is_whole",
        "_is_write_paused",
        "_keeps_alive",
        "_loop",
        "_options",
        "_owner",
        "_parser",
        "_response",
        "_started_at",
        "_tick_s",
        "_timer",
        "_total_deadline",
        "_total_s",
        "_transport",
        "_unsent",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, options: TransportOptions, owner: Owner) -> None:
        timeouts = options.timeouts
        self._loop = loop
        self._options = options
        self._owner = owner
        self._first_byte_s, self._idle_s, self._total_s = timeouts.first_byte_s, timeouts.idle_s, timeouts.total_s
        self._tick_s = min(timeouts.first_byte_s, timeouts.idle_s, timeouts.total_s, options.keepalive_s)
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._response: LeanResponse | None = None
        self._headers: dict[bytes, bytes] = {}
        self._unsent: memoryview | None = None
        self._deadline = self._total_deadline = self._started_at = 0.0
        self._head_bytes = self._header_count = self._framing_bytes = 0
        self._has_head = self._has_bytes = self._is_interim = self._is_whole = False
        self._keeps_alive = self._is_until_close = self._is_head_request = False
        self._is_reused = self._is_write_paused = self._is_read_paused = False

    # --- requests

    def start(self, is_head_request: bool, head: bytes, body: bytes) -> LeanResponse:
        """Send a request on this new or idle connection."""
        assert self._transport is not None, "not connected"
        response = self._response = LeanResponse(self._loop, self)
        self._head_bytes = self._header_count = self._framing_bytes = 0
        self._has_head = self._has_bytes = self._is_whole = self._is_until_close = False
        self._is_interim = self._keeps_alive = False
        self._is_head_request = is_head_request
        now = self._started_at = self._loop.time()
        self._total_deadline = now + self._total_s
        self._deadline = now + self._first_byte_s
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_s, self._tick)
        if len(body) <= _ONE_WRITE_BYTES_MAX:
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self._unsent = memoryview(body)
            self._upload()
        return response

    def reset_idle(self, idle_s: float) -> None:
        """Close this idle connection in `idle_s`."""
        self._is_reused = True
        self._deadline = self._total_deadline = self._loop.time() + idle_s

    def _upload(self) -> None:
        """As much of a large body as the socket takes; `resume_writing` goes on."""
        assert self._transport is not None
        while self._unsent is not None and not self._is_write_paused and not self._transport.is_closing():
            piece, rest = self._unsent[:_UPLOAD_PIECE_BYTES], self._unsent[_UPLOAD_PIECE_BYTES:]
            self._unsent = rest if len(rest) else None
            self._transport.write(piece)

    def wait_for_body(self) -> None:
        self._deadline = self._loop.time() + self._idle_s
        if self._is_read_paused:
            self._resume_reading()

    def abort(self) -> None:
        """Close without ceremony. An answer under way must have been ended before."""
        self._response = None
        self._owner.left(self)
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection; with TLS it says goodbye."""
        self._owner.left(self)
        if self._transport is not None:
            self._transport.close()

    def give_up(self) -> None:
        """Abort, failing an answer under way."""
        self._fail(ConnectionCut("the edge is closing"))

    # --- the socket

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:  # finds a peer that vanished behind a NAT before `first_byte_s` does
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _TCP_KEEPALIVE_S)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or self._parser is None:
            self.abort()  # nobody asked
            return
        self._has_bytes = True
        is_clean = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ProtocolViolation("the provider switched protocols"))
            return
        except httptools.HttpParserError as error:
            is_clean = False
            if not self._is_whole:
                cause = error.__context__
                self._fail(cause if isinstance(cause, UpstreamFailure) else ProtocolViolation(f"not HTTP: {error}"))
                return
        if self._is_whole:
            self._finish(response, is_clean)
        elif not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._options.head_bytes_max:
                self._fail(ProtocolViolation(f"the head is larger than {self._options.head_bytes_max} bytes"))
        elif response.buffered_bytes:
            self._framing_bytes = 0
            if response.hand_on():
                self._deadline = self._loop.time() + self._idle_s
            elif response.has_waiter:
                response.wake()
            elif response.buffered_bytes > self._options.buffer_bytes_max:
                self._pause_reading()
        else:
            self._framing_bytes += len(data)
            if self._framing_bytes > max(_FRAMING_BYTES_MAX, len(data)):
                self._fail(ProtocolViolation("chunk extensions or trailers without end"))

    def eof_received(self) -> None:
        self._owner.left(self)
        response = self._response
        if response is None:
            return
        if self._is_until_close:
            self._finish(response, is_clean=False)
        else:
            self._fail(self._cut("the provider closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        self._owner.left(self)
        if self._response is not None:
            self._fail(self._cut(f"the connection was lost: {error}" if error else "the connection was lost"))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parser = None  # it and its callbacks are a reference cycle
        self._unsent = None
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        if self._unsent is not None:
            self._deadline = self._loop.time() + self._first_byte_s  # the provider takes the body: it is alive
            self._upload()

    def _pause_reading(self) -> None:
        if not self._is_read_paused and self._transport is not None and not self._transport.is_closing():
            self._is_read_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._is_read_paused = False
            self._transport.resume_reading()

    # --- the parser's callbacks; what they raise comes back from `feed_data` as the error's context

    def on_message_begin(self) -> None:
        if self._is_whole:
            raise ProtocolViolation("bytes after the message")
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            return  # a trailer
        self._header_count += 1
        name = name.lower()
        headers = self._headers
        headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status: int = self._parser.get_status_code()
        if self._header_count > self._options.headers_max:
            raise ProtocolViolation(f"more than {self._options.headers_max} headers")
        if status < 200:
            if status == 101:
                raise ProtocolViolation("the provider switched protocols")
            self._is_interim = True
            return
        self._is_interim = False
        headers = self._headers
        if b"content-length" not in headers and status not in _BODILESS:
            coding = headers.get(b"transfer-encoding")
            if coding is None:
                self._is_until_close = True
            elif coding.lower() != b"chunked":
                raise ProtocolViolation("unknown transfer-encoding")
        response = self._response
        assert response is not None
        self._has_head = True
        response.headers = headers
        response.status = status
        if self._is_head_request:
            self._is_whole = True  # and closes: the parser would wait for the body it announces
        response.wake()

    def on_body(self, data: bytes) -> None:
        if self._response is not None and not self._is_head_request:
            self._response.add(data)

    def on_message_complete(self) -> None:
        if self._is_interim:
            return
        assert self._parser is not None
        self._is_whole = True
        self._keeps_alive = not self._is_head_request and self._parser.should_keep_alive()

    # --- endings

    def _finish(self, response: LeanResponse, is_clean: bool) -> None:
        self._response = None
        response.complete()
        if self._is_read_paused:
            self._resume_reading()
        if self._unsent is not None or self._is_write_paused:
            self.abort()  # answered early: closing in order would wait until the rest is sent
        elif not (is_clean and self._keeps_alive and self._is_whole and self._owner.freed(self)):
            self.close()

    def _fail(self, failure: UpstreamFailure) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.fail(failure)
        self.abort()

    def _cut(self, text: str) -> ConnectionCut:
        if self._is_reused and not self._has_bytes and self._loop.time() - self._started_at < self._options.stale_s_max:
            return StaleConnection(text)
        return ConnectionCut(text)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        response = self._response
        if response is None:
            if now >= self._deadline:
                self.close()  # idle for long enough
                return
        elif now >= self._total_deadline:
            self._fail(UpstreamTimeout(f"the answer took longer than {self._total_s:g} s (total_s)"))
            return
        elif now >= self._deadline and response.has_waiter:
            limit = f"{self._idle_s:g} s (idle_s)" if self._has_head else f"{self._first_byte_s:g} s (first_byte_s)"
            self._fail(UpstreamTimeout(f"nothing came from the provider for {limit}"))
            return
        due = min(self._total_deadline, now + self._tick_s)
        if self._deadline > now:
            due = min(due, self._deadline)
        self._timer = self._loop.call_at(due, self._tick)
