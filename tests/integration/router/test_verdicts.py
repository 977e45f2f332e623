"""Edges share what their breakers find: real edge parts on real routers, over gRPC and NATS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from lumen.catalog.resolve import Target
from lumen.protocols.errors import ApiError, ErrorKind
from protos import router_pb2
from services.edge.exchanges import AttemptFailed
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.route_tables import RouteTables
from services.edge.routing.circuit import BreakerPolicy
from services.edge.routing.explain import Explainer
from services.edge.routing.health import Health
from services.edge.routing.metrics import RoutingMetrics
from services.edge.routing.selection import NO_NEEDS, Selector
from services.edge.routing.sharing import VerdictSharing
from services.edge.watches import RouterWatch
from services.router.verdicts import Verdicts
from tests.integration.router.catalogs import catalog_text
from tests.integration.router.conftest import Replica, StartReplica

if TYPE_CHECKING:
    from protos.router_pb2_grpc import RouterAsyncStub

SPREAD_S_MAX = 1.0


class EdgeSide:
    """The routing parts of one edge, wired as its bootstrap wires them."""

    def __init__(self, stub: RouterAsyncStub, worker_id: str, state_dir: Path, open_s: float) -> None:
        registry = CollectorRegistry()
        metrics, routing_metrics = EdgeMetrics(registry), RoutingMetrics(registry)
        self.workers = ProviderWorkers(environ={"K": "secret"})
        self.tables = RouteTables(
            stub, self.workers, metrics, is_cached=True, disk_copy=state_dir / f"{worker_id}.json", rpc_timeout_s=2
        )
        self.health = Health(self.workers, routing_metrics, BreakerPolicy(failures_max=3, open_s=open_s))
        self.selector = Selector(self.workers, self.health, routing_metrics, Random(1))
        self.sharing = VerdictSharing(stub, worker_id, self.health, renewal_s=0.5)
        explainer = Explainer(worker_id, self.tables, self.workers, self.selector)
        self.watch = RouterWatch(stub, worker_id, self.tables, metrics, self.sharing, explainer)

    def target(self, channel: str) -> Target:
        resolution = self.tables.lookup("default", "m1")
        assert resolution is not None
        return next(target for target in resolution.targets if target.channel.name == channel)

    def names(self) -> set[str]:
        resolution = self.tables.lookup("default", "m1")
        assert resolution is not None
        plan = self.selector.plan(resolution)
        return {target.channel.name for target in self.selector.select(plan, lambda: 0, lambda: NO_NEEDS).targets}

    def fail(self, channel: str, status: int = 500, retry_after_s: int | None = None) -> None:
        error = ApiError(ErrorKind.UPSTREAM_FAILED, "x", retry_after_s=retry_after_s)
        for _ in range(1 if retry_after_s else 3):
            self.health.failed(
                self.target(channel), "m1", time.monotonic(), AttemptFailed("status", error, status=status)
            )

    def admit(self, channel: str) -> bool:
        return self.health.admit(self.target(channel), "m1", time.monotonic())


@asynccontextmanager
async def edge(replica: Replica, worker_id: str, tmp_path: Path, open_s: float = 60.0) -> AsyncIterator[EdgeSide]:
    side = EdgeSide(replica.edge, worker_id, tmp_path, open_s)
    tasks = [asyncio.create_task(side.watch.run()), asyncio.create_task(side.sharing.run())]
    try:
        await within(10, lambda: side.tables.revision > 0)
        yield side
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await side.workers.close()


async def within(seconds: float, is_reached: Callable[[], object]) -> float:
    """How long it took, in seconds."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not is_reached():  # noqa: ASYNC110  # nothing here can signal it
            await asyncio.sleep(0.005)
    return time.monotonic() - started


async def apply(replica: Replica) -> None:
    await replica.admin.Apply(router_pb2.ApplyRequest(source=catalog_text()))


