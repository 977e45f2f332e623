"""/admin/v1/finance/exports: rows for a warehouse, a spreadsheet or a FinOps tool, streamed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Send
from starlette.types import Scope as HttpScope

from services.console.finance.api import Since, Until
from services.console.finance.exports import MEDIA_TYPES, Export, ExportStream, Format, focus_rows, usage_rows
from services.console.finance.focus import focus_columns, focus_schema
from services.console.finance.labels import labels_of
from services.console.finance.scope import Days, Scope, days_of
from services.console.parts import ADMIN_ROOT, Parts, PartsDependency

router = APIRouter(prefix=f"{ADMIN_ROOT}/finance/exports", tags=["finance"])

_Account = Annotated[str, Query(max_length=200, description="id or name; empty: all")]
_STALLED_S_MAX = 120.0
# How many rows will come, by the rollups: for a progress bar, not for a check.
ROWS_EXPECTED_HEADER = "x-lumen-rows-expected"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows, streamed. An answer that ends without its last chunk is not whole.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class ExportResponse(StreamingResponse):
    """Ends the query with the client, and does not wait for ever for one that stopped reading."""

    def __init__(
        self, chunks: ExportStream, *, file_name: str, media_type: str, rows_expected: int | None = None
    ) -> None:
        headers = {"content-disposition": f'attachment; filename="{file_name}"', "cache-control": "no-store"}
        if rows_expected is not None:
            headers[ROWS_EXPECTED_HEADER] = str(rows_expected)
        super().__init__(chunks, headers=headers, media_type=media_type)
        self._chunks = chunks

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        async def bounded(message: Message) -> None:
            async with asyncio.timeout(_STALLED_S_MAX):
                await send(message)

        try:
            await super().__call__(scope, receive, bounded)
        finally:
            await self._chunks.aclose()


@router.get("/usage", response_class=StreamingResponse, responses=_ANSWERS)
async def export_usage(
    parts: PartsDependency,
    since: Since = None,
    until: Until = None,
    account: _Account = "",
    format: Format = "csv",  # noqa: A002  # the parameter's public name
) -> ExportResponse:
    """Every recorded request: tokens, cost, upstream cost, its place in the ledger. UTC; USD as exact decimals."""
    days = days_of(since, until, parts.now_s())
    account_id = await _account_id(parts, account)
    scope = Scope(days, {"account": account_id} if account_id else {})
    total, _ = await parts.finance.margins(scope, "all", None, None, 1)
    return await _answer(parts, usage_rows(days, account_id), days, format, total.requests)


@router.get("/focus", response_class=StreamingResponse, responses=_ANSWERS)
async def export_focus(
    parts: PartsDependency,
    since: Since = None,
    until: Until = None,
    account: _Account = "",
    format: Format = "csv",  # noqa: A002
) -> ExportResponse:
    """FOCUS 1.2: usage per hour, account, key, group and model in credits (a virtual currency), and credits' prices."""
    days = days_of(since, until, parts.now_s())
    account_id = await _account_id(parts, account)
    names = await labels_of(parts.backends, "account")
    if account_id:
        names = {account_id: names.get(account_id, account_id)}
    return await _answer(parts, focus_rows(days, account_id, parts.issuer, names), days, format)


@router.get("/focus/schema")
async def focus_export_schema(parts: PartsDependency) -> dict[str, Any]:
    """The FOCUS metadata of the export: version, columns, types, precision."""
    return focus_schema(focus_columns(parts.issuer, {}))


async def _answer(
    parts: Parts, export: Export, days: Days, format_: Format, rows_expected: int | None = None
) -> ExportResponse:
    return ExportResponse(
        await parts.exports.open(export, format_),
        file_name=f"lumen-{export.name}-{days.since}-{days.until}.{format_}",
        media_type=MEDIA_TYPES[format_],
        rows_expected=rows_expected,
    )


async def _account_id(parts: Parts, account: str) -> str:
    return (await parts.backends.account(account)).id if account else ""
