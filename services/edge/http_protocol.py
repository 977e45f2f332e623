"""uvicorn's HTTP/1.1 protocol with what an edge on the open internet needs besides.

* Limits. A request's head is at most `header_bytes_max` and arrives within `head_s_max`; else 431 or 408, and the
  connection closes. uvicorn's own keep-alive timer covers the time between requests. What comes while an answer is
  under way never writes into it: a pipelined head is judged when the answer has ended.
* Departure. `on_gone` is called when the client has gone, so that no task has to wait for it. A client that stops
  reading is as good as gone: `until_writable` and the last bytes wait for it at most `stalled_s_max`.
* Closing. An answer that closes the connection before the request has come whole still reaches its client: the rest of
  the request is read and thrown away for a moment, as closing at once would reset the connection under the answer.
* A short way in and out for the model endpoints (`short_ways`), past ASGI's scope and messages, which cost as much as
  the relay itself: a body that has come whole is taken at once, an answer is one write. Everything else goes through
  ASGI as usual.
* One timer per connection for idleness, which looks at the clock, in place of uvicorn's two timer calls per request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from services.edge.client_flow import ClientFlow, Pipeline
from services.edge.request_ids import new_request_id
from services.edge.short_cycle import ShortCycle, ShortWay

Headers = list[tuple[bytes, bytes]]

# How long the rest of an unwanted request is read.
_LINGER_S = 2.0
# How long a connection waits for one more request when the server stops.
_LEAVING_S = 1.0
_CLOSE = (b"connection", b"close")
_REFUSALS = {
    400: b"The request is not valid HTTP.",
    408: b"The request headers did not arrive in time.",
    431: b"The request headers are too large.",
}
_CODES = {400: b"invalid_http", 408: b"request_timeout", 431: b"request_headers_too_large"}


class ClientStalled(Exception):
    """The client has stopped reading; its connection is cut."""


class EdgeHttpProtocol(HttpToolsProtocol):
    # Set once by `limited`.
    header_bytes_max = 64 * 1024
    head_s_max = 30.0
    stalled_s_max = 120.0
    on_stalled: Callable[[], None] = staticmethod(lambda: None)
    short_ways: Mapping[bytes, ShortWay] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = Pipeline()  # type: ignore[assignment]
        self.is_closed = False
        self.on_gone: Callable[[], None] | None = None
        self._running: RequestResponseCycle | None = None  # `cycle` may already be a pipelined one
        self._head_bytes = 0
        self._is_in_head = True
        self._has_begun = False
        self._is_head_too_large = False
        self._is_lingering = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._flush_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0  # the loop's time; 0: not idle
        self._is_leaving = False  # the server stops: the next answer is this connection's last

    @property
    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = ClientFlow(transport)  # type: ignore[assignment]
        self._head_timer = self.loop.call_later(self.head_s_max, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._cancel_head_timer()
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._is_answering and self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)
        callback, self.on_gone = self.on_gone, None
        if callback is not None:
            callback()

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        if self._is_in_head:
            # Counted before parsing, so a read that also brings a body counts as head; `_is_too_large` looks closer.
            self._head_bytes += len(data)
            super().data_received(data)
            if self._is_in_head and self._head_bytes:
                self._guard_head()
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._is_in_head = self._has_begun = True
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._head_bytes > self.header_bytes_max and self._is_too_large():
            self._is_head_too_large = True
            raise httptools.HttpParserError("the head is too large")
        self._is_in_head = self._has_begun = False
        self._head_bytes = 0
        self._cancel_head_timer()
        self.expect_100_continue = _expects_continue(self.headers)
        path, query = _split_target(self.url)
        serve = self.short_ways.get(path)
        if serve is not None and self.parser.get_method() == b"POST":
            self._begin_short(serve, path, query)
        else:
            self._begin_asgi()

    def _begin_short(self, serve: ShortWay, path: bytes, query: bytes) -> None:
        earlier = self.cycle
        cycle = self.cycle = ShortCycle(
            self,
            serve,
            path.decode(),
            query,
            self.headers,
            keep_alive=self.parser.get_http_version() != "1.0"
            and self.parser.should_keep_alive()
            and not self._is_leaving,
            expects_continue=self.expect_100_continue,
        )
        if earlier is None or earlier.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _begin_asgi(self) -> None:
        url, headers, expects_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the scope
        self.url, self.expect_100_continue = url, expects_continue
        self.headers.extend(headers)
        super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if type(cycle) is not ShortCycle:
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.add(body)

    def on_message_complete(self) -> None:
        self._is_in_head = True
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        ended = self._running
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            else:
                self._idle_begins()
        if ended is not None and ended.more_body and not self._is_lingering:
            self._close(is_request_whole=False)
        elif self.transport.get_write_buffer_size():
            self._watch_flush()
        if self._head_bytes and not self._is_answering:
            self._guard_head()  # what came during the answer

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    # ---- the end

    def shutdown(self) -> None:
        """The server stops (uvicorn calls this once). A client that was not told `connection: close` may be sending its
        next request right now, which a closed connection would lose: that one is still answered, and told."""
        if self._is_answering and self._running is not None and not self._running.response_started:
            self._running.keep_alive = False
            return
        self._is_leaving = True
        self.loop.call_later(_LEAVING_S, self._leave)

    def _leave(self) -> None:
        if self.is_closed or self._is_answering or self._has_begun:
            return  # what is under way ends with `connection: close`, or with the connection's next idle moment
        self.transport.close()

    # ---- idleness

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = 0.0

    def _idle_begins(self) -> None:
        self._idle_since = self.loop.time()
        if self._is_leaving:  # the end of a stream whose head could not tell
            self.loop.call_later(_LEAVING_S, self._leave)
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def _check_idle(self) -> None:
        self._idle_timer = None
        if not self._idle_since:
            return  # the next answer's end starts it again
        due = self._idle_since + self.timeout_keep_alive
        if self.loop.time() < due:
            self._idle_timer = self.loop.call_at(due, self._check_idle)
        elif self.transport.get_write_buffer_size():
            self._watch_flush()  # a slow reader of its last answer is not idle
        elif not self.transport.is_closing():
            self.transport.close()

    # ---- past ASGI

    async def until_writable(self) -> None:
        """Wait while the client's buffer is full. Raises ClientStalled when nothing moves for `stalled_s_max`."""
        if not self.flow.write_paused:
            return
        try:
            async with asyncio.timeout(self.stalled_s_max):
                await self.flow.drain()
        except TimeoutError:
            self._cut_stalled()
            raise ClientStalled from None

    def write_answer(self, cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer. Nothing when the client has gone."""
        if cycle.disconnected:
            return
        if cycle.more_body or _CLOSE in headers:
            cycle.keep_alive = False  # what has not come yet is not wanted
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
        if not cycle.keep_alive and _CLOSE not in headers:
            headers.append(_CLOSE)
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        return b"".join((STATUS_LINE[status], *lines, b"\r\n"))

    def _end(self, cycle: RequestResponseCycle) -> None:
        """As uvicorn's own `send` does after the last byte."""
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._close(is_request_whole=not cycle.more_body)
        cycle.on_response()

    # ---- closing

    def _close(self, *, is_request_whole: bool) -> None:
        """After the last answer's bytes have been handed to the transport."""
        if is_request_whole or not self.transport.can_write_eof():
            self.transport.close()
            self._watch_flush()
            return
        self._is_lingering = True
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_S, self.transport.close)
        self._watch_flush()

    def _watch_flush(self) -> None:
        """The last bytes are on their way: until they are gone, they have to make progress."""
        if self._flush_timer is None and not self.is_closed:
            size = self.transport.get_write_buffer_size()
            self._flush_timer = self.loop.call_later(self.stalled_s_max, self._check_flush, size)

    def _check_flush(self, size_before: int) -> None:
        self._flush_timer = None
        size = self.transport.get_write_buffer_size()
        if size and size >= size_before and not self._is_answering:
            self._cut_stalled()
        elif size:
            self._watch_flush()
        elif self._idle_since:
            self._idle_begins()

    def _cut_stalled(self) -> None:
        if not self.is_closed:
            type(self).on_stalled()
            self.transport.abort()

    # ---- limits

    def send_400_response(self, msg: str) -> None:
        """The parser has given up on what came. uvicorn calls this."""
        if self._is_answering and self._running is not None:
            # What follows a request is broken, not the request: its answer goes on, then the connection closes.
            self._running.keep_alive = False
            self._is_lingering = True
            self._cancel_head_timer()
            return
        self._refuse(431 if self._is_head_too_large else 400)

    def _is_too_large(self) -> bool:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.header_bytes_max

    def _guard_head(self) -> None:
        """The head is not complete yet."""
        if self._head_bytes > self.header_bytes_max:
            if self._is_answering:
                self.flow.pause_reading()
            else:
                self._refuse(431)
        elif self._head_timer is None and not self._is_answering:
            self._head_timer = self.loop.call_later(self.head_s_max, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._has_begun:
            self._refuse(408)
        elif not self.transport.is_closing():
            self.transport.close()  # said nothing, gets nothing

    def _refuse(self, status: int) -> None:
        """Of a request whose head has not come whole: nothing is known of its dialect."""
        if self.transport.is_closing() or self._is_lingering:
            return
        self._cancel_head_timer()
        body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"%b"}}' % (
            _REFUSALS[status],
            _CODES[status],
        )
        head = b"content-type: application/json\r\nconnection: close\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n"
        request_id = new_request_id().encode()
        self.transport.write(STATUS_LINE[status] + head % (request_id, len(body)) + body)
        self._close(is_request_whole=False)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _split_target(target: bytes) -> tuple[bytes, bytes]:
    """(path, query). Raises HttpParserError. A target may also be a whole URL, as sent to proxies (RFC 9112, 3.2.2)."""
    path, _, query = target.partition(b"?")
    if path.startswith(b"/") and b"%" not in path:
        return path, query
    parsed = httptools.parse_url(target)
    return unquote_to_bytes(parsed.path or b""), parsed.query or b""


def _expects_continue(headers: Headers) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def limited(
    header_bytes_max: int,
    head_s_max: float,
    stalled_s_max: float,
    on_stalled: Callable[[], None],
    short_ways: Mapping[bytes, ShortWay] | None = None,
) -> type[EdgeHttpProtocol]:
    """The protocol class with these limits: uvicorn takes a class and passes no settings to it. `on_stalled` is called
    for each client that is cut off because it stopped reading. `short_ways`: path -> what serves a POST to it."""
    members = {
        "header_bytes_max": header_bytes_max,
        "head_s_max": head_s_max,
        "stalled_s_max": stalled_s_max,
        "on_stalled": staticmethod(on_stalled),
        "short_ways": short_ways or {},
    }
    return type("LimitedEdgeHttpProtocol", (EdgeHttpProtocol,), members)
