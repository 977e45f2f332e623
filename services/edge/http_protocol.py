"""uvicorn's HTTP/1.1 protocol with what an edge on the open internet needs besides.

* Limits. A request's head is at most `header_bytes_max` and arrives within `head_s_max`; else 431 or 408, and the
  connection closes. uvicorn's own keep-alive timer covers the time between requests.
* Departure. `on_gone` is called when the client has gone, so that no task has to wait for it.
* A short way in and out for the model endpoints, past ASGI's messages, which cost as much as the relay itself: a body
  that has come whole is taken at once, an answer is one write. Everything else goes through ASGI as usual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

# In the ASGI scope.
PROTOCOL_KEY = "lumen.protocol"
CYCLE_KEY = "lumen.cycle"  # the request's own, as pipelined ones share the protocol

Headers = list[tuple[bytes, bytes]]

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b"
)
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE_BODY = (
    b'{"error":{"message":"The request headers are too large.","type":"invalid_request_error",'
    b'"param":null,"code":"request_headers_too_large"}}'
)


class EdgeHttpProtocol(HttpToolsProtocol):
    # Set once by `limited`.
    header_bytes_max = 64 * 1024
    head_s_max = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_closed = False
        self.on_gone: Callable[[], None] | None = None
        self._head_bytes = 0
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.head_s_max, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._cancel_head_timer()
        super().connection_lost(exc)
        callback, self.on_gone = self.on_gone, None
        if callback is not None:
            callback()

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            # Counted before parsing, so a read that also brings a body counts as head; the allowance covers it.
            self._head_bytes += len(data)
            super().data_received(data)
            if self._is_in_head and self._head_bytes:
                self._guard_head()
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._is_in_head = True
        super().on_message_begin()
        self.scope[PROTOCOL_KEY] = self  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        self._cancel_head_timer()
        scope = self.scope
        super().on_headers_complete()
        scope[CYCLE_KEY] = self.cycle  # type: ignore[literal-required]

    def on_message_complete(self) -> None:
        self._is_in_head = True
        super().on_message_complete()

    # ---- past ASGI

    def take_whole_body(self, cycle: RequestResponseCycle) -> bytes | None:
        """None: not all of it has come yet; then ASGI's `receive` tells."""
        if cycle.more_body:
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        return body

    def write_answer(self, cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer. Nothing when the client has gone."""
        if not cycle.disconnected:
            headers.append((b"content-length", b"%d" % len(body)))
            self.transport.write(self._head(cycle, status, headers) + body)
            self._end(cycle)

    def start_chunks(self, cycle: RequestResponseCycle, headers: Headers) -> None:
        if not cycle.disconnected:
            headers.append((b"transfer-encoding", b"chunked"))
            self.transport.write(self._head(cycle, 200, headers))

    def write_chunk(self, cycle: RequestResponseCycle, data: bytes, *, is_last: bool) -> None:
        if cycle.disconnected:
            return
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self.transport.write(chunk + b"0\r\n\r\n" if is_last else chunk)
        if is_last:
            self._end(cycle)

    def abort(self, cycle: RequestResponseCycle) -> None:
        """Cut the connection: what was sent must not look complete."""
        cycle.disconnected = True
        self.transport.abort()

    def _head(self, cycle: RequestResponseCycle, status: int, headers: Headers) -> bytes:
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        if not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        return b"".join((STATUS_LINE[status], *lines, b"\r\n"))

    def _end(self, cycle: RequestResponseCycle) -> None:
        """As uvicorn's own `send` does after the last byte."""
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    # ---- limits

    def _guard_head(self) -> None:
        """The head is not complete yet."""
        if self._head_bytes > self.header_bytes_max and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE % (len(_TOO_LARGE_BODY), _TOO_LARGE_BODY))
            self.transport.close()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s_max, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            if self._head_bytes:
                self.transport.write(_TOO_SLOW)
            self.transport.close()

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def limited(header_bytes_max: int, head_s_max: float) -> type[EdgeHttpProtocol]:
    """The protocol class with these limits: uvicorn takes a class and passes no settings to it."""
    limits = {"header_bytes_max": header_bytes_max, "head_s_max": head_s_max}
    return type("LimitedEdgeHttpProtocol", (EdgeHttpProtocol,), limits)
