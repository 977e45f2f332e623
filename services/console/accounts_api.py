"""/admin/v1/accounts: auth's accounts, their credits and balances in billing.

Signs of a credit: `topup` and `grant` are positive. `refund` and `adjustment` take either sign and move the balance by
what is said: a refund is negative when money goes back to the payer, positive when credits go back to the account.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, status

from protos import auth_pb2, billing_pb2
from services.console.amounts import parse_usd
from services.console.bodies import CreateAccount, PostCredit, SetLimits, SetStatus
from services.console.errors import InvalidRequest
from services.console.pages import Cursor, Limit, page_of
from services.console.parts import ADMIN_ROOT, Parts, PartsDependency
from services.console.statements import StatementView
from services.console.times import parse_future
from services.console.views import (
    AccountsView,
    AccountView,
    BalanceView,
    CreditAnswer,
    account_view,
    balance_view,
    credit_answer,
)

router = APIRouter(prefix=f"{ADMIN_ROOT}/accounts", tags=["accounts"])

_POSITIVE_KINDS = ("topup", "grant")


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_account(body: CreateAccount, parts: PartsDependency) -> AccountView:
    """409 when the name is taken."""
    backends = parts.backends
    request = auth_pb2.CreateAccountRequest(name=body.name)
    return account_view(await backends.auth.call(backends.accounts.CreateAccount, request))


@router.get("")
async def list_accounts(parts: PartsDependency, limit: Limit = 200, cursor: Cursor = "") -> AccountsView:
    """Oldest first."""
    backends = parts.backends
    answer = await backends.auth.call(backends.accounts.ListAccounts, auth_pb2.ListAccountsRequest())
    page, next_cursor = page_of(answer.accounts, lambda account: account.id, cursor, limit)
    return AccountsView(accounts=[account_view(account) for account in page], next_cursor=next_cursor)


@router.get("/{account}")
async def show_account(account: str, parts: PartsDependency) -> AccountView:
    """By id or name."""
    return account_view(await parts.backends.account(account))


@router.post("/{account}/status")
async def set_account_status(account: str, body: SetStatus, parts: PartsDependency) -> AccountView:
    """A suspended account's keys are refused by every edge within a second."""
    backends = parts.backends
    found = await backends.account(account)
    request = auth_pb2.SetAccountStatusRequest(id=found.id, status=body.status)
    return account_view(await backends.auth.call(backends.accounts.SetAccountStatus, request))


@router.post("/{account}/limits")
async def set_account_limits(account: str, body: SetLimits, parts: PartsDependency) -> AccountView:
    """Every edge keeps to them within a second. What is not said stays as it is; null takes a limit away."""
    backends = parts.backends
    found = await backends.account(account)
    limits = found.limits
    said = body.model_fields_set
    for field in ("rpm", "tpm", "concurrency"):
        if field in said:
            setattr(limits, field, getattr(body, field) or 0)
    for field in ("spend_day", "spend_month"):
        if f"{field}_usd" in said:
            amount = spend_limit(f"{field}_usd", getattr(body, f"{field}_usd"))
            setattr(limits, f"{field}_nanousd", amount)
    request = auth_pb2.SetAccountLimitsRequest(id=found.id, limits=limits)
    return account_view(await backends.auth.call(backends.accounts.SetAccountLimits, request))


@router.get("/{account}/balance")
async def account_balance(account: str, parts: PartsDependency) -> BalanceView:
    """Credits minus posted usage; `is_live` false: billing is still catching up with the ledger."""
    backends = parts.backends
    found = await backends.account(account)
    request = billing_pb2.GetBalanceRequest(account_id=found.id)
    return balance_view(await backends.billing.call(backends.ledger.GetBalance, request))


@router.get("/{account}/statement")
async def account_statement(
    account: str, parts: PartsDependency, month: Annotated[str, Query(description="YYYY-MM (UTC)")] = ""
) -> StatementView:
    """opening + credits - usage + adjustments = closing, to the last nano-dollar. Default: the current month."""
    found = await parts.backends.account(account)
    now_s = parts.now_s()
    chosen = month or datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m")
    return await parts.statements.month(found.id, chosen, now_s)


@router.post(
    "/{account}/credits",
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": CreditAnswer, "description": "The reference was used before: this is that first entry."}},
)
async def post_credit(
    account: str,
    body: PostCredit,
    parts: PartsDependency,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="the same as `reference`; one of the two is enough"),
    ] = None,
) -> CreditAnswer:
    """Move the balance by decision. One reference (or Idempotency-Key) is one entry: repeating it answers 200 with the
    first, using it for another amount or kind 409.

    `topup` and `grant` are positive; `refund` and `adjustment` take either sign and move the balance by what is said
    (a refund is negative when money goes back to the payer, positive when credits are given back to the account).
    """
    order = _credit_order(body, idempotency_key, parts)
    backends = parts.backends
    order.account_id = (await backends.account(account)).id
    answer = credit_answer(await backends.billing.call(backends.ledger.PostCredit, order))
    if answer.already_existed:
        response.status_code = status.HTTP_200_OK
    return answer


def _credit_order(body: PostCredit, idempotency_key: str | None, parts: Parts) -> billing_pb2.PostCreditRequest:
    amount_nanousd = parse_usd(body.amount_usd)
    if amount_nanousd == 0:
        raise InvalidRequest("amount_usd", "must not be zero")
    if amount_nanousd < 0 and body.kind in _POSITIVE_KINDS:
        raise InvalidRequest("amount_usd", f"a {body.kind} is positive; take credits back with refund or adjustment")
    if body.reference and idempotency_key and body.reference != idempotency_key:
        raise InvalidRequest("reference", "differs from the Idempotency-Key; send one of the two")
    order = billing_pb2.PostCreditRequest(
        amount_nanousd=amount_nanousd,
        kind=body.kind,
        reference=body.reference or idempotency_key or f"console-{secrets.token_hex(16)}",
        note=body.note,
    )
    if body.paid is not None:
        order.paid_amount, order.paid_currency = body.paid.amount, body.paid.currency
    if body.expires is not None:
        order.expires_at_s = future_s("expires", body.expires, parts)
    return order


def spend_limit(field: str, amount_usd: str | None) -> int:
    """Nano-USD, 0: none. Raises InvalidRequest for `field`."""
    if amount_usd is None:
        return 0
    amount_nanousd = parse_usd(amount_usd)
    if amount_nanousd <= 0:
        raise InvalidRequest(field, "must be more than zero")
    return amount_nanousd


def future_s(field: str, text: str, parts: Parts) -> int:
    """Unix seconds; raises InvalidRequest for `field`."""
    try:
        return parse_future(text, parts.now_s())
    except ValueError as error:
        raise InvalidRequest(field, str(error)) from error
