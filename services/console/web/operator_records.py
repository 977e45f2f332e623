"""Operators: dead letters with their replay, and the audit log."""

from __future__ import annotations

import json
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import auth_pb2, billing_pb2
from services.console.web.pages import go_to, pages_of
from services.console.web.visitors import Operator, Submitted, parts_of

router = APIRouter(prefix="/operator", include_in_schema=False)

_PAGE = 50


@dataclass(frozen=True, slots=True)
class AuditRow:
    entry: auth_pb2.AuditEntry
    before: list[tuple[str, str]]
    after: list[tuple[str, str]]


@router.get("/dead-letters")
async def dead_letters(request: Request, who: Operator, replayed: int = 0, done: str = "") -> Response:
    backends = parts_of(request).backends
    answer = await backends.billing.call(
        backends.ledger.ListDeadLetters, billing_pb2.ListDeadLettersRequest(with_replayed=bool(replayed))
    )
    return pages_of(request).show(
        request,
        who,
        "operator_dead_letters.html",
        letters=list(answer.letters)[:200],
        with_replayed=bool(replayed),
        done=done,
    )


@router.post("/dead-letters/{letter}/replay")
async def replay(request: Request, who: Operator, letter: str, form: Submitted) -> Response:
    backends = parts_of(request).backends
    revision = form.text("catalog_revision")
    order = billing_pb2.ReplayDeadLetterRequest(
        id=letter, catalog_revision=int(revision) if revision.isascii() and revision.isdigit() else 0
    )
    await backends.billing.call(backends.ledger.ReplayDeadLetter, order)
    return go_to("/operator/dead-letters", done="replayed")


@router.get("/audit")
async def audit(request: Request, who: Operator, before: int = 0) -> Response:
    backends = parts_of(request).backends
    answer = await backends.auth.call(
        backends.audit.List, auth_pb2.ListAuditRequest(before_sequence=max(0, before), limit=_PAGE)
    )
    entries = list(answer.entries)
    return pages_of(request).show(
        request,
        who,
        "operator_audit.html",
        rows=[AuditRow(entry, _fields(entry.before_json), _fields(entry.after_json)) for entry in entries],
        older=entries[-1].sequence if len(entries) == _PAGE and entries[-1].sequence > 1 else 0,
        is_first=not before,
    )


def _fields(text: str) -> list[tuple[str, str]]:
    """A JSON object's members, as text each."""
    if not text:
        return []
    document = json.loads(text)
    if not isinstance(document, dict):
        return [("", text)]
    return [
        (str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in document.items()
    ]
