"""The client's side of one exchange: reading its body, writing its answer, noticing that it has gone.

A thin layer over ASGI so that relays speak of answers and frames. Writes to a client that has gone are no-ops (uvicorn
drops them): the relay goes on because the provider's answer must still be metered. Whether it has gone is the HTTP
protocol's to tell (`services.edge.http_protocol`), so that an open stream costs no task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError, ErrorKind
from services.edge.http_protocol import PROTOCOL_KEY, EdgeHttpProtocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # asks nginx-like proxies not to buffer
]


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class ClientConnection:
    __slots__ = ("_protocol", "_receive", "_send", "dialect", "has_started", "request_id", "sent_at", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str, dialect: Dialect) -> None:
        self._protocol: EdgeHttpProtocol | None = scope.get(PROTOCOL_KEY)
        self._receive = receive
        self._send = send
        self.request_id = request_id
        self.dialect = dialect
        self.has_started = False
        self.status = 0
        self.sent_at = 0.0  # monotonic, of the last bytes written

    @property
    def is_gone(self) -> bool:
        return self._protocol is not None and self._protocol.is_closed

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` as soon as the client has gone; None: no more."""
        if self._protocol is not None:
            self._protocol.on_gone = callback

    @property
    def is_stalled(self) -> bool:
        """Its buffer is full: it reads slower than we write, or not at all."""
        return self._protocol is not None and self._protocol.flow.write_paused

    def abort(self) -> None:
        if self._protocol is not None:
            self._protocol.transport.abort()

    async def read_body(self, bytes_max: int, timeout_s: float) -> bytes:
        """The whole body. Raises ApiError (413, 408) and ClientGone."""
        message = await self._receive_or_timeout(timeout_s)
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > bytes_max:
                raise _too_large(bytes_max)
            return body
        chunks = [body]
        size = len(body)
        deadline = time.monotonic() + timeout_s
        while message.get("more_body", False):
            if size > bytes_max:
                raise _too_large(bytes_max)
            message = await self._receive_or_timeout(deadline - time.monotonic())
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if size > bytes_max:
            raise _too_large(bytes_max)
        return b"".join(chunks)

    async def _receive_or_timeout(self, timeout_s: float) -> MutableMapping[str, Any]:
        try:
            async with asyncio.timeout(timeout_s):
                message = await self._receive()
        except TimeoutError as error:
            raise ApiError(ErrorKind.INVALID_REQUEST, "The request body did not arrive in time.", status=408) from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """A complete answer at once."""
        self.has_started = True
        self.status = status
        headers += self._id_headers()
        headers.append((b"content-length", b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def start_stream(self) -> None:
        """Send the head of an event stream, once."""
        if self.has_started:
            return
        self.has_started = True
        self.status = 200
        headers = [*_STREAM_HEADERS, *self._id_headers()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(self, frames: bytes) -> None:
        self.sent_at = time.monotonic()
        await self._send({"type": "http.response.body", "body": frames, "more_body": True})

    async def finish(self, frames: bytes) -> None:
        await self._send({"type": "http.response.body", "body": frames, "more_body": False})

    def _id_headers(self) -> Headers:
        """OpenAI's SDKs read `x-request-id`, Anthropic's `request-id`."""
        request_id = self.request_id.encode()
        if self.dialect is Dialect.ANTHROPIC_MESSAGES:
            return [(b"x-request-id", request_id), (b"request-id", request_id)]
        return [(b"x-request-id", request_id)]


def _too_large(bytes_max: int) -> ApiError:
    return ApiError(ErrorKind.TOO_LARGE, f"The request body is larger than {bytes_max} bytes.")
