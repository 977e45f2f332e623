"""/admin/v1/usage and /admin/v1/reconcile: what was used and why it cost that, and the proof that the books agree."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from protos import auth_pb2, billing_pb2
from services.console.errors import InvalidRequest
from services.console.explanations import ExplanationView
from services.console.pages import Cursor, Limit, decode_cursor, encode_cursor
from services.console.parts import ADMIN_ROOT, Parts, PartsDependency
from services.console.request_log import CURSOR_PARTS, Outcome, RequestFilter, RequestsView
from services.console.times import format_time, parse_past
from services.console.usage_queries import Grouping, UsageView
from services.console.views import ReconcileView, reconcile_view

router = APIRouter(prefix=ADMIN_ROOT, tags=["usage"])

_Account = Annotated[str, Query(min_length=1, max_length=200, description="id or name")]
_Time = Annotated[str, Query(description="ISO 8601 (UTC unless it says otherwise), or how long ago: 30m, 24h, 7d")]
_Value = Annotated[str, Query(max_length=200, description="empty: all")]
_DEFAULT_SINCE = "30d"


@router.get("/usage")
async def usage(
    parts: PartsDependency,
    account: _Account,
    since: _Time = _DEFAULT_SINCE,
    until: _Time = "",
    by: Grouping = "model",
) -> UsageView:
    """Requests, tokens per bucket and cost of an account from `since` up to `until` (default: now)."""
    now_s = parts.now_s()
    since_s = _past_s("since", since, now_s)
    until_s = _past_s("until", until, now_s) if until else now_s + 1  # the current second too
    if since_s >= until_s:
        raise InvalidRequest("since", "must be before `until`")
    found = await parts.backends.account(account)
    rows, total = await parts.usage.summed(found.id, since_s, until_s, by)
    if by == "key":
        names = await _key_names(found.id, parts)
        rows = [row.model_copy(update={"label": names.get(row.value, "")}) for row in rows]
    return UsageView(
        account=found.id, since=format_time(since_s), until=format_time(until_s), by=by, rows=rows, total=total
    )


@router.get("/usage/requests")
async def usage_requests(
    parts: PartsDependency,
    account: _Account,
    since: _Time = "",
    until: _Time = "",
    request_id: _Value = "",
    model: _Value = "",
    key: _Value = "",
    status: Outcome = "",
    limit: Limit = 20,
    cursor: Cursor = "",
) -> RequestsView:
    """An account's latest requests, newest first. `status`: `ok` (2xx) or `failed`; empty: all."""
    now_s = parts.now_s()
    wanted = RequestFilter(
        since_s=_past_s("since", since, now_s) if since else 0,
        until_s=_past_s("until", until, now_s) if until else 0,
        request_id=request_id,
        model=model,
        key=key,
        status=status,
    )
    found = await parts.backends.account(account)
    requests, next_key = await parts.requests.page(found.id, wanted, decode_cursor(cursor, CURSOR_PARTS), limit)
    next_cursor = encode_cursor(*next_key) if next_key else None
    return RequestsView(account=found.id, requests=requests, next_cursor=next_cursor)


@router.get("/usage/requests/{request_id}/explain")
async def explain(
    request_id: Annotated[str, Path(min_length=1, max_length=200)], parts: PartsDependency
) -> ExplanationView:
    """A charge worked out again from its catalog revision, line by line: buckets x price x multiplier, tier, rounding,
    hold, settle, lease, attempts, and what the provider charges us. 404 until its entry is posted."""
    return await parts.explanations.explain(request_id)


@router.get("/reconcile", tags=["reconcile"])
async def reconcile(parts: PartsDependency, account: str = "") -> ReconcileView:
    """Ledger, rows, rollups and balances against one another, for one account or all. Takes up to a minute."""
    backends = parts.backends
    account_id = (await backends.account(account)).id if account else ""
    request = billing_pb2.ReconcileRequest(account_id=account_id)
    return reconcile_view(
        await backends.billing.call(backends.ledger.Reconcile, request, timeout_s=backends.reconcile_timeout_s)
    )


async def _key_names(account_id: str, parts: Parts) -> dict[str, str]:
    backends = parts.backends
    answer = await backends.auth.call(backends.accounts.ListKeys, auth_pb2.ListKeysRequest(account_id=account_id))
    return {key.view.key_id: key.view.name for key in answer.keys}


def _past_s(field: str, text: str, now_s: int) -> int:
    try:
        return parse_past(text, now_s)
    except ValueError as error:
        raise InvalidRequest(field, str(error)) from error
