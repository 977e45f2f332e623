"""Plays one reply on one connection: its pieces, the pauses between them, and its end.

States: waiting for a timer, waiting for the client to read (the transport's buffer is full), done. No task exists; a
piece costs one timer, and nothing when there is no delay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from simulator.http import Ending, Reply


class Playback:
    """`on_end` is called once, after the last piece was handed to the transport; never after `cancel()`."""

    __slots__ = ("_is_held", "_loop", "_next", "_on_end", "_reply", "_timer", "_transport")

    def __init__(
        self,
        reply: Reply,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[Ending], None],
    ) -> None:
        self._reply = reply
        self._transport = transport
        self._loop = loop
        self._on_end = on_end
        self._next = 0
        self._is_held = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._reply.first_byte_s:
            self._timer = self._loop.call_later(self._reply.first_byte_s, self._advance)
        else:
            self._advance()

    def hold(self) -> None:
        """The client reads too slowly: write nothing until `release()`."""
        self._is_held = True

    def release(self) -> None:
        self._is_held = False
        if self._timer is None:
            self._advance()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = len(self._reply.pieces)

    def _advance(self) -> None:
        self._timer = None
        reply = self._reply
        while self._next < len(reply.pieces):
            if self._is_held:
                return
            self._transport.write(reply.pieces[self._next])
            self._next += 1
            if self._next == len(reply.pieces):
                break
            pause_s = reply.first_frame_s if self._next == 1 and reply.first_frame_s else reply.delay_s
            if pause_s:
                self._timer = self._loop.call_later(pause_s, self._advance)
                return
        self._on_end(reply.ending)
