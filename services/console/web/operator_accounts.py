"""Operators: accounts, their balance, keys and users; credits and grants with a reason; all keys; groups."""

from __future__ import annotations

import asyncio
import secrets

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from protos import auth_pb2, billing_pb2
from services.console.accounts_api import post_credit
from services.console.bodies import PostCredit
from services.console.errors import ConsoleError
from services.console.parts import Parts
from services.console.web.account_pages import BURN_S, balance_of, cost_chart, live_prices
from services.console.web.figures import days_left_tenths
from services.console.web.key_orders import find_key
from services.console.web.pages import go_to, pages_of
from services.console.web.periods import period
from services.console.web.queries import KeyUse
from services.console.web.visitors import Form, Operator, Submitted, Visitor, parts_of

router = APIRouter(prefix="/operator", include_in_schema=False)

_SHOWN_MAX = 200  # a page of rows; the search field narrows down
_BALANCES_SHOWN_MAX = 50  # each asked of billing, which folds its grants
_BALANCES_AT_ONCE = 16
_NEVER_USED = KeyUse(0, 0)


@router.get("/accounts")
async def accounts(request: Request, who: Operator, q: str = "", done: str = "") -> Response:
    return await _accounts_page(request, who, q, done=done)


@router.post("/accounts")
async def create_account(request: Request, who: Operator, form: Submitted) -> Response:
    backends = parts_of(request).backends
    try:
        account = await backends.auth.call(
            backends.accounts.CreateAccount, auth_pb2.CreateAccountRequest(name=form.text("name"))
        )
    except ConsoleError as error:
        if error.row.http_status >= 500:
            raise
        return await _accounts_page(request, who, "", error=error)
    return go_to(f"/operator/accounts/{account.id}")


@router.get("/accounts/{account_id}")
async def account(request: Request, who: Operator, account_id: str) -> Response:
    return await _account_page(request, who, account_id, done=request.query_params.get("done", ""))


@router.post("/accounts/{account_id}/status")
async def set_status(request: Request, who: Operator, account_id: str, form: Submitted) -> Response:
    backends = parts_of(request).backends
    found = await backends.account(account_id)
    order = auth_pb2.SetAccountStatusRequest(id=found.id, status=form.text("status"))
    await backends.auth.call(backends.accounts.SetAccountStatus, order)
    return go_to(f"/operator/accounts/{found.id}", done="status")


@router.post("/accounts/{account_id}/credits")
async def credit(request: Request, who: Operator, account_id: str, form: Submitted) -> Response:
    """The form's `reference` makes a second click harmless."""
    parts = parts_of(request)
    found = await parts.backends.account(account_id)
    try:
        body = _credit_body(who, form)
        await post_credit(found.id, body, parts, Response())
    except ConsoleError as error:
        if error.row.http_status >= 500:
            raise
        return await _account_page(request, who, found.id, error=error, values=form.values())
    return go_to(f"/operator/accounts/{found.id}", done="credit")


@router.post("/accounts/{account_id}/keys/{key_id}/revoke")
async def revoke_key(request: Request, who: Operator, account_id: str, key_id: str, form: Submitted) -> Response:
    parts = parts_of(request)
    await find_key(parts, account_id, key_id)
    await parts.backends.auth.call(parts.backends.accounts.RevokeKey, auth_pb2.RevokeKeyRequest(key_id=key_id))
    return go_to(f"/operator/accounts/{account_id}", done="revoked")


@router.get("/keys")
async def keys(request: Request, who: Operator, q: str = "") -> Response:
    parts = parts_of(request)
    answer, names = await asyncio.gather(
        parts.backends.auth.call(parts.backends.accounts.ListKeys, auth_pb2.ListKeysRequest()),
        _account_names(parts),
    )
    wanted = q.strip().casefold()
    found = [
        key
        for key in reversed(answer.keys)
        if not wanted
        or wanted in f"{key.view.key_id} {key.view.name} {key.prefix} {key.view.group}".casefold()
        or wanted in names.get(key.view.account_id, "").casefold()
    ]
    shown = found[:_SHOWN_MAX]
    uses = await parts.pages.key_uses({key.view.account_id for key in shown})
    return pages_of(request).show(
        request,
        who,
        "operator_keys.html",
        rows=[(key, uses.get(key.view.key_id, _NEVER_USED)) for key in shown],
        total=len(found),
        names=names,
        q=q,
        now_s=parts.now_s(),
    )


