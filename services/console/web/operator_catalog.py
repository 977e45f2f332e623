"""Operators: the catalog's revisions, what each changed, and going back to one; applying a new text."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import router_pb2
from services.console.errors import ConsoleError, Problem
from services.console.parts import Parts
from services.console.web.catalog_diff import catalog_diff
from services.console.web.pages import go_to, pages_of
from services.console.web.visitors import Operator, Submitted, Visitor, parts_of

router = APIRouter(prefix="/operator/catalog", include_in_schema=False)

_LISTED_MAX = 100


@router.get("")
async def revisions(request: Request, who: Operator, done: str = "") -> Response:
    parts = parts_of(request)
    history = await parts.backends.router.call(parts.backends.catalog.History, router_pb2.HistoryRequest())
    listed = list(history.revisions)
    return pages_of(request).show(
        request,
        who,
        "operator_catalog.html",
        revisions=listed[:_LISTED_MAX],
        current=listed[0].revision if listed else 0,
        done=done,
    )


@router.get("/edit")
async def edit(request: Request, who: Operator) -> Response:
    parts = parts_of(request)
    try:
        text = json.dumps(await _load(parts, 0), ensure_ascii=False, indent=2)
    except ConsoleError as error:
        if error.row.http_status != 404:
            raise
        text = ""
    return _edit_page(request, who, text, "")


@router.post("/edit")
async def apply(request: Request, who: Operator, form: Submitted) -> Response:
    """`check` shows every problem and changes nothing; `apply` makes a new revision."""
    parts = parts_of(request)
    text, note = form.raw("content"), form.text("note")
    is_check = form.text("action") == "check"
    answer = await parts.backends.router.call(
        parts.backends.catalog.Apply,
        router_pb2.ApplyRequest(source=text, source_name="console", note=note, dry_run=is_check),
    )
    problems = [Problem(each.line, each.field, each.message) for each in answer.problems]
    if problems or is_check:
        return _edit_page(request, who, text, note, problems, is_checked=not problems)
    return go_to("/operator/catalog", done="unchanged" if answer.unchanged else "applied")


@router.get("/{revision}")
async def revision(request: Request, who: Operator, revision: int, against: int = 0) -> Response:
    """What `revision` changed compared with `against`, by default the one before."""
    parts = parts_of(request)
    base = against if against > 0 else revision - 1
    history = await parts.backends.router.call(parts.backends.catalog.History, router_pb2.HistoryRequest())
    info = next((each for each in history.revisions if each.revision == revision), None)
    if info is None:
        raise ConsoleError("there is no such revision", kind="not_found")
    after, before = await asyncio.gather(_load(parts, revision), _load(parts, base) if base > 0 else _nothing())
    return pages_of(request).show(
        request,
        who,
        "operator_revision.html",
        info=info,
        base=base,
        lines=catalog_diff(before, after),
        current=history.revisions[0].revision,
        revisions=[each.revision for each in history.revisions][:_LISTED_MAX],
    )


@router.post("/{revision}/rollback")
async def rollback(request: Request, who: Operator, revision: int, form: Submitted) -> Response:
    backends = parts_of(request).backends
    await backends.router.call(backends.catalog.Rollback, router_pb2.RollbackRequest(revision=revision))
    return go_to("/operator/catalog", done="rolled-back")


async def _load(parts: Parts, revision: int) -> dict[str, object]:
    shown = await parts.backends.router.call(parts.backends.catalog.Show, router_pb2.ShowRequest(revision=revision))
    document: dict[str, object] = json.loads(shown.catalog_json)
    return document


async def _nothing() -> dict[str, object]:
    return {}


def _edit_page(
    request: Request,
    who: Visitor,
    text: str,
    note: str,
    problems: list[Problem] | None = None,
    *,
    is_checked: bool = False,
) -> Response:
    return pages_of(request).show(
        request,
        who,
        "operator_catalog_edit.html",
        422 if problems else 200,
        text=text,
        note=note,
        problems=problems or [],
        is_checked=is_checked,
    )
