"""The client's side of one exchange: reading its body, writing its answer, noticing that it has gone.

Relays speak of answers and frames; the HTTP protocol (`services.edge.http_protocol`) of bytes. Writes to a client that
has gone are no-ops: the relay goes on because the provider's answer must still be metered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError, ErrorKind
from services.edge.http_protocol import ClientStalled, Headers
from services.edge.short_cycle import ShortCycle

_NO_HEADERS: Headers = []

# Content-Length in digits; more than any limit has.
_LENGTH_DIGITS_MAX = 15

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # asks nginx-like proxies not to buffer
]


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class ClientConnection:
    """One request of one client, served by an EdgeHttpProtocol."""

    __slots__ = (
        "_cycle",
        "_protocol",
        "_standing_headers",
        "dialect",
        "extra_headers",
        "has_ended",
        "has_started",
        "limit_headers",
        "request_id",
        "sent_at",
        "status",
    )

    def __init__(
        self, cycle: ShortCycle, request_id: str, dialect: Dialect, standing_headers: Headers = _NO_HEADERS
    ) -> None:
        self._protocol = cycle.protocol
        self._cycle = cycle
        self.request_id = request_id
        self.dialect = dialect
        self._standing_headers = standing_headers  # of its answer, whatever it will be
        self.extra_headers: Headers = []  # of the answer, besides those every answer has
        self.limit_headers: Headers | None = None  # of a key with rate limits
        self.has_started = False
        self.has_ended = False
        self.status = 0
        self.sent_at = 0.0  # monotonic, of the last bytes written

    @property
    def is_gone(self) -> bool:
        return self._protocol.is_closed

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` as soon as the client has gone; None: no more."""
        self._protocol.on_gone = callback

    def abort(self) -> None:
        self._protocol.abort(self._cycle)

    async def read_body(self, fields: dict[bytes, bytes], bytes_max: int, timeout_s: float) -> bytes:
        """The whole body. Raises ApiError (413, 408) and ClientGone."""
        declared = fields.get(b"content-length", b"")
        if len(declared) > _LENGTH_DIGITS_MAX or int(declared or b"0") > bytes_max:
            raise _too_large(bytes_max)  # before a client that asks first sends it
        if not self._cycle.more_body:
            whole = self._cycle.take()
            if len(whole) > bytes_max:
                raise _too_large(bytes_max)
            return whole
        return await self._read_pieces(bytes_max, timeout_s)

    async def _read_pieces(self, bytes_max: int, timeout_s: float) -> bytes:
        chunks: list[bytes] = []
        size = 0
        deadline = time.monotonic() + timeout_s
        while True:
            message = await self._receive_or_timeout(deadline - time.monotonic())
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > bytes_max:
                raise _too_large(bytes_max)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _receive_or_timeout(self, timeout_s: float) -> MutableMapping[str, Any]:
        try:
            async with asyncio.timeout(timeout_s):
                message = await self._cycle.receive()
        except TimeoutError as error:
            raise ApiError(ErrorKind.INVALID_REQUEST, "The request body did not arrive in time.", status=408) from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """A complete answer at once. Does not wait for the client to read it: the protocol sees to that."""
        self.has_started = self.has_ended = True
        self.status = status
        headers += self._own_headers()
        await self._until_writable()
        self._protocol.write_answer(self._cycle, status, headers, body)

    async def start_stream(self) -> None:
        """Send the head of an event stream, once."""
        if not self.has_started:
            await self._until_writable()
            self._start_stream()

    def _start_stream(self) -> None:
        if not self.has_started:
            self.has_started = True
            self.status = 200
            self._protocol.start_chunks(self._cycle, [*_STREAM_HEADERS, *self._own_headers()])

    async def send(self, frames: bytes) -> None:
        """Waits while the client's buffer is full, as long as it reads at all."""
        self.sent_at = time.monotonic()
        await self._until_writable()
        self._protocol.write_chunk(self._cycle, frames, is_last=False)

    def send_now(self, frames: bytes) -> bool:
        """False: the client's buffer is full now, and `send` is to wait before the next."""
        self.sent_at = time.monotonic()
        protocol = self._protocol
        protocol.write_chunk(self._cycle, frames, is_last=False)
        return not protocol.flow.write_paused

    def send_if_writable(self, frames: bytes) -> bool:
        """For what may be left out: never waits. Starts the stream if need be."""
        if self._protocol.flow.write_paused or self.has_ended:
            return False
        self._start_stream()
        self.sent_at = time.monotonic()
        self._protocol.write_chunk(self._cycle, frames, is_last=False)
        return True

    async def finish(self, frames: bytes) -> None:
        """The end of a stream, like `respond` not waited for."""
        self.has_ended = True
        await self._until_writable()
        self._protocol.write_chunk(self._cycle, frames, is_last=True)

    async def _until_writable(self) -> None:
        if not self._protocol.flow.write_paused:
            return
        try:
            await self._protocol.until_writable()
        except ClientStalled:
            self._cycle.disconnected = True

    def _own_headers(self) -> Headers:
        """OpenAI's SDKs read `x-request-id`, Anthropic's `request-id`."""
        request_id = self.request_id.encode()
        headers: Headers = [(b"x-request-id", request_id), *self._standing_headers, *self.extra_headers]
        if self.dialect is Dialect.ANTHROPIC_MESSAGES:
            headers.append((b"request-id", request_id))
        if self.limit_headers is not None:
            headers += self.limit_headers
        return headers


def _too_large(bytes_max: int) -> ApiError:
    return ApiError(ErrorKind.TOO_LARGE, f"The request body is larger than {bytes_max} bytes.")