async def test_two_edges_agree_within_a_second_and_one_of_them_probes(replica: Replica, tmp_path: Path) -> None:
    await apply(replica)
    async with edge(replica, "w1", tmp_path, open_s=0.3) as one, edge(replica, "w2", tmp_path) as two:
        one.fail("c1")
        assert one.names() == {"c2"}
        await within(SPREAD_S_MAX, lambda: two.names() == {"c2"})
        assert "found by another edge" in two.health.problem(two.target("c1"), "m1", time.monotonic())
        await within(5, lambda: one.names() == {"c1", "c2"})  # a probe is due, here only
        assert two.names() == {"c2"}
        assert [two.admit("c1"), one.admit("c1"), one.admit("c1")] == [False, True, False]
        one.health.succeeded(one.target("c1"), "m1", time.monotonic())
        await within(SPREAD_S_MAX, lambda: two.names() == {"c1", "c2"})


async def test_replicas_of_router_tell_one_another(start_replica: StartReplica, tmp_path: Path) -> None:
    here, there = await start_replica(), await start_replica()
    await apply(here)
    async with edge(here, "w1", tmp_path) as one, edge(there, "w2", tmp_path) as two:
        one.fail("c1", 529)
        await within(SPREAD_S_MAX, lambda: two.names() == {"c2"})
        one.health.succeeded(one.target("c1"), "m1", time.monotonic())
        await within(SPREAD_S_MAX, lambda: two.names() == {"c1", "c2"})


async def test_an_edge_that_comes_later_hears_it_first_of_all(replica: Replica, tmp_path: Path) -> None:
    await apply(replica)
    async with edge(replica, "w1", tmp_path) as one:
        one.fail("c1", 429, retry_after_s=20)
        await within(SPREAD_S_MAX, lambda: replica.router.verdicts.current().items)
        async with edge(replica, "w2", tmp_path) as two:
            await within(SPREAD_S_MAX, lambda: two.names() == {"c2"})
            [trouble] = two.health.troubles()
            assert 15 < trouble.remaining_s <= 20


async def test_without_router_each_edge_decides_by_itself_and_later_tells(
    start_replica: StartReplica, tmp_path: Path
) -> None:
    replica = await start_replica()
    await apply(replica)
    async with edge(replica, "w1", tmp_path) as one, edge(replica, "w2", tmp_path) as two:
        replica.router.api.stop()  # the streams end, and new ones end at once
        await within(5, lambda: replica.router.registry.get_sample_value("lumen_router_watchers") == 0)
        one.fail("c1")
        assert one.names() == {"c2"}
        assert two.names() == {"c1", "c2"}
        replica.router.api._is_stopping = False
        await within(6, lambda: two.names() == {"c2"})


async def test_each_edge_explains_its_own_choice(replica: Replica, tmp_path: Path) -> None:
    await apply(replica)
    async with edge(replica, "w1", tmp_path) as one, edge(replica, "w2", tmp_path):
        one.fail("c1")
        request = router_pb2.ExplainRequest(group="default", model="m1", account_id="a", text="hello")
        answer = await replica.admin.Explain(request)
        assert [explained.worker_id for explained in answer.edges] == ["w1", "w2"]
        chosen, left_out = answer.edges[0].candidates
        assert (chosen.channel, chosen.is_chosen, left_out.channel, left_out.is_chosen) == ("c2", True, "c1", False)
        assert "breaker open" in left_out.reason
        unknown = await replica.admin.Explain(router_pb2.ExplainRequest(group="default", model="nope"))
        assert all("no model nope" in explained.problem for explained in unknown.edges)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


async def test_a_verdict_ends_by_itself_and_the_first_finder_keeps_the_probe(replica: Replica) -> None:
    clock = Clock()
    verdicts = Verdicts(None, replica.router.api._metrics, clock=clock)

    def found(worker_id: str, is_open: bool = True, expires_in_ms: int = 99_000) -> router_pb2.Verdict:
        return router_pb2.Verdict(
            channel="c", model="m", is_open=is_open, worker_id=worker_id, expires_in_ms=expires_in_ms
        )

    await verdicts.report([found("w1")])
    await verdicts.report([found("w2")])
    [held] = verdicts.current().items
    assert (held.worker_id, held.expires_in_ms) == ("w1", 30_000)
    clock.now += 29
    assert verdicts.current().items
    clock.now += 2
    assert not verdicts.current().items
    await verdicts.report([found("w2")])
    version = verdicts.version
    await verdicts.report([found("w2")])
    assert verdicts.version == version  # said again at once: no news
    await verdicts.report([found("w1", is_open=False)])
    assert not verdicts.current().items
    assert verdicts.version > version
