"""Waiting for a client's connection, with nothing made before somebody waits.

uvicorn's own parts make asyncio events, with a deque each, for every connection and request: a kilobyte and a half of
each open stream.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Signal:
    """As asyncio.Event, for one waiter at a time."""

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._is_set = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        """Raises RuntimeError when somebody waits already."""
        if self._is_set:
            return
        if self._waiter is not None:
            raise RuntimeError("a signal has one waiter")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class ClientFlow:
    """In place of uvicorn's FlowControl: same members."""

    __slots__ = ("_transport", "_writable", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable: asyncio.Event | None = None  # there is one while writing is paused
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        if self._writable is not None:
            await self._writable.wait()

    def pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        if not self.write_paused:
            self.write_paused = True
            self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        self.write_paused = False
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set()


class Pipeline(list[Any]):
    """In place of uvicorn's deque, which as a rule stays empty: requests that came during an answer, the last first."""

    __slots__ = ()

    def appendleft(self, request: Any) -> None:
        self.insert(0, request)
