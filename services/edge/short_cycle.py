"""A request for a model endpoint, without ASGI: no scope, no messages, a body that is copied once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from services.edge.client_flow import Signal

if TYPE_CHECKING:
    from services.edge.http_protocol import EdgeHttpProtocol, Headers

logger = logging.getLogger(__name__)

# As much of a body as is taken from the socket before somebody reads it.
_BODY_BYTES_WAITING_MAX = 64 * 1024

ShortWay = Callable[["ShortCycle"], Awaitable[None]]


class ShortCycle(RequestResponseCycle):
    """Takes the place of uvicorn's own in its protocol, so it has the same members, but for what only ASGI needs.

    `path` and `query` as the client sent them, the path without percent signs; header names in lower case.
    """

    def __init__(
        self,
        protocol: EdgeHttpProtocol,
        serve: ShortWay,
        path: str,
        query: bytes,
        headers: Headers,
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        # Not super().__init__(): most of what it prepares is for ASGI's `send`.
        self.protocol = protocol
        self.path = path
        self.query = query
        self.headers = headers
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.message_event = Signal()  # type: ignore[assignment]
        self.on_response = protocol.on_response_complete
        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects_continue
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self._serve = serve
        self._pieces: list[bytes] = []
        self._bytes_waiting = 0

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._bytes_waiting += len(piece)
        if self._bytes_waiting > _BODY_BYTES_WAITING_MAX:
            self.flow.pause_reading()
        self.message_event.set()

    def take(self) -> bytes:
        """What has come of the body."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._bytes_waiting = 0
        return body

    async def receive(self) -> dict[str, Any]:  # type: ignore[override]
        """As ASGI's `receive`."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.take(), "more_body": self.more_body}

    async def run_asgi(self, app: object) -> None:
        """uvicorn calls this, in a task of its own. The endpoint answers for its errors itself."""
        try:
            await self._serve(self)
        except Exception:  # the last resort: nothing reads this task's result
            logger.exception("request failed")
        finally:
            if not self.response_complete:
                self.transport.close()
            self.on_response = _nothing


def _nothing() -> None:
    pass
