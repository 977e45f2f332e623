"""Router and RouterAdmin (protos/router.proto): parse, call, map; no rules here."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc

from lumen.catalog.parse import catalog_from_json, catalog_to_json, parse_catalog
from lumen.catalog.problems import CatalogError
from lumen.catalog.resolve import resolution_to_json
from lumen.catalog.revisions import content_hash
from protos import router_pb2, router_pb2_grpc
from services.router.catalog_store import CatalogStore
from services.router.channel_reports import ChannelReports, ChannelState
from services.router.errors import (
    GRPC_CODES,
    InvalidRequest,
    NoCatalog,
    RouterError,
    StoreUnavailable,
    TooManyWatchers,
)
from services.router.explanations import Explanations, Inbox
from services.router.metrics import RouterMetrics
from services.router.verdicts import Verdicts

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

WATCHERS_MAX = 1024
_NOTE_CHARS_MAX = 1000
_READY_WAIT_S_MAX = 1.5
_AGE_MS_MAX = 10**9
_NOT_READ = "the catalog has not been read yet"


class RouterApi(router_pb2_grpc.RouterServicer):
    """What edges call."""

    def __init__(
        self,
        store: CatalogStore,
        reports: ChannelReports,
        verdicts: Verdicts,
        explanations: Explanations,
        metrics: RouterMetrics,
        *,
        heartbeat_s: float,
    ) -> None:
        self._store = store
        self._reports = reports
        self._verdicts = verdicts
        self._explanations = explanations
        self._metrics = metrics
        self._heartbeat_s = heartbeat_s
        self._watchers = 0
        self._is_stopping = False

    def stop(self) -> None:
        """End the watch streams within a heartbeat, so that edges move to another replica before this one is gone."""
        self._is_stopping = True

    async def Watch(self, request: router_pb2.WatchRequest, context: _Context) -> AsyncIterator[router_pb2.TableEvent]:
        """The current catalog and verdicts at once, then each change, with heartbeats in between.

        Nothing is queued per edge: a slow one gets the newest catalog when it is ready to read, and skips the rest.
        """
        if self._watchers >= WATCHERS_MAX:
            await _refuse(context, TooManyWatchers("too many edges watch this replica"))
        self._watchers += 1
        self._metrics.watchers.set(self._watchers)
        inbox = Inbox()
        try:
            await self._wait_ready(context)
            self._store.listen(inbox.woken)
            self._verdicts.listen(inbox.woken)
            self._explanations.join(inbox)
            sent = told = 0
            while not self._is_stopping:
                inbox.woken.clear()
                event = router_pb2.TableEvent(view_age_ms=self._age_ms())
                current = self._store.current
                if current is not None:
                    event.catalog_revision = current.number
                    if current.number != sent:
                        event.catalog_json = current.catalog_json
                        sent = current.number
                        self._metrics.pushes.inc()
                if self._verdicts.version != told:
                    told = self._verdicts.version
                    event.verdicts.CopyFrom(self._verdicts.current())
                if inbox.orders:
                    event.explain.CopyFrom(inbox.orders.popleft())
                yield event
                if not inbox.orders:
                    await _until(inbox.woken, self._heartbeat_s)
        finally:
            self._store.forget(inbox.woken)
            self._verdicts.forget(inbox.woken)
            self._explanations.leave(inbox)
            self._watchers -= 1
            self._metrics.watchers.set(self._watchers)

    async def Route(self, request: router_pb2.RouteRequest, context: _Context) -> router_pb2.RouteResponse:
        current = self._store.current
        if current is None:
            raise NoCatalog() if self._store.ready.is_set() else StoreUnavailable(_NOT_READ)
        resolution = current.table.resolve(request.group, request.model)
        self._metrics.routes.labels("not_found" if resolution is None else "found").inc()
        return router_pb2.RouteResponse(
            catalog_revision=current.number,
            view_age_ms=self._age_ms(),
            resolution_json=b"" if resolution is None else resolution_to_json(resolution),
        )

    async def Report(self, request: router_pb2.ReportRequest, context: _Context) -> router_pb2.ReportResponse:
        if not request.worker_id:
            raise InvalidRequest("worker_id is missing")
        states = [ChannelState(report.channel, report.state, report.reason) for report in request.channels]
        self._reports.record(request.worker_id, states)
        return router_pb2.ReportResponse()

    async def ReportVerdicts(
        self, request: router_pb2.ReportVerdictsRequest, context: _Context
    ) -> router_pb2.ReportVerdictsResponse:
        await self._verdicts.report(request.verdicts)
        return router_pb2.ReportVerdictsResponse()

    async def Explained(self, request: router_pb2.ExplainedRequest, context: _Context) -> router_pb2.ExplainedResponse:
        self._explanations.answered(request)
        return router_pb2.ExplainedResponse()

    async def _wait_ready(self, context: _Context) -> None:
        try:
            await asyncio.wait_for(self._store.ready.wait(), _READY_WAIT_S_MAX)
        except TimeoutError:
            await _refuse(context, StoreUnavailable(_NOT_READ))

    def _age_ms(self) -> int:
        age_s = self._store.age_s()
        return min(int(age_s * 1000), _AGE_MS_MAX) if math.isfinite(age_s) else _AGE_MS_MAX


class RouterAdmin(router_pb2_grpc.RouterAdminServicer):
    """What operators call. Domain errors (services.router.errors) become status codes in the server's interceptor."""

    def __init__(
        self,
        store: CatalogStore,
        reports: ChannelReports,
        verdicts: Verdicts,
        explanations: Explanations,
        metrics: RouterMetrics,
    ) -> None:
        self._store = store
        self._reports = reports
        self._verdicts = verdicts
        self._explanations = explanations
        self._metrics = metrics

    async def Apply(self, request: router_pb2.ApplyRequest, context: _Context) -> router_pb2.ApplyResponse:
        _check_note(request.note)
        self._check_ready()
        try:  # in a thread: a large catalog must not delay the heartbeats
            catalog = await asyncio.to_thread(parse_catalog, request.source, request.source_name or "catalog")
        except CatalogError as error:
            self._metrics.applies.labels("invalid").inc()
            return router_pb2.ApplyResponse(
                problems=[
                    router_pb2.CatalogProblem(line=problem.line, field=problem.field, message=problem.message)
                    for problem in error.problems
                ]
            )
        catalog_json = catalog_to_json(catalog)
        if request.dry_run:
            self._metrics.applies.labels("checked").inc()
            current = self._store.current
            return router_pb2.ApplyResponse(
                unchanged=current is not None and current.hash == content_hash(catalog_json)
            )
        return await self._append(catalog_json, request.note, request.expected_revision)

    async def Rollback(self, request: router_pb2.RollbackRequest, context: _Context) -> router_pb2.ApplyResponse:
        if not request.revision:
            raise InvalidRequest("revision is missing")
        self._check_ready()
        stored = await self._store.load(request.revision)
        return await self._append(bytes(stored.catalog), f"rollback to revision {request.revision}")

    async def Show(self, request: router_pb2.ShowRequest, context: _Context) -> router_pb2.ShowResponse:
        self._check_ready()
        current = self._store.current
        if request.revision in (0, current.number if current else 0):
            if current is None:
                raise NoCatalog
            number, catalog_json = current.number, current.catalog_json
        else:
            number = request.revision
            catalog_json = bytes((await self._store.load(number)).catalog)
        channels = [channel.name for channel in catalog_from_json(catalog_json).channels]
        return router_pb2.ShowResponse(
            revision=number,
            catalog_json=catalog_json,
            channels=[
                router_pb2.ChannelReport(channel=state.channel, state=state.state, reason=state.reason)
                for state in self._reports.worst(channels)
            ],
            verdicts=self._verdicts.current().items,
        )

    async def History(self, request: router_pb2.HistoryRequest, context: _Context) -> router_pb2.HistoryResponse:
        self._check_ready()
        return router_pb2.HistoryResponse(
            revisions=[
                router_pb2.RevisionInfo(revision=info.number, created_at_s=info.created_at_s, note=info.note)
                for info in self._store.history()
            ]
        )

    async def Explain(self, request: router_pb2.ExplainRequest, context: _Context) -> router_pb2.ExplainResponse:
        """How each edge connected to this replica would route such a request now."""
        if not request.group or not request.model:
            raise InvalidRequest("group and model are required")
        return router_pb2.ExplainResponse(edges=await self._explanations.ask(request))

    async def _append(self, catalog_json: bytes, note: str, expected_revision: int = 0) -> router_pb2.ApplyResponse:
        number, is_new = await self._store.append(catalog_json, note, expected_revision)
        self._metrics.applies.labels("created" if is_new else "unchanged").inc()
        return router_pb2.ApplyResponse(revision=number, unchanged=not is_new)

    def _check_ready(self) -> None:
        if not self._store.ready.is_set():
            raise StoreUnavailable(_NOT_READ)


async def _refuse(context: _Context, error: RouterError) -> None:
    """End a stream with an error; the server's interceptor does this for unary calls."""
    await context.abort(GRPC_CODES[error.kind], error.message, (("lumen-error-kind", error.kind),))


async def _until(woken: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await woken.wait()
    except TimeoutError:
        return


def _check_note(note: str) -> None:
    if len(note) > _NOTE_CHARS_MAX:
        raise InvalidRequest(f"the note is longer than {_NOTE_CHARS_MAX} characters")
