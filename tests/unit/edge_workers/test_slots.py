"""How many requests a channel has in flight, and who gets the next slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.worker import ProviderWorker
from tests.unit.edge_workers.conftest import ENVIRON, catalog, channel


@pytest.fixture
async def workers() -> AsyncIterator[ProviderWorkers]:
    workers = ProviderWorkers(environ=ENVIRON, slot_waiters_max=3)
    workers.apply(catalog(channel("a", limits={"concurrency": 1}), channel("b", limits={"concurrency": 1})))
    yield workers
    await workers.close()


def worker(workers: ProviderWorkers, name: str) -> ProviderWorker:
    found = workers.get(name)
    assert found is not None
    return found


async def wait_and_take(workers: ProviderWorkers, name: str, order: list[str], label: str) -> None:
    assert await workers.wait_for_slot([name], 5)
    assert worker(workers, name).try_acquire()
    order.append(label)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_concurrency_is_bounded_and_given_back(workers: ProviderWorkers) -> None:
    a = worker(workers, "a")
    assert a.try_acquire()
    assert (a.in_flight, a.has_slot, a.try_acquire()) == (1, False, False)
    a.release()
    assert (a.in_flight, a.has_slot) == (0, True)


async def test_release_without_acquire_is_a_mistake(workers: ProviderWorkers) -> None:
    with pytest.raises(AssertionError):
        worker(workers, "a").release()


async def test_free_slot_needs_no_waiting(workers: ProviderWorkers) -> None:
    assert worker(workers, "a").try_acquire()
    assert await workers.wait_for_slot(["a", "b"], 0)


async def test_waiting_ends_with_its_time(workers: ProviderWorkers) -> None:
    assert worker(workers, "a").try_acquire()
    assert not await workers.wait_for_slot(["a"], 0.01)


async def test_waiters_are_served_in_order_one_per_slot(workers: ProviderWorkers) -> None:
    a = worker(workers, "a")
    assert a.try_acquire()
    order: list[str] = []
    waiting = [asyncio.ensure_future(wait_and_take(workers, "a", order, label)) for label in "123"]
    await settle()
    for expected in (["1"], ["1", "2"], ["1", "2", "3"]):
        a.release()
        await settle()
        assert order == expected
    await asyncio.gather(*waiting)


async def test_waiter_for_another_channel_is_passed_over(workers: ProviderWorkers) -> None:
    a, b = worker(workers, "a"), worker(workers, "b")
    assert a.try_acquire()
    assert b.try_acquire()
    order: list[str] = []
    for_a = asyncio.ensure_future(wait_and_take(workers, "a", order, "a"))
    for_b = asyncio.ensure_future(wait_and_take(workers, "b", order, "b"))
    await settle()
    b.release()
    await settle()
    assert order == ["b"]
    a.release()
    await asyncio.gather(for_a, for_b)


async def test_slot_that_a_woken_waiter_leaves_goes_to_the_next(workers: ProviderWorkers) -> None:
    a = worker(workers, "a")
    assert a.try_acquire()
    order: list[str] = []
    first = asyncio.ensure_future(workers.wait_for_slot(["a"], 5))  # wakes, takes nothing
    second = asyncio.ensure_future(wait_and_take(workers, "a", order, "2"))
    await settle()
    a.release()
    await asyncio.gather(first, second)
    assert order == ["2"]


async def test_cancelled_waiter_does_not_swallow_the_slot(workers: ProviderWorkers) -> None:
    a = worker(workers, "a")
    assert a.try_acquire()
    order: list[str] = []
    first = asyncio.ensure_future(wait_and_take(workers, "a", order, "1"))
    second = asyncio.ensure_future(wait_and_take(workers, "a", order, "2"))
    await settle()
    a.release()
    first.cancel()  # already woken, not yet run
    await asyncio.wait([first, second])
    assert order == ["2"]


async def test_too_many_waiters_are_turned_away(workers: ProviderWorkers) -> None:
    assert worker(workers, "a").try_acquire()
    waiting = [asyncio.ensure_future(workers.wait_for_slot(["a"], 0.2)) for _ in range(3)]
    await settle()
    assert not await workers.wait_for_slot(["a"], 60)
    assert await asyncio.gather(*waiting) == [False] * 3


async def test_nobody_waits_for_channels_that_cannot_serve(workers: ProviderWorkers) -> None:
    workers.apply(catalog(channel("a", secret="env:NONE")))
    assert not await workers.wait_for_slot(["a", "gone"], 60)


async def test_raised_concurrency_serves_all_waiters(workers: ProviderWorkers) -> None:
    assert worker(workers, "a").try_acquire()
    order: list[str] = []
    waiting = [asyncio.ensure_future(wait_and_take(workers, "a", order, label)) for label in "12"]
    await settle()
    workers.apply(catalog(channel("a", limits={"concurrency": 3})))
    await asyncio.gather(*waiting)
    assert order == ["1", "2"]
