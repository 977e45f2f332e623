"""One timer for all who wait."""

from __future__ import annotations

import asyncio

import pytest

from services.edge.deadlines import Deadlines, NotInTime


def new_future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_what_nobody_resolves_fails_and_what_somebody_does_stays() -> None:
    deadlines = Deadlines(0.05, sweep_s=0.01)
    resolved, cancelled, forgotten = new_future(), new_future(), new_future()
    for future in (forgotten, resolved, cancelled):
        deadlines.watch(future)
    resolved.set_result(None)
    cancelled.cancel()
    with pytest.raises(NotInTime):
        await asyncio.wait_for(forgotten, 10)
    assert resolved.result() is None
    assert cancelled.cancelled()


async def test_those_that_are_done_are_not_kept_behind_one_that_waits() -> None:
    deadlines = Deadlines(60, sweep_s=0.01)
    waiting = new_future()
    deadlines.watch(waiting)
    for _ in range(100):
        deadlines.watch(done := new_future())
        done.set_result(None)
    async with asyncio.timeout(10):
        while len(deadlines._watched) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert deadlines._watched[0][1] is waiting


async def test_it_watches_again_after_all_were_done() -> None:
    deadlines = Deadlines(0.03, sweep_s=0.01)
    for _ in range(2):
        deadlines.watch(future := new_future())
        with pytest.raises(NotInTime):
            await asyncio.wait_for(future, 10)
        async with asyncio.timeout(10):
            while deadlines._is_armed:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
