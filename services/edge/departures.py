"""What a client's going does to the answer a provider is working on.

`drain`: the answer is read on for its usage, for at most `drain_s_max` and at most `drain_max` answers at once.
`cancel`, and whatever is above that number: it is stopped at once. A channel's setting chooses.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

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
        """`with`: what runs inside is for `client`. `on_disconnect`: drain | cancel."""
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
    """Bounds what the current task runs inside once the client has gone. Leaving raises Abandoned when the bound was
    hit.

    The way of `asyncio.timeout`, which costs several microseconds on every request where this costs nothing before a
    client goes.
    """

    __slots__ = (
        "_cancelling",
        "_client",
        "_departures",
        "_is_cancelling",
        "_is_draining",
        "_is_expired",
        "_owner",
        "_timer",
    )

    def __init__(self, departures: Departures, client: ClientConnection, *, is_cancelling: bool) -> None:
        self._departures = departures
        self._client = client
        self._is_cancelling = is_cancelling
        self._is_draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_expired = False
        self._cancelling = 0
        owner = asyncio.current_task()
        assert owner is not None
        self._owner: asyncio.Task[Any] = owner

    def __enter__(self) -> None:
        self._client.on_gone(self._begin)
        if self._client.is_gone:
            self._begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.on_gone(None)
        if self._timer is None:
            return
        self._timer.cancel()
        if self._is_draining:
            self._departures.end()
        # A cancellation that is not ours (the server stops) goes on as what it is.
        if self._is_expired and self._owner.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise Abandoned from error

    def _begin(self) -> None:
        self._is_draining = self._departures.begin(is_cancelling=self._is_cancelling)
        allowed_s = self._departures.drain_s_max if self._is_draining else 0.0
        self._timer = asyncio.get_running_loop().call_later(allowed_s, self._expire)

    def _expire(self) -> None:
        self._is_expired = True
        self._cancelling = self._owner.cancelling()
        self._owner.cancel()
