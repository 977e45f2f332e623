"""/admin/v1/finance: revenue, upstream cost and margin; what moved; liabilities; the state of the proof."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from protos import billing_pb2
from services.console.errors import InvalidRequest
from services.console.finance.labels import labels_of
from services.console.finance.scope import Dimension, Measure, Period, Scope, days_of, instant_s
from services.console.finance.views import (
    LiabilitiesView,
    LiabilityRow,
    MarginRow,
    MarginsView,
    MoverRow,
    MoversView,
    ReconciliationView,
    amount,
)
from services.console.pages import Cursor, Limit, decode_cursor, encode_cursor
from services.console.parts import ADMIN_ROOT, PartsDependency
from services.console.views import reconcile_view

router = APIRouter(prefix=f"{ADMIN_ROOT}/finance", tags=["finance"])

Since = Annotated[
    date | None, Query(description="first day (UTC); default: 30 days up to today", examples=["2026-11-01"])
]
Until = Annotated[
    date | None, Query(description="day after the last (UTC); default: tomorrow", examples=["2026-12-01"])
]
_Value = Annotated[str, Query(max_length=200)]


async def scope_of(
    parts: PartsDependency,
    since: Since = None,
    until: Until = None,
    model: _Value = "",
    provider: _Value = "",
    channel: _Value = "",
    group: _Value = "",
    account: Annotated[str, Query(max_length=200, description="id or name")] = "",
    key: _Value = "",
) -> Scope:
    """The days, and only the rows with these values."""
    days = days_of(since, until, parts.now_s())
    account_id = (await parts.backends.account(account)).id if account else ""
    values: dict[Dimension, str] = {
        "model": model,
        "provider": provider,
        "channel": channel,
        "group": group,
        "account": account_id,
        "key": key,
    }
    return Scope(days, {name: value for name, value in values.items() if value}, await parts.finance.providers())


_ScopeDependency = Annotated[Scope, Depends(scope_of)]


@router.get("/margins")
async def margins(
    parts: PartsDependency,
    scope: _ScopeDependency,
    period: Period = "day",
    by: Dimension | None = None,
    top: Annotated[int, Query(ge=0, le=200, description="only the values of most revenue apart; 0: all")] = 0,
    limit: Limit = 200,
    cursor: Cursor = "",
) -> MarginsView:
    """Revenue, upstream cost and margin per period (UTC; weeks begin on Monday), split by one dimension or not.

    `provider` is the host a channel calls. Refused and failed requests are rows too: they cost the account nothing.
    """
    after = decode_cursor(cursor, 3)
    if after and after[1] not in ("0", "1"):
        raise InvalidRequest("cursor", "not a cursor of this list")
    total, found = await parts.finance.margins(scope, period, by, after, limit, top)
    labels = await labels_of(parts.backends, by)
    page = found[:limit]
    return MarginsView(
        since=scope.days.since,
        until=scope.days.until,
        period=period,
        by=by,
        is_current=await parts.finance.is_current(),
        total=total,
        rows=[
            MarginRow(
                period=row.period,
                value=row.value,
                label=labels.get(row.value, ""),
                is_rest=row.is_rest,
                **dict(row.counts),
            )
            for row in page
        ],
        next_cursor=encode_cursor(*page[-1].key) if len(found) > limit else None,
    )


@router.get("/movers")
async def movers(
    parts: PartsDependency,
    scope: _ScopeDependency,
    by: Dimension = "account",
    measure: Measure = "revenue",
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> MoversView:
    """The largest changes, up or down, against as many days before."""
    found = await parts.finance.movers(scope, by, measure, limit)
    labels = await labels_of(parts.backends, by)
    return MoversView(
        since=scope.days.since,
        until=scope.days.until,
        before_since=scope.days.before.since,
        by=by,
        measure=measure,
        is_current=await parts.finance.is_current(),
        movers=[
            MoverRow(
                value=value,
                label=labels.get(value, ""),
                before=amount(before),
                after=amount(after),
                change=amount(after - before),
            )
            for value, before, after in found
        ],
    )


@router.get("/liabilities")
async def liabilities(
    parts: PartsDependency,
    at: Annotated[
        date | None,
        Query(description="as of the first instant of this day (UTC); default: now", examples=["2026-12-01"]),
    ] = None,
    limit: Limit = 200,
    cursor: Cursor = "",
) -> LiabilitiesView:
    """Paid credits outstanding, and grants apart, per account and in all: entries made before the instant asked for."""
    now_s = parts.now_s()
    until_s = instant_s(at) if at is not None else now_s + 1  # the current second too
    after = decode_cursor(cursor, 1)
    totals, found = await parts.liabilities.page(until_s * 1_000_000, after[0] if after else "", limit)
    labels = await labels_of(parts.backends, "account")
    page = found[:limit]
    return LiabilitiesView(
        as_of=datetime.fromtimestamp(until_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        is_current=await parts.finance.is_current(),
        accounts=totals.accounts,
        balance=amount(totals.balance),
        grants_open=amount(totals.grants_open),
        paid_open=amount(totals.paid_open),
        overdrawn=amount(totals.overdrawn),
        rows=[
            LiabilityRow(
                account=row.account,
                label=labels.get(row.account, ""),
                balance=amount(row.balance),
                grants_open=amount(row.grants_open),
                paid_open=amount(row.paid_open),
            )
            for row in page
        ],
        next_cursor=encode_cursor(page[-1].account) if len(found) > limit else None,
    )


@router.get("/reconciliation")
async def reconciliation(parts: PartsDependency) -> ReconciliationView:
    """The whole proof run now (up to a minute), and the sums that every other figure here must add up to."""
    backends = parts.backends
    proof = reconcile_view(
        await backends.billing.call(
            backends.ledger.Reconcile, billing_pb2.ReconcileRequest(), timeout_s=backends.reconcile_timeout_s
        )
    )
    is_current = await parts.finance.is_current()
    credited, revenue, rolled_up = await parts.finance.sums()
    return ReconciliationView(
        is_ok=proof.is_ok and (revenue == rolled_up or not is_current),
        is_current=is_current,
        checks=proof.checks,
        entries=proof.entries,
        dead_letters=proof.dead_letters,
        credits=amount(credited),
        revenue=amount(revenue),
        revenue_rolled_up=amount(rolled_up),
        difference=amount(revenue - rolled_up),
        balance=amount(credited - revenue),
    )
