"""An account holder's overview, models, statements."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from lumen.catalog.document import Catalog
from lumen.catalog.parse import catalog_from_json
from protos import billing_pb2, router_pb2
from services.console.errors import ConsoleError
from services.console.parts import Parts
from services.console.web.charts import Chart, stacked
from services.console.web.figures import days_left_tenths, usd_scale
from services.console.web.pages import pages_of
from services.console.web.periods import Period, period, short_label
from services.console.web.price_lists import GroupRow, price_lists
from services.console.web.visitors import Member, Visitor, parts_of

router = APIRouter(include_in_schema=False)

BURN_S = 7 * 86_400
_MONTHS_LISTED = 12


@router.get("/overview")
async def overview(request: Request, who: Member) -> Response:
    parts = parts_of(request)
    now_s = parts.now_s()
    shown = period(7, "day", now_s)
    balance, account, (spent, requests), (spent_today, _), chart = await asyncio.gather(
        balance_of(parts, who.account_id),
        parts.backends.account(who.account_id),
        parts.pages.spent(who.account_id, now_s - BURN_S, now_s + 1),
        parts.pages.spent(who.account_id, now_s - now_s % 86_400, now_s + 1),
        cost_chart(parts, who, who.account_id, shown),
    )
    return pages_of(request).show(
        request,
        who,
        "overview.html",
        balance=balance,
        account=account,
        spent=spent,
        spent_today=spent_today,
        requests=requests,
        days_left=days_left_tenths(balance.balance_nanousd, spent, BURN_S),
        chart=chart,
    )


@router.get("/models")
async def models(request: Request, who: Member, group: str = "") -> Response:
    groups, revision = await live_prices(parts_of(request))
    return pages_of(request).show(
        request, who, "models.html", groups=groups, chosen=chosen_group(groups, group), revision=revision
    )


@router.get("/statements")
async def statements(request: Request, who: Member, month: str = "") -> Response:
    return await statement_page(request, who, who.account_id, month)


async def statement_page(request: Request, who: Visitor, account_id: str, month: str) -> Response:
    """For the account's member, and for finance."""
    parts = parts_of(request)
    now_s = parts.now_s()
    months = recent_months(now_s)
    chosen = month or months[0]
    try:
        account, statement = await asyncio.gather(
            parts.backends.account(account_id), parts.statements.month(account_id, chosen, now_s)
        )
    except ConsoleError as error:
        if error.kind == "invalid_fields":
            raise ConsoleError("there is no such month", kind="not_found") from error
        raise
    return pages_of(request).show(
        request, who, "statement.html", account=account, statement=statement, months=months, chosen=chosen
    )


def recent_months(now_s: int) -> list[str]:
    """Newest first."""
    now = datetime.fromtimestamp(now_s, UTC)
    number = now.year * 12 + now.month - 1
    return [f"{(number - back) // 12}-{(number - back) % 12 + 1:02d}" for back in range(_MONTHS_LISTED)]


async def balance_of(parts: Parts, account_id: str) -> billing_pb2.Balance:
    request = billing_pb2.GetBalanceRequest(account_id=account_id)
    return await parts.backends.billing.call(parts.backends.ledger.GetBalance, request)


async def cost_chart(parts: Parts, who: Visitor, account_id: str, shown: Period) -> Chart:
    points = await parts.pages.series(account_id, shown.since_s, shown.until_s, shown.step, "model", "cost")
    series: dict[str, dict[str, int]] = {}
    for point in points:
        series.setdefault(point.name, {})[shown.label(point.at_s)] = point.figure
    return stacked(shown.labels, series, scale=usd_scale, other=who.say("other"), short=short_label)


async def live_catalog(parts: Parts) -> tuple[Catalog, int]:
    """(the current catalog, its revision). Before the first one is applied: an empty one, 0."""
    try:
        shown = await parts.backends.router.call(parts.backends.catalog.Show, router_pb2.ShowRequest())
    except ConsoleError as error:
        if error.row.http_status == 404:
            return Catalog(), 0
        raise
    return catalog_from_json(shown.catalog_json), shown.revision


async def live_prices(parts: Parts) -> tuple[list[GroupRow], int]:
    catalog, revision = await live_catalog(parts)
    return price_lists(catalog, revision), revision


def chosen_group(groups: list[GroupRow], name: str) -> GroupRow | None:
    """The one asked for, else the first."""
    return next((group for group in groups if group.name == name), groups[0] if groups else None)
