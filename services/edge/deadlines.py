"""A common limit on waiting for futures that as a rule are resolved within milliseconds: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections import deque

_SWEEP_S = 1.0


class NotInTime(Exception):
    """Nobody resolved the future."""


class Deadlines:
    """Whatever it watches gets NotInTime after `timeout_s`, or up to a second later.

    A timer and a second future for each would cost as much as the rest of recording. Those that are done are forgotten
    at the next sweep, in the order in which they came; all have the same limit, so that is the order of deadlines too.
    """

    def __init__(self, timeout_s: float, sweep_s: float = _SWEEP_S) -> None:
        self._timeout_s = timeout_s
        self._sweep_s = min(sweep_s, timeout_s)
        self._watched: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._is_armed = False

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, future: asyncio.Future[None]) -> None:
        """From the event loop's thread; `future` is awaited by the caller alone."""
        loop = future.get_loop()
        self._watched.append((loop.time() + self._timeout_s, future))
        if not self._is_armed:
            self._is_armed = True
            loop.call_later(self._sweep_s, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        watched = self._watched
        while watched:
            deadline, future = watched[0]
            if not future.done():
                if deadline > now:
                    break
                future.set_exception(NotInTime())
            watched.popleft()
        self._is_armed = bool(watched)
        if watched:
            loop.call_later(self._sweep_s, self._sweep, loop)
