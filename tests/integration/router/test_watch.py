"""What edges get: the table at once, every newer one at once, heartbeats in between; unary routes; reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lumen.catalog.parse import catalog_from_json
from lumen.catalog.resolve import resolution_from_json
from protos import router_pb2
from tests.integration.router.catalogs import catalog_text
from tests.integration.router.conftest import Replica, StartReplica


async def apply(replica: Replica, text: str) -> int:
    answer = await replica.admin.Apply(router_pb2.ApplyRequest(source=text))
    return int(answer.revision)


@asynccontextmanager
async def watching(replica: Replica, worker_id: str = "w1") -> AsyncIterator[Any]:
    call = replica.edge.Watch(router_pb2.WatchRequest(worker_id=worker_id))
    try:
        yield call
    finally:
        call.cancel()


async def next_push(call: Any) -> router_pb2.TableEvent:
    async with asyncio.timeout(10):
        while True:
            event: router_pb2.TableEvent = await call.read()
            if event.catalog_json:
                return event


async def test_connecting_edge_gets_the_current_catalog_first(replica: Replica) -> None:
    await apply(replica, catalog_text())
    async with watching(replica) as call:
        event = await call.read()
    assert event.catalog_revision == 1
    assert catalog_from_json(event.catalog_json).models[0].code == "m1"


async def test_apply_reaches_edges_of_every_replica_well_under_a_second(start_replica: StartReplica) -> None:
    here, there = await start_replica(), await start_replica()
    async with watching(here) as near, watching(there) as far:
        await near.read()
        await far.read()
        started = time.monotonic()
        assert await apply(here, catalog_text()) == 1
        assert (await next_push(near)).catalog_revision == 1
        assert (await next_push(far)).catalog_revision == 1
        assert time.monotonic() - started < 0.8


async def test_silence_is_filled_with_heartbeats_that_carry_revision_and_age(replica: Replica) -> None:
    async with watching(replica) as call:
        first = await call.read()
        assert (first.catalog_revision, first.catalog_json) == (0, b"")
        await apply(replica, catalog_text())
        await next_push(call)
        heartbeats = [await call.read() for _ in range(3)]
    assert all(event.catalog_revision == 1 and not event.catalog_json for event in heartbeats)
    assert all(event.view_age_ms < 2_000 for event in heartbeats)


async def test_edge_arrives_at_the_newest_catalog_and_never_goes_back(replica: Replica) -> None:
    async with watching(replica) as call:
        await call.read()
        for number in range(1, 6):
            await apply(replica, catalog_text(output_price=str(number)))
        seen: list[int] = []
        while not seen or seen[-1] < 5:
            seen.append((await next_push(call)).catalog_revision)
    assert seen == sorted(set(seen))


async def test_watch_streams_end_when_the_router_stops(replica: Replica) -> None:
    async with watching(replica) as call:
        await call.read()
        replica.router.api.stop()
        async with asyncio.timeout(5):
            while await call.read():  # EOF is falsy
                pass


async def test_route_answers_what_the_edge_would_resolve(replica: Replica) -> None:
    await apply(replica, catalog_text())
    answer = await replica.edge.Route(router_pb2.RouteRequest(group="default", model="m1"))
    resolution = resolution_from_json(answer.resolution_json)
    assert (answer.catalog_revision, resolution.revision, resolution.model.code) == (1, 1, "m1")
    assert [target.channel.name for target in resolution.targets] == ["c1", "c2"]
    unknown = await replica.edge.Route(router_pb2.RouteRequest(group="default", model="nope"))
    assert unknown.resolution_json == b""


async def test_show_tells_the_worst_state_per_channel(replica: Replica) -> None:
    await apply(replica, catalog_text())

    async def report(worker_id: str, **states: str) -> None:
        channels = [router_pb2.ChannelReport(channel=name, state=state, reason="r") for name, state in states.items()]
        await replica.edge.Report(router_pb2.ReportRequest(worker_id=worker_id, channels=channels))

    async def shown() -> dict[str, str]:
        answer = await replica.admin.Show(router_pb2.ShowRequest())
        return {channel.channel: channel.state for channel in answer.channels}

    assert await shown() == {"c1": "unknown", "c2": "unknown"}
    await report("w1", c1="disabled", c2="ready")
    await report("w2", c1="ready", c2="ready")
    assert await shown() == {"c1": "disabled", "c2": "ready"}
    await report("w1", c1="ready", c2="ready")
    assert await shown() == {"c1": "ready", "c2": "ready"}
