"""The two streams that keep an edge's caches true: auth pushes key changes, router pushes route tables.

Both send a heartbeat every 500 ms of silence; 2 s without one is a lost stream, re-opened with jittered backoff. A new
auth stream carries no snapshot, so cached keys are revalidated; a new router stream starts with the whole table.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import grpc

from protos import auth_pb2, router_pb2
from services.edge.key_cache import KeyCache
from services.edge.metrics import EdgeMetrics
from services.edge.route_tables import RouteTables
from services.edge.routing.explain import Explainer
from services.edge.routing.sharing import VerdictSharing

if TYPE_CHECKING:
    from protos.auth_pb2_grpc import AuthAsyncStub
    from protos.router_pb2_grpc import RouterAsyncStub

logger = logging.getLogger(__name__)

_SILENCE_S_MAX = 2.0
_BACKOFF_S_MAX = 2.0


async def _events(call: Any) -> AsyncIterator[Any]:
    """The stream's events; ends when the stream does, fails, or is silent for too long."""
    try:
        while True:
            async with asyncio.timeout(_SILENCE_S_MAX):
                event = await call.read()
            if event is grpc.aio.EOF:  # type: ignore[attr-defined]  # missing in the stubs only
                return
            yield event
    finally:
        call.cancel()


async def _follow(
    name: str, open_call: Callable[[], Any], on_event: Callable[[Any], None], on_lost: Callable[[], None]
) -> None:
    backoff_s = 0.05
    while True:
        opened_at = time.monotonic()
        try:
            async for event in _events(open_call()):
                on_event(event)
            reason = "ended"
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            reason = error.details() or "failed" if isinstance(error, grpc.aio.AioRpcError) else "silent"
        on_lost()
        logger.warning("watch lost", extra={"peer": name, "reason": reason})
        if time.monotonic() - opened_at > 5:
            backoff_s = 0.05
        await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # jitter
        backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)


class AuthWatch:
    """`await run()` in a supervised task. Money events go to the lease client's callbacks."""

    def __init__(
        self,
        stub: AuthAsyncStub,
        lease_id: str,
        keys: KeyCache,
        metrics: EdgeMetrics,
        *,
        on_credit: Callable[[str], None],
        on_recall: Callable[[str], None],
    ) -> None:
        self._stub = stub
        self._lease_id = lease_id
        self._keys = keys
        self._metrics = metrics
        self._on_credit = on_credit
        self._on_recall = on_recall
        self._is_connected = False
        self._has_connected = False

    def problem(self) -> str | None:
        """Why this edge should get no requests: it never heard from auth, or so long ago that it serves no key from its
        cache any more. Until then an auth that is away stops nobody, and no edge leaves the load balancer for it."""
        if self._is_connected or (self._has_connected and self._keys.may_serve_stale()):
            return None
        return "no watch stream from auth"

    async def run(self) -> None:
        await _follow("auth", self._open, self._on_event, self._lost)

    def _open(self) -> Any:
        return self._stub.Watch(auth_pb2.WatchRequest(lease_id=self._lease_id))

    def _lost(self) -> None:
        self._is_connected = False
        self._keys.on_watch_lost()

    def _on_event(self, event: auth_pb2.WatchEvent) -> None:
        if not self._is_connected:
            self._is_connected = self._has_connected = True
            self._keys.on_watch_connected()
        self._keys.on_stamp(event.stamp)
        self._metrics.watch_age.labels("auth").set(event.stamp.view_age_ms / 1000)
        match event.WhichOneof("event"):
            case "key_changed":
                self._keys.on_key_changed(event.key_changed.key_sha256, event.key_changed.key)
            case "account_changed":
                self._keys.on_account_changed(event.account_changed.account_id)
            case "credit_arrived":
                self._on_credit(event.credit_arrived.account_id)
            case "recall":
                self._on_recall(event.recall.account_id)


class RouterWatch:
    """`await run()` in a supervised task."""

    def __init__(
        self,
        stub: RouterAsyncStub,
        worker_id: str,
        tables: RouteTables,
        metrics: EdgeMetrics,
        sharing: VerdictSharing,
        explainer: Explainer,
    ) -> None:
        self._stub = stub
        self._worker_id = worker_id
        self._tables = tables
        self._metrics = metrics
        self._sharing = sharing
        self._explainer = explainer
        self._reports: set[asyncio.Task[None]] = set()
        self._is_first = True  # event of its stream

    async def run(self) -> None:
        await _follow("router", self._open, self._on_event, self._lost)

    def _open(self) -> Any:
        return self._stub.Watch(router_pb2.WatchRequest(worker_id=self._worker_id))

    def _lost(self) -> None:
        self._is_first = True

    def _on_event(self, event: router_pb2.TableEvent) -> None:
        is_first, self._is_first = self._is_first, False
        self._metrics.watch_age.labels("router").set(event.view_age_ms / 1000)
        if event.catalog_json:
            self._tables.load(event.catalog_revision, event.catalog_json)
            self._sharing.on_catalog()
            self._spawn(self._report())
        if event.HasField("verdicts"):
            self._sharing.on_verdicts(event.verdicts, is_first=is_first)
        if is_first:
            self._sharing.renew()
        if event.HasField("explain"):
            self._spawn(self._explain(event.explain))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _explain(self, order: router_pb2.ExplainOrder) -> None:
        try:
            await self._stub.Explained(self._explainer.answer(order), timeout=2)
        except grpc.aio.AioRpcError as error:
            logger.info("explanation not delivered", extra={"reason": error.details()})

    async def _report(self) -> None:
        """Tell the router which channels this edge can use; the router forgets a report after a minute."""
        try:
            await self._stub.Report(
                router_pb2.ReportRequest(
                    worker_id=self._worker_id,
                    catalog_revision=self._tables.revision,
                    channels=[
                        router_pb2.ChannelReport(channel=name, state=state, reason=reason)
                        for name, state, reason in self._tables.channel_states()
                    ],
                ),
                timeout=2,
            )
        except grpc.aio.AioRpcError as error:
            logger.info("channel report not delivered", extra={"reason": error.details()})

    async def report_regularly(self, interval_s: float = 20.0) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await self._report()
