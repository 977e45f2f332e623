"""An account holder's usage: charts by day or hour, and the log of requests with each charge explained."""

from __future__ import annotations

import asyncio
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import auth_pb2
from services.console.errors import ConsoleError
from services.console.explanations import ExplanationView
from services.console.pages import decode_cursor, encode_cursor
from services.console.parts import Parts
from services.console.request_log import CURSOR_PARTS, Outcome, RequestFilter
from services.console.web.charts import stacked
from services.console.web.figures import compact, usd_scale
from services.console.web.pages import pages_of
from services.console.web.periods import DAYS, period, short_label
from services.console.web.queries import By, Measure
from services.console.web.visitors import Member, parts_of

router = APIRouter(include_in_schema=False)

_MEASURES = ("cost", "tokens", "requests")
_BYS = ("model", "key")
_TEXT_CHARS_MAX = 200
_LOG_ROWS = 50


@router.get("/usage")
async def usage(
    request: Request, who: Member, days: int = 7, step: str = "", by: str = "model", measure: str = "cost"
) -> Response:
    parts = parts_of(request)
    shown = period(days, step, parts.now_s())
    by = by if by in _BYS else "model"
    measure = measure if measure in _MEASURES else "cost"
    points, names = await asyncio.gather(
        parts.pages.series(
            who.account_id, shown.since_s, shown.until_s, shown.step, cast(By, by), cast(Measure, measure)
        ),
        key_names(parts, who.account_id),
    )
    series: dict[str, dict[str, int]] = {}
    for point in points:
        name = names.get(point.name, point.name) if by == "key" else point.name
        row = series.setdefault(name, {})
        row[shown.label(point.at_s)] = row.get(shown.label(point.at_s), 0) + point.figure
    return pages_of(request).show(
        request,
        who,
        "usage.html",
        chart=stacked(
            shown.labels,
            series,
            scale=usd_scale if measure == "cost" else lambda _: compact,
            other=who.say("other"),
            short=short_label,
        ),
        totals=sorted(
            ((name, sum(row.values())) for name, row in series.items()), key=lambda pair: (-pair[1], pair[0])
        ),
        period=shown,
        days_offered=DAYS,
        by=by,
        measure=measure,
    )


@router.get("/requests")
async def requests(
    request: Request,
    who: Member,
    days: int = 7,
    q: str = "",
    model: str = "",
    key: str = "",
    status: str = "",
    cursor: str = "",
) -> Response:
    parts = parts_of(request)
    shown = period(days, "day", parts.now_s())
    wanted = RequestFilter(
        since_s=shown.since_s,
        until_s=shown.until_s,
        request_id=q.strip()[:_TEXT_CHARS_MAX],
        model=model[:_TEXT_CHARS_MAX],
        key=key[:_TEXT_CHARS_MAX],
        status=cast(Outcome, status if status in ("ok", "failed") else ""),
    )
    (rows, next_key), names, models = await asyncio.gather(
        parts.requests.page(who.account_id, wanted, decode_cursor(cursor, CURSOR_PARTS), _LOG_ROWS),
        key_names(parts, who.account_id),
        parts.pages.series(who.account_id, shown.since_s, shown.until_s, "day", "model", "requests"),
    )
    return pages_of(request).show(
        request,
        who,
        "requests.html",
        rows=rows,
        next_cursor=encode_cursor(*next_key) if next_key else "",
        names=names,
        models=sorted({point.name for point in models} | ({model} if model else set())),
        wanted=wanted,
        period=shown,
        days_offered=DAYS,
    )


@router.get("/requests/{request_id}")
async def explain(request: Request, who: Member, request_id: str) -> Response:
    parts = parts_of(request)
    found = own_explanation(await parts.explanations.explain(request_id), who.account_id)
    return pages_of(request).show(
        request, who, "request.html", explanation=found, names=await key_names(parts, who.account_id)
    )


def own_explanation(found: ExplanationView, account_id: str) -> ExplanationView:
    """Raises ConsoleError (not_found) when the request was another account's. What the provider charges us is not the
    account holder's to see: the template shows the account's charge only."""
    if not found.entries or any(entry.account != account_id for entry in found.entries):
        raise ConsoleError("there is no such request", kind="not_found")
    return found


async def key_names(parts: Parts, account_id: str) -> dict[str, str]:
    """Key id -> its name, or the start of its secret."""
    answer = await parts.backends.auth.call(
        parts.backends.accounts.ListKeys, auth_pb2.ListKeysRequest(account_id=account_id)
    )
    return {key.view.key_id: key.view.name or f"{key.prefix}…" for key in answer.keys}
