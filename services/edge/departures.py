"""What a client's going does to the answer a provider is working on.

`drain`: the answer is read on for its usage, for at most `drain_s_max` and at most `drain_max` answers at once.
`cancel`, and whatever is above that number: it is stopped at once. A channel's setting chooses.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from services.edge.client_connection import ClientConnection
from services.edge.metrics import EdgeMetrics


class Abandoned(Exception):
    """The client has gone, and the provider's answer is not waited for any longer."""


class Departures:
    """All clients of this process that have left an answer behind."""

    def __init__(self, metrics: EdgeMetrics, *, drain_s_max: float, drain_max: int) -> None:
        self._metrics = metrics
        self._drain_max = drain_max
        self.drain_s_max = drain_s_max
        self._draining = 0

    def watch(self, client: ClientConnection, on_disconnect: str) -> Departure:
        """`async with`: what runs inside is for `client`. `on_disconnect`: drain | cancel."""
        return Departure(self, client, is_cancelling=on_disconnect == "cancel")

    def begin(self, *, is_cancelling: bool) -> bool:
        """Whether to drain; then `end` has to follow."""
        is_draining = not is_cancelling and self._draining < self._drain_max
        self._metrics.disconnects.labels("drain" if is_draining else "cancel").inc()
        if is_draining:
            self._count(1)
        return is_draining

    def end(self) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        self._draining += change
        self._metrics.draining.set(self._draining)


class Departure:
    """Bounds what runs inside once the client has gone. Leaving raises Abandoned when the bound was hit."""

    __slots__ = ("_client", "_departures", "_is_cancelling", "_is_draining", "_scope")

    def __init__(self, departures: Departures, client: ClientConnection, *, is_cancelling: bool) -> None:
        self._departures = departures
        self._client = client
        self._is_cancelling = is_cancelling
        self._is_draining = False
        self._scope = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()
        self._client.on_gone(self._begin)
        if self._client.is_gone:
            self._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.on_gone(None)
        if self._is_draining:
            self._departures.end()
        try:
            await self._scope.__aexit__(kind, error, traceback)
        except TimeoutError:
            raise Abandoned from error

    def _begin(self) -> None:
        self._is_draining = self._departures.begin(is_cancelling=self._is_cancelling)
        allowed_s = self._departures.drain_s_max if self._is_draining else 0.0
        self._scope.reschedule(asyncio.get_running_loop().time() + allowed_s)
