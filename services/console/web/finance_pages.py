"""Finance: revenue, upstream cost and margin; any account's statements."""

from __future__ import annotations

import asyncio
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import auth_pb2
from services.console.web.account_pages import statement_page
from services.console.web.charts import stacked
from services.console.web.figures import usd_scale
from services.console.web.pages import pages_of
from services.console.web.periods import DAYS, period, short_label
from services.console.web.queries import By
from services.console.web.visitors import Finance, parts_of

router = APIRouter(prefix="/finance", include_in_schema=False)

_BYS = ("model", "channel", "group", "account", "key")


@router.get("")
async def margins(request: Request, who: Finance, days: int = 30, by: str = "model") -> Response:
    parts = parts_of(request)
    shown = period(days, "day", parts.now_s())
    by = by if by in _BYS else "model"
    rows, points, accounts = await asyncio.gather(
        parts.pages.margins(shown.since_s, shown.until_s, cast(By, by)),
        parts.pages.series("", shown.since_s, shown.until_s, shown.step, cast(By, by), "cost"),
        parts.backends.auth.call(parts.backends.accounts.ListAccounts, auth_pb2.ListAccountsRequest()),
    )
    names = {each.id: each.name for each in accounts.accounts} if by == "account" else {}
    series: dict[str, dict[str, int]] = {}
    for point in points:
        series.setdefault(names.get(point.name, point.name), {})[shown.label(point.at_s)] = point.figure
    return pages_of(request).show(
        request,
        who,
        "finance.html",
        rows=[(names.get(name, name), *figures) for name, *figures in rows],
        total=[sum(column) for column in zip(*(row[1:] for row in rows), strict=True)] or [0, 0, 0],
        chart=stacked(shown.labels, series, scale=usd_scale, other=who.say("other"), short=short_label),
        period=shown,
        days_offered=DAYS,
        by=by,
        bys=_BYS,
    )


@router.get("/accounts")
async def accounts(request: Request, who: Finance, q: str = "") -> Response:
    backends = parts_of(request).backends
    answer = await backends.auth.call(backends.accounts.ListAccounts, auth_pb2.ListAccountsRequest())
    wanted = q.strip().casefold()
    found = [each for each in answer.accounts if wanted in f"{each.id} {each.name}".casefold()]
    return pages_of(request).show(request, who, "finance_accounts.html", rows=found[:200], total=len(found), q=q)


@router.get("/accounts/{account_id}/statement")
async def statement(request: Request, who: Finance, account_id: str, month: str = "") -> Response:
    account = await parts_of(request).backends.account(account_id)
    return await statement_page(request, who, account.id, month)