@router.get("/groups")
async def groups(request: Request, who: Operator) -> Response:
    parts = parts_of(request)
    (listed, revision), answer = await asyncio.gather(
        live_prices(parts),
        parts.backends.auth.call(parts.backends.accounts.ListKeys, auth_pb2.ListKeysRequest()),
    )
    in_use: dict[str, int] = {}
    for key in answer.keys:
        if not key.view.revoked:
            in_use[key.view.group] = in_use.get(key.view.group, 0) + 1
    return pages_of(request).show(request, who, "operator_groups.html", groups=listed, revision=revision, in_use=in_use)


async def _accounts_page(
    request: Request, who: Visitor, q: str, *, error: ConsoleError | None = None, done: str = ""
) -> Response:
    parts = parts_of(request)
    answer = await parts.backends.auth.call(parts.backends.accounts.ListAccounts, auth_pb2.ListAccountsRequest())
    wanted = q.strip().casefold()
    found = [each for each in reversed(answer.accounts) if wanted in f"{each.id} {each.name}".casefold()]
    rows = found[:_BALANCES_SHOWN_MAX]
    return pages_of(request).show(
        request,
        who,
        "operator_accounts.html",
        error.row.http_status if error is not None else 200,
        rows=list(zip(rows, await _balances(parts, [each.id for each in rows]), strict=True)),
        total=len(found),
        q=q,
        error=error,
        done=done,
    )


async def _account_page(
    request: Request,
    who: Visitor,
    account_id: str,
    *,
    error: ConsoleError | None = None,
    values: dict[str, str] | None = None,
    done: str = "",
) -> Response:
    parts = parts_of(request)
    found = await parts.backends.account(account_id)
    now_s = parts.now_s()
    balance, (spent, requests), chart, credits_ = await asyncio.gather(
        balance_of(parts, found.id),
        parts.pages.spent(found.id, now_s - BURN_S, now_s + 1),
        cost_chart(parts, who, found.id, period(30, "day", now_s)),
        parts.pages.credits(found.id),
    )
    listed, uses, users = await asyncio.gather(
        parts.backends.auth.call(parts.backends.accounts.ListKeys, auth_pb2.ListKeysRequest(account_id=found.id)),
        parts.pages.key_uses([found.id]),
        parts.backends.auth.call(parts.backends.users.ListUsers, auth_pb2.ListUsersRequest()),
    )
    return pages_of(request).show(
        request,
        who,
        "operator_account.html",
        error.row.http_status if error is not None else 200,
        account=found,
        balance=balance,
        spent=spent,
        requests=requests,
        days_left=days_left_tenths(balance.balance_nanousd, spent, BURN_S),
        chart=chart,
        credits=credits_,
        keys=[(key, uses.get(key.view.key_id, _NEVER_USED)) for key in reversed(listed.keys)],
        users=[user for user in users.users if user.account_id == found.id],
        reference=f"console-{secrets.token_hex(16)}",
        values=values or {},
        error=error,
        done=done,
        now_s=now_s,
    )


def _credit_body(who: Visitor, form: Form) -> PostCredit:
    if not form.text("reason"):
        raise ConsoleError(
            f"{who.say('Reason')}: {who.say('say why; it is kept in the ledger')}", kind="invalid_fields"
        )
    try:
        return PostCredit.model_validate(
            {
                "amount_usd": form.text("amount_usd"),
                "kind": form.text("kind"),
                "reference": form.text("reference") or None,
                "note": form.text("reason"),
                "expires": form.text("expires") or None,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        field, message = str(first["loc"][0] if first["loc"] else ""), first["msg"].removeprefix("Value error, ")
        raise ConsoleError(f"{field}: {message}", kind="invalid_fields") from error


async def _balances(parts: Parts, account_ids: list[str]) -> list[billing_pb2.Balance | None]:
    """None for an account whose balance cannot be told now: the list is still of use."""
    slots = asyncio.Semaphore(_BALANCES_AT_ONCE)

    async def one(account_id: str) -> billing_pb2.Balance | None:
        async with slots:
            try:
                return await balance_of(parts, account_id)
            except ConsoleError:
                return None

    return await asyncio.gather(*(one(each) for each in account_ids))


async def _account_names(parts: Parts) -> dict[str, str]:
    answer = await parts.backends.auth.call(parts.backends.accounts.ListAccounts, auth_pb2.ListAccountsRequest())
    return {each.id: each.name for each in answer.accounts}
