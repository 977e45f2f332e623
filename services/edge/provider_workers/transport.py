"""What a relay asks of the way to a provider. Two implementations under one contract suite: `lean` and `httpx`.

UpstreamFailure               no answer, or not all of it; `reason` names the row in attempts and metrics
+-- ConnectFailed             nothing was sent: refused, unreachable, DNS, a forbidden address, TLS, `connect_s`
+-- UpstreamTimeout           `first_byte_s`, `idle_s` or `total_s` ran out
+-- ConnectionCut             the connection ended before the message did
+-- ProtocolViolation         not HTTP, or past a limit (head, declared length)

An answer with any status, 5xx too, is an answer and no failure.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from lumen.catalog.document import Timeouts
from lumen.platform.addresses import PUBLIC_ONLY, AddressPolicy

Headers = list[tuple[bytes, bytes]]


class UpstreamFailure(Exception):
    reason = "failed"


class ConnectFailed(UpstreamFailure):
    reason = "connect"


class UpstreamTimeout(UpstreamFailure):
    reason = "timeout"


class ConnectionCut(UpstreamFailure):
    reason = "cut"


class ProtocolViolation(UpstreamFailure):
    reason = "protocol"


class StaticHeaders:
    """Headers that are the same for many requests, encoded once. They carry the secret: no repr shows them."""

    __slots__ = ("encoded", "items")

    def __init__(self, items: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.items = tuple(items)
        self.encoded = b"".join([b"%b: %b\r\n" % item for item in self.items])


NO_STATIC_HEADERS = StaticHeaders()


@dataclass(slots=True)
class UpstreamRequest:
    """`target` is path and query; `static_headers` and `headers` together are complete but for Host, Content-Length and
    Connection."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    static_headers: StaticHeaders = NO_STATIC_HEADERS


@dataclass(slots=True)
class ConnectionStats:
    """Plain counts of one channel, read when metrics are scraped: counting costs an addition, not a metric call."""

    connections_open: int = 0
    connections_idle: int = 0
    connects: int = 0
    reuses: int = 0
    stale_retries: int = 0


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What a transport may do and must bound. Sizes in bytes, times in seconds."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    idle_connections_max: int = 512
    # Below the 60 s after which common load balancers close an idle connection, which races with the next request.
    keepalive_s: float = 30.0
    # A connection the provider had closed shows it within a round trip. One that ends later was alive: the request may
    # have run, so repeating it is the relay's decision.
    stale_s_max: float = 2.0
    head_bytes_max: int = 64 * 1024
    headers_max: int = 256
    # A reader this far behind stops the provider's sending (TCP flow control).
    buffer_bytes_max: int = 256 * 1024
    # Called once per transport that needs TLS: both kinds set their own ALPN on it.
    ssl_context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    # What is connected to, whatever the origin's name resolves to: nothing private unless the operator says so.
    addresses: AddressPolicy = PUBLIC_ONLY


Sink = Callable[[bytes], bool]  # takes a piece; False: no more for now


class UpstreamResponse(Protocol):
    """The head has arrived; the body is read piece by piece. Exactly one of "read to the end" and `abort()` ends it;
    `abort()` after the end does nothing."""

    status: int
    headers: dict[bytes, bytes]  # lower-case names; a repeated header's values joined by b", "

    async def read(self) -> bytes:
        """All bytes that have come since the last call, waiting for the first; b"" is the end of a whole message.

        Raises UpstreamTimeout (`idle_s`, `total_s`), ConnectionCut, ProtocolViolation.
        """
        ...

    async def pump(self, sink: Sink) -> None:
        """Hand on what comes as it comes, without a task's wake-up for each piece. May return at any time, at once too:
        whoever wants the rest goes on reading. Raises what `sink` raises."""
        ...

    def abort(self) -> None:
        """Close the connection: the rest is not wanted."""
        ...


class UpstreamTransport(Protocol):
    """One origin (base URL) of one channel; owns its connections."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Until the head of the answer. Raises UpstreamFailure. Cancellation closes the connection."""
        ...

    async def close(self) -> None:
        """Close idle connections at once and those in use when their answers end."""
        ...
