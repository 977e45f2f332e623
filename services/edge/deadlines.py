"""A common limit on waiting for futures that as a rule are resolved within milliseconds: one timer for all of them."""

from __future__ import annotations

import asyncio

_SWEEP_S = 1.0


class NotInTime(Exception):
    """Nobody resolved the future."""


class Deadlines:
    """Whatever it watches gets NotInTime after `timeout_s`, or up to a second later.

    A timer and a second future for each would cost as much as the rest of recording. Those that are done are forgotten
    at the next sweep, so no more are kept than wait and a second's worth of others.
    """

    def __init__(self, timeout_s: float, sweep_s: float = _SWEEP_S) -> None:
        self._timeout_s = timeout_s
        self._sweep_s = min(sweep_s, timeout_s)
        self._watched: list[tuple[float, asyncio.Future[None]]] = []
        self._is_armed = False

    def watch(self, future: asyncio.Future[None]) -> None:
        """From the event loop's thread; `future` is awaited by the caller alone."""
        loop = future.get_loop()
        self._watched.append((loop.time() + self._timeout_s, future))
        if not self._is_armed:
            self._is_armed = True
            loop.call_later(self._sweep_s, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        waiting = [(deadline, future) for deadline, future in self._watched if not future.done()]
        for deadline, future in waiting:
            if deadline <= now:
                future.set_exception(NotInTime())
        self._watched = [each for each in waiting if each[0] > now]
        self._is_armed = bool(self._watched)
        if self._is_armed:
            loop.call_later(self._sweep_s, self._sweep, loop)
