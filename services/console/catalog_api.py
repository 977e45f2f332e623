"""/admin/v1/catalog: router's catalog."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from protos import router_pb2
from services.console.bodies import ApplyCatalog, RollbackCatalog
from services.console.errors import ConsoleError, Problem
from services.console.pages import Cursor, Limit, page_of
from services.console.parts import ADMIN_ROOT, PartsDependency
from services.console.views import AppliedView, CatalogView, HistoryView, catalog_view, history_view

router = APIRouter(prefix=f"{ADMIN_ROOT}/catalog", tags=["catalog"])


@router.post("")
async def apply_catalog(body: ApplyCatalog, parts: PartsDependency) -> AppliedView:
    """Check a catalog whole and make it current. 422 lists every problem with its line and field."""
    backends = parts.backends
    request = router_pb2.ApplyRequest(
        source=body.content, source_name=body.source_name, note=body.note, dry_run=body.dry_run
    )
    answer = await backends.router.call(backends.catalog.Apply, request)
    return _applied(answer, body.source_name)


@router.get("")
async def show_catalog(parts: PartsDependency, revision: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0) -> CatalogView:
    """The current catalog (or a revision) and what the edges say about its channels."""
    backends = parts.backends
    return catalog_view(await backends.router.call(backends.catalog.Show, router_pb2.ShowRequest(revision=revision)))


@router.get("/history")
async def catalog_history(parts: PartsDependency, limit: Limit = 200, cursor: Cursor = "") -> HistoryView:
    """Newest first."""
    backends = parts.backends
    answer = await backends.router.call(backends.catalog.History, router_pb2.HistoryRequest())
    return history_view(*page_of(answer.revisions, lambda info: str(info.revision), cursor, limit))


@router.post("/rollback")
async def roll_back_catalog(body: RollbackCatalog, parts: PartsDependency) -> AppliedView:
    """Make an old revision's content current again, as a new revision."""
    backends = parts.backends
    request = router_pb2.RollbackRequest(revision=body.revision)
    return _applied(await backends.router.call(backends.catalog.Rollback, request), f"revision {body.revision}")


def _applied(answer: router_pb2.ApplyResponse, source_name: str) -> AppliedView:
    if answer.problems:
        count = len(answer.problems)
        raise ConsoleError(
            f"{source_name} has {count} problem{'s' if count > 1 else ''}; nothing was changed",
            kind="invalid_catalog",
            problems=[Problem(problem.line, problem.field, problem.message) for problem in answer.problems],
        )
    return AppliedView(revision=answer.revision, unchanged=answer.unchanged)
