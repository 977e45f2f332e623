"""Rates of channels: a channel of which nothing is in hand counts as full, and who waits hears when that changes."""

from __future__ import annotations

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry

from lumen.catalog.document import Limits
from protos import auth_pb2 as pb
from services.edge.limits.channels import ChannelLimits
from services.edge.limits.client import LimitClient
from services.edge.limits.metrics import LimitMetrics
from services.edge.provider_workers.registry import ProviderWorkers
from tests.unit.catalog.catalogs import catalog, channel, group, model


class Auth:
    """Answers ShareLimits with what it is told to grant."""

    def __init__(self) -> None:
        self.granted = 0
        self.asked: list[pb.LimitShare] = []

    async def ShareLimits(self, request: pb.ShareLimitsRequest, timeout: float) -> pb.ShareLimitsResponse:
        self.asked += request.shares
        grants = [pb.LimitGrant(granted=self.granted, wait_ms=50, is_scarce=not self.granted) for _ in request.shares]
        return pb.ShareLimitsResponse(grants=grants, live_workers=1)


class ChannelBed:
    def __init__(self, **limits: int) -> None:
        self.auth = Auth()
        self.client = LimitClient(self.auth, "w.1", LimitMetrics(CollectorRegistry()))  # type: ignore[arg-type]
        self.limits = ChannelLimits(self.client)
        self.workers = ProviderWorkers(environ={"K": "secret"}, rates_of=self.limits.rates_of)
        self.limits.on_room = self.workers.has_room
        self.apply(**limits)

    def apply(self, **limits: int) -> None:
        self.workers.apply(catalog([model("m")], [group("g")], [channel("c", "m", limits=Limits(**limits))]))

    @property
    def worker(self) -> Any:
        return self.workers.get("c")

    async def ask(self) -> None:
        await self.client._step()


async def test_a_channel_without_rates_asks_for_nothing() -> None:
    bed = ChannelBed(concurrency=2)
    assert bed.worker.try_acquire()
    await bed.ask()
    assert bed.auth.asked == []


async def test_nothing_in_hand_is_full_and_asked_for() -> None:
    bed = ChannelBed(rpm=60)
    assert not bed.worker.has_slot
    bed.auth.granted = 2
    await bed.ask()
    assert [(share.scope, share.need) for share in bed.auth.asked] == [("channel:c", 1)]
    assert [bed.worker.try_acquire() for _ in range(3)] == [True, True, False]
    bed.worker.release()  # its slot comes back, its request does not
    assert not bed.worker.has_slot


async def test_who_waits_is_woken_by_what_is_granted() -> None:
    bed = ChannelBed(rpm=60)
    waiting = asyncio.create_task(bed.workers.wait_for_slot(["c"], 30))
    await asyncio.sleep(0)
    await bed.ask()
    assert not waiting.done()
    bed.auth.granted = 1
    async with asyncio.timeout(10):
        while not waiting.done():  # auth is asked again when something has drained
            await bed.ask()
            await asyncio.sleep(0.005)
    assert await waiting
    assert bed.worker.try_acquire()


async def test_tokens_are_counted_when_they_are_known() -> None:
    bed = ChannelBed(tpm=1000)
    bed.auth.granted = 5
    await bed.ask()
    assert bed.worker.try_acquire()
    bed.limits.used("c", 700)
    [share] = bed.worker._rates.shares
    assert (share.used, share.left) == (700, 0)
    assert not bed.worker.has_slot


async def test_a_changed_rate_is_another_and_a_dropped_one_is_none() -> None:
    bed = ChannelBed(rpm=60)
    bed.auth.granted = 1
    await bed.ask()
    bed.apply(rpm=120)
    [share] = bed.worker._rates.shares
    assert share.limit == 120
    bed.apply()
    assert [bed.worker.try_acquire() for _ in range(5)] == [True] * 5
