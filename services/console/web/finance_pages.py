"""Finance: revenue, upstream cost and margin; what moved; any account's statements. Pages show what the API answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import auth_pb2
from services.console.errors import InvalidRequest
from services.console.finance import api as finance_api
from services.console.finance.scope import Dimension, Measure
from services.console.finance.views import MarginRow
from services.console.web.account_pages import statement_page
from services.console.web.charts import SERIES_MAX, Chart, stacked
from services.console.web.figures import usd_scale
from services.console.web.pages import pages_of
from services.console.web.spans import PERIODS, PRESETS, Span, span_of, starts
from services.console.web.visitors import Finance, Visitor, parts_of

router = APIRouter(prefix="/finance", include_in_schema=False)

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
MEASURES: tuple[Measure, ...] = get_args(Measure)
_CHARTED: tuple[Measure, ...] = ("revenue", "upstream_cost")  # a margin may be negative, a bar may not
_VALUES_SHOWN = 100
_MOVERS_SHOWN = 50
_ROWS_MAX = 20_000  # of 101 values in 120 periods at most
_VALUE_CHARS_MAX = 200


_Text = TypeVar("_Text", bound=str)


@dataclass(slots=True)
class Sums:
    """One line of a table. nano-USD."""

    value: str
    name: str
    is_rest: bool = False
    requests: int = 0
    revenue: int = 0
    cost: int = 0

    def add(self, row: MarginRow) -> None:
        self.requests += row.charged_requests
        self.revenue += row.revenue.nanousd
        self.cost += row.upstream_cost.nanousd


@router.get("")
async def margins(
    request: Request,
    who: Finance,
    range: str = "",  # noqa: A002  # the parameter's public name
    since: str = "",
    to: str = "",
    per: str = "day",
    by: str = "model",
    measure: str = "revenue",
) -> Response:
    parts = parts_of(request)
    split = _one_of(DIMENSIONS, by)
    charted = _one_of(_CHARTED, measure)
    only = {name: value[:_VALUE_CHARS_MAX] for name in DIMENSIONS if (value := request.query_params.get(name, ""))}
    offered: dict[str, Any] = {"presets": PRESETS, "periods": PERIODS, "bys": DIMENSIONS, "measures": _CHARTED}
    shown: dict[str, Any] = {"by": split, "measure": charted, "only": only, **offered}
    try:
        span = span_of(range, since, to, parts.now_s())
    except InvalidRequest as error:
        asked: dict[str, Any] = {"since": since, "to": to, "per": per, "span": None, "error": error}
        return pages_of(request).show(request, who, "finance.html", 422, **shown, **asked)
    period = span.period(per)
    scope = await finance_api.scope_of(parts, span.days.since, span.days.until, **only)
    answer = await finance_api.margins(parts, scope, period, split, top=_VALUES_SHOWN, limit=_ROWS_MAX)
    named = _named(who, answer.rows)
    values: dict[tuple[bool, str], Sums] = {}
    periods: dict[str, Sums] = {}
    for row, name in named:
        values.setdefault((row.is_rest, row.value), Sums(row.value, name, row.is_rest)).add(row)
        periods.setdefault(row.period, Sums(row.period, _label(row.period, period))).add(row)
    ranked = sorted(values.values(), key=lambda sums: (sums.is_rest, -sums.revenue, sums.name))
    return pages_of(request).show(
        request,
        who,
        "finance.html",
        span=span,
        since=str(span.days.since),
        to=str(span.last),
        per=period,
        error=None,
        answer=answer,
        values=ranked,
        by_period=[periods[start] for start in sorted(periods)],
        chart=_chart(who, span, period, named, ranked, charted),
        names=await _names_of(request, only),
        **shown,
    )


@router.get("/movers")
async def movers(
    request: Request,
    who: Finance,
    range: str = "",  # noqa: A002
    since: str = "",
    to: str = "",
    by: str = "account",
    measure: str = "revenue",
) -> Response:
    parts = parts_of(request)
    split, measured = _one_of(DIMENSIONS, by), _one_of(MEASURES, measure)
    offered: dict[str, Any] = {"presets": PRESETS, "bys": DIMENSIONS, "measures": MEASURES}
    shown: dict[str, Any] = {"by": split, "measure": measured, **offered}
    try:
        span = span_of(range, since, to, parts.now_s())
    except InvalidRequest as error:
        asked: dict[str, Any] = {"since": since, "to": to, "span": None, "error": error}
        return pages_of(request).show(request, who, "finance_movers.html", 422, **shown, **asked)
    scope = await finance_api.scope_of(parts, span.days.since, span.days.until)
    answer = await finance_api.movers(parts, scope, split, measured, _MOVERS_SHOWN)
    return pages_of(request).show(
        request,
        who,
        "finance_movers.html",
        span=span,
        before=Span(span.days.before),
        since=str(span.days.since),
        to=str(span.last),
        error=None,
        answer=answer,
        rows=[(name_of(who, row), row) for row in answer.movers],
        **shown,
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


def name_of(who: Visitor, row: Any) -> str:
    """Of a row with a `value` and a `label`: what people call it."""
    return str(row.label or row.value or who.say("(none)"))


def _named(who: Visitor, rows: list[MarginRow]) -> list[tuple[MarginRow, str]]:
    """Each row with its value's name; of values with one name between them, their ids too."""
    names = {row.value: name_of(who, row) for row in rows if not row.is_rest}
    often = Counter(names.values())
    titles = {value: name if often[name] == 1 else f"{name} ({value})" for value, name in names.items()}
    return [(row, who.say("all others") if row.is_rest else titles[row.value]) for row in rows]


def _one_of(known: tuple[_Text, ...], asked: str) -> _Text:
    """What was asked for; the first for anything else."""
    return next((each for each in known if each == asked), known[0])


def _label(start: str, period: str) -> str:
    return start[:7] if period == "month" else start


def _chart(
    who: Visitor, span: Span, period: Any, named: Iterable[tuple[MarginRow, str]], ranked: list[Sums], measure: Measure
) -> Chart:
    """The values of most revenue, and all others together."""
    alone = {sums.value for sums in ranked[: SERIES_MAX - 1] if not sums.is_rest}
    series: dict[str, dict[str, int]] = {}
    for row, name in named:
        is_alone = row.value in alone and not row.is_rest
        figures = series.setdefault(name if is_alone else who.say("other"), {})
        label = _label(row.period, period)
        figures[label] = figures.get(label, 0) + getattr(row, measure).nanousd
    labels = [_label(str(start), period) for start in starts(span.days, period)]
    return stacked(
        labels,
        series,
        scale=usd_scale,
        other=who.say("other"),
        short=lambda label: label if period == "month" else label[5:],
    )


async def _names_of(request: Request, only: dict[Dimension, str]) -> dict[str, str]:
    """Names of the ids that rows are narrowed down to."""
    if "account" not in only:
        return {}
    account = await parts_of(request).backends.account(only["account"])
    return {account.id: account.name}
