"""Several billing processes on the same partitions: one follows, the others take over within seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import httpx
import pytest

from lumen.catalog.parse import catalog_to_json, parse_catalog
from lumen.catalog.revisions import encode_revision
from lumen.ledger import keyspace
from lumen.platform.kv_view import kv_get, kv_put
from services.billing.ownership import Ownership
from tests.integration.billing.conftest import RunningBilling, World, eventually
from tests.integration.billing.test_process import PRICE, Process
from tests.unit.billing.test_rating import CATALOG

pytestmark = pytest.mark.slow

_TAKEOVER_S_MAX = 10.0  # patience of 3 s, and a busy machine
_CREDITS = 10**12


@pytest.fixture
def new_process(world: World) -> Iterator[Callable[[], Process]]:
    with ExitStack() as stack:

        def create() -> Process:
            process = Process(world)
            stack.callback(process.kill)
            process.start()
            return process

        yield create


async def is_owner(process: Process) -> bool:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{process.ops_url}/metrics", timeout=2)).text
    return "lumen_billing_owner 1.0" in text


async def test_another_takes_over_within_seconds_and_a_zombie_is_harmless(
    world: World, new_process: Callable[[], Process]
) -> None:
    """kill -9 of the owner, then SIGSTOP of the next one past the take-over: every entry is charged once."""
    catalog = encode_revision(catalog_to_json(parse_catalog(CATALOG, "test")), created_at_s=1, note="")
    await kv_put(world.nc, keyspace.KV_CATALOG, "rev.2", catalog)
    first = new_process()
    await eventually(first.is_ready, timeout_s=30)
    assert await is_owner(first)
    second = new_process()
    await eventually(second.is_ready, timeout_s=30)
    assert not await is_owner(second)

    for number in range(8):
        await world.credit(f"acc-{number}", _CREDITS)
    used = 0

    async def use() -> None:
        nonlocal used
        for number in range(8):
            await world.use(f"acc-{number}", count=3, catalog_revision=2)
        used += 3
        world.expected = {f"acc-{number}": _CREDITS - used * PRICE for number in range(8)}

    await use()
    await eventually(world.balances_agree)
    first.end(signal.SIGKILL)
    await use()
    started = time.monotonic()
    await eventually(world.balances_agree, timeout_s=_TAKEOVER_S_MAX)
    assert time.monotonic() - started < _TAKEOVER_S_MAX
    assert await is_owner(second)

    third = new_process()
    await eventually(third.is_ready, timeout_s=30)
    assert not await is_owner(third)
    assert second.running is not None
    await use()  # in the second one's hands, if it is quick
    os.kill(second.running.pid, signal.SIGSTOP)
    await use()
    await eventually(world.balances_agree, timeout_s=_TAKEOVER_S_MAX)
    os.kill(second.running.pid, signal.SIGCONT)
    await use()
    await eventually(world.balances_agree)

    async def has_one_owner() -> bool:
        return (await is_owner(second), await is_owner(third)) == (False, True)

    await eventually(has_one_owner)
    assert await world.rows("SELECT count(), uniqExact(request_id) FROM usage FINAL") == [(8 * used, 8 * used)]

    assert third.end(signal.SIGTERM) == 0  # gives its key back: nobody waits for it to go cold
    await eventually(lambda: is_owner(second))


def ownership(world: World, billing: RunningBilling, name: str, run_id: str, *, patience_s: float = 60) -> Ownership:
    parts = billing.parts
    return Ownership(
        world.nc, name, run_id, health=parts.health, metrics=parts.metrics, beat_s=0.05, patience_s=patience_s
    )


@asynccontextmanager
async def owning(ownership: Ownership) -> AsyncIterator[Callable[[], bool]]:
    """Runs it; what is yielded says whether it has the partitions."""
    working = 0

    async def work() -> None:
        nonlocal working
        working += 1
        try:
            await asyncio.Event().wait()
        finally:
            working -= 1

    task = asyncio.create_task(ownership.run([work]))
    try:
        yield lambda: working == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await eventually(holds)


async def test_a_restarted_process_does_not_wait_for_itself(
    world: World, start_billing: Callable[[], RunningBilling]
) -> None:
    billing = start_billing()
    async with owning(ownership(world, billing, "host:1", "run-1")) as has_it:
        await until(has_it)  # nobody was there: at once
    # killed: the key names it still, and patience would be a minute
    async with owning(ownership(world, billing, "host:1", "run-2")) as has_it:
        await until(has_it)


async def test_a_lively_owner_is_left_alone_and_one_that_gives_it_back_is_followed(
    world: World, start_billing: Callable[[], RunningBilling]
) -> None:
    billing = start_billing()
    first = ownership(world, billing, "host:1", "run-1")
    async with owning(ownership(world, billing, "host:2", "run-2", patience_s=2)) as second_has_it:
        async with owning(first) as first_has_it:
            await until(lambda: first_has_it() or second_has_it())
            mine, other = (first_has_it, second_has_it) if first_has_it() else (second_has_it, first_has_it)
            revision = (await _key(world))[1]
            await eventually(lambda: _is_beyond(world, revision + 60))  # longer than the other's patience
            assert mine()
            assert not other()
        await first.release()
        await until(second_has_it)


async def test_two_of_one_name_do_not_take_it_from_each_other_for_ever(
    world: World, start_billing: Callable[[], RunningBilling]
) -> None:
    billing = start_billing()
    async with owning(ownership(world, billing, "host:1", "run-1")) as first_has_it:
        await until(first_has_it)
        async with owning(ownership(world, billing, "host:1", "run-2")) as second_has_it:
            await until(second_has_it)
            await until(lambda: not first_has_it())
            revision = (await _key(world))[1]
            await eventually(lambda: _is_beyond(world, revision + 20))
            assert second_has_it()
            assert not first_has_it()


async def _key(world: World) -> tuple[bytes, int]:
    found = await kv_get(world.nc, keyspace.KV_BILLING, keyspace.BILLING_OWNER_KEY)
    assert found is not None
    return found


async def _is_beyond(world: World, revision: int) -> bool:
    return (await _key(world))[1] > revision
