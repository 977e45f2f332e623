"""Waiting for a channel when all candidates are busy: first come, first served, bounded in number and time.

A freed slot wakes the first waiter that wants that channel. The woken one takes the slot in its next step; right after
that step the slot is looked at again, and if it is still free (the waiter was cancelled, or took another) the next one
is woken. So no slot stays free while somebody waits for it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Slots(Protocol):
    """A worker, as its waiters see it."""

    @property
    def has_slot(self) -> bool: ...


class SlotWaiters:
    def __init__(self, waiters_max: int) -> None:
        self._waiters_max = waiters_max
        # In order of arrival.
        self._waiting: dict[asyncio.Future[None], frozenset[str]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._waiters_max

    async def wait(self, names: frozenset[str], timeout_s: float) -> bool:
        """True: one of the channels probably has a slot now; False: not within `timeout_s`."""
        woken = asyncio.get_running_loop().create_future()
        self._waiting[woken] = names
        try:
            async with asyncio.timeout(timeout_s):
                await woken
        except TimeoutError:
            return woken.done() and not woken.cancelled()
        else:
            return True
        finally:
            self._waiting.pop(woken, None)

    def slot_freed(self, name: str, worker: Slots) -> None:
        if not self._waiting or not worker.has_slot:
            return
        for woken, names in self._waiting.items():
            if name in names and not woken.done():
                del self._waiting[woken]
                woken.set_result(None)
                woken.get_loop().call_soon(self.slot_freed, name, worker)
                return
