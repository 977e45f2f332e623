"""Finance: exports of rows, the API's own. With script the page tells rows and bytes so far."""

from __future__ import annotations

from typing import get_args

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.console.errors import ConsoleError
from services.console.finance import exports_api
from services.console.finance.exports import ExportName, Format
from services.console.web.pages import pages_of
from services.console.web.spans import PRESETS, span_of
from services.console.web.visitors import Finance, parts_of

router = APIRouter(prefix="/finance/exports", include_in_schema=False)

KINDS: tuple[ExportName, ...] = get_args(ExportName)
FORMATS: tuple[Format, ...] = get_args(Format)
_ACCOUNT_CHARS_MAX = 200


@router.get("")
async def form(request: Request, who: Finance, range: str = "last-month") -> Response:  # noqa: A002
    span = span_of(range, "", "", parts_of(request).now_s())
    return pages_of(request).show(
        request, who, "finance_exports.html", span=span, presets=PRESETS, kinds=KINDS, formats=FORMATS
    )


@router.get("/download")
async def download(
    request: Request,
    who: Finance,
    kind: str = "usage",
    since: str = "",
    to: str = "",
    account: str = "",
    format: str = "csv",  # noqa: A002
) -> Response:
    """Raises ConsoleError before the first row; what breaks later ends the answer without its end."""
    written = next((each for each in FORMATS if each == format), None)
    if kind not in KINDS or written is None or len(account) > _ACCOUNT_CHARS_MAX:
        raise ConsoleError("there is no such export", kind="not_found")
    parts = parts_of(request)
    days = span_of("", since, to, parts.now_s()).days
    export = exports_api.export_usage if kind == "usage" else exports_api.export_focus
    return await export(parts, days.since, days.until, account.strip(), written)
