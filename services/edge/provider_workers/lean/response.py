"""What the caller of a request holds: the head, then the body as it comes. It outlives its connection: a message that
has arrived whole frees the connection for the next request while its last bytes still wait here to be read.

    waiting for the head -> reading -> complete | failed

Bytes that arrived before a failure are read before the failure is raised: they were sent, and may carry the usage.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from services.edge.provider_workers.transport import ConnectionCut, Sink, UpstreamFailure


class BodySource(Protocol):
    """The connection, as a response sees it."""

    def wait_for_body(self) -> None:
        """A reader waits: let the provider send, and start `idle_s`."""
        ...

    def abort(self) -> None: ...


class LeanResponse:
    __slots__ = (
        "_failure",
        "_is_complete",
        "_loop",
        "_pieces",
        "_sink",
        "_sink_failure",
        "_source",
        "_waiter",
        "buffered_bytes",
        "headers",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, source: BodySource) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.buffered_bytes = 0
        self._loop = loop
        self._source: BodySource | None = source
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._is_complete = False
        self._failure: UpstreamFailure | None = None
        self._sink: Sink | None = None
        self._sink_failure: Exception | None = None

    # --- the caller

    async def head(self) -> None:
        """Until status and headers are there. Raises UpstreamFailure; cancellation closes the connection."""
        if not self.status:
            await self._wait()
        if not self.status:
            raise self._failure or ConnectionCut("no answer")

    async def read(self) -> bytes:
        """See `UpstreamResponse.read`. Neither suspends nor allocates a future when bytes are there already."""
        while True:
            if self._pieces:
                return self._take()
            if self._is_complete:
                return b""
            if self._failure is not None:
                raise self._failure
            if self._source is not None:
                self._source.wait_for_body()
            await self._wait()

    async def pump(self, sink: Sink) -> None:
        """See `UpstreamResponse.pump`."""
        if self._pieces or self._source is None:
            return
        self._sink = sink
        try:
            self._source.wait_for_body()
            await self._wait()
        finally:
            self._sink = None
        if self._sink_failure is not None:
            raise self._sink_failure

    def abort(self) -> None:
        if self._source is not None:
            source = self._source
            self.fail(ConnectionCut("aborted by its reader"))
            source.abort()

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("a response has one reader")
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    # --- the connection

    @property
    def has_waiter(self) -> bool:
        return self._waiter is not None

    def add(self, piece: bytes) -> None:
        """Does not wake the reader: all pieces of one read from the socket are one for it."""
        self._pieces.append(piece)
        self.buffered_bytes += len(piece)

    def hand_on(self) -> bool:
        """What has come goes to the sink, if there is one."""
        sink = self._sink
        if sink is None:
            return False
        try:
            wants_more = sink(self._take())
        except Exception as failure:
            self._sink_failure = failure
            wants_more = False
        if not wants_more:
            self._sink = None
            self.wake()
        return True

    def _take(self) -> bytes:
        pieces = self._pieces
        self.buffered_bytes = 0
        if len(pieces) == 1:
            return pieces.pop()
        data = b"".join(pieces)
        pieces.clear()
        return data

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def complete(self) -> None:
        self._source = None
        self._is_complete = True
        self.wake()

    def fail(self, failure: UpstreamFailure) -> None:
        self._source = None
        if self._failure is None:
            self._failure = failure
        self.wake()
