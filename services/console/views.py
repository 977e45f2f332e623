"""What the admin API answers, and how it is made from the other services' messages.

Amounts come twice: `*_nanousd` (integer) to compute with, `*_usd` (exact decimal string) to read. Times are ISO 8601 in
UTC; null means none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from lumen.money.amounts import format_usd
from protos import auth_pb2, billing_pb2, router_pb2
from services.console.times import format_time


class ProblemView(BaseModel):
    line: int
    field: str
    message: str


class ErrorView(BaseModel):
    kind: str
    message: str
    problems: list[ProblemView] | None = None


class ErrorAnswer(BaseModel):
    """Every answer with a status of 400 or more."""

    error: ErrorView


class AppliedView(BaseModel):
    revision: int  # 0 for a dry run
    unchanged: bool


class ChannelView(BaseModel):
    channel: str
    state: str
    reason: str


class CatalogView(BaseModel):
    revision: int
    catalog: dict[str, Any]
    channels: list[ChannelView]


class RevisionView(BaseModel):
    revision: int
    created_at: str | None
    note: str


class HistoryView(BaseModel):
    revisions: list[RevisionView]  # newest first
    next_cursor: str | None


class LimitsView(BaseModel):
    """Null: no limit."""

    rpm: int | None
    tpm: int | None
    concurrency: int | None
    spend_day_nanousd: int | None
    spend_day_usd: str | None
    spend_month_nanousd: int | None
    spend_month_usd: str | None


class AccountView(BaseModel):
    id: str
    name: str
    status: str
    created_at: str | None
    limits: LimitsView


class AccountsView(BaseModel):
    accounts: list[AccountView]
    next_cursor: str | None


class PaidView(BaseModel):
    amount: str
    currency: str


class CreditAnswer(BaseModel):
    account: str
    amount_nanousd: int
    amount_usd: str
    kind: str
    source: str
    reference: str
    paid: PaidView | None
    note: str
    created_at: str | None
    expires_at: str | None
    already_existed: bool


class NextExpiryView(BaseModel):
    """What leaves the balance at that time, unless it is burnt before."""

    at: str | None
    nanousd: int
    usd: str


class BalanceView(BaseModel):
    account: str
    balance_nanousd: int
    balance_usd: str
    reserved_nanousd: int
    reserved_usd: str
    available_nanousd: int
    available_usd: str
    is_live: bool
    grants_nanousd: int | None  # part of the balance; null: cannot be told while ClickHouse is away
    grants_usd: str | None
    next_expiry: NextExpiryView | None


class KeyView(BaseModel):
    id: str
    account: str
    group: str
    name: str
    prefix: str
    revoked: bool
    created_at: str | None
    revoked_at: str | None
    expires_at: str | None
    models: list[str]
    ips: list[str]
    spend_limit_nanousd: int | None
    spend_limit_usd: str | None
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    spend_day_nanousd: int | None
    spend_day_usd: str | None
    spend_month_nanousd: int | None
    spend_month_usd: str | None


class CreatedKeyView(KeyView):
    secret: str  # here and never again


class KeysView(BaseModel):
    keys: list[KeyView]
    next_cursor: str | None


class CheckView(BaseModel):
    name: str
    is_ok: bool
    examined: int
    drifts: list[str]


class ReconcileView(BaseModel):
    is_ok: bool
    checks: list[CheckView]
    entries: int
    dead_letters: int


def catalog_view(message: router_pb2.ShowResponse) -> CatalogView:
    return CatalogView(
        revision=message.revision,
        catalog=json.loads(message.catalog_json),
        channels=[
            ChannelView(channel=report.channel, state=report.state, reason=report.reason) for report in message.channels
        ],
    )


def history_view(revisions: Iterable[router_pb2.RevisionInfo], next_cursor: str | None) -> HistoryView:
    return HistoryView(
        revisions=[
            RevisionView(revision=info.revision, created_at=format_time(info.created_at_s), note=info.note)
            for info in revisions
        ],
        next_cursor=next_cursor,
    )


def account_view(message: auth_pb2.Account) -> AccountView:
    return AccountView(
        id=message.id,
        name=message.name,
        status=message.status,
        created_at=format_time(message.created_at_s),
        limits=LimitsView(**_limit_fields(message.limits)),
    )


def credit_answer(message: billing_pb2.CreditView) -> CreditAnswer:
    is_paid = bool(message.paid_amount or message.paid_currency)
    return CreditAnswer(
        account=message.account_id,
        amount_nanousd=message.amount_nanousd,
        amount_usd=format_usd(message.amount_nanousd),
        kind=message.kind,
        source=message.source,
        reference=message.reference,
        paid=PaidView(amount=message.paid_amount, currency=message.paid_currency) if is_paid else None,
        note=message.note,
        created_at=format_time(message.created_at_s),
        expires_at=format_time(message.expires_at_s),
        already_existed=message.already_existed,
    )


def balance_view(message: billing_pb2.Balance) -> BalanceView:
    grants = message.grants if message.HasField("grants") else None
    expires_nanousd = grants.next_expiry_nanousd if grants else 0
    return BalanceView(
        account=message.account_id,
        balance_nanousd=message.balance_nanousd,
        balance_usd=format_usd(message.balance_nanousd),
        reserved_nanousd=message.reserved_nanousd,
        reserved_usd=format_usd(message.reserved_nanousd),
        available_nanousd=message.available_nanousd,
        available_usd=format_usd(message.available_nanousd),
        is_live=message.is_live,
        grants_nanousd=grants.grants_nanousd if grants else None,
        grants_usd=format_usd(grants.grants_nanousd) if grants else None,
        next_expiry=NextExpiryView(
            at=format_time(grants.next_expiry_at_s), nanousd=expires_nanousd, usd=format_usd(expires_nanousd)
        )
        if grants and grants.next_expiry_at_s
        else None,
    )


def key_view(message: auth_pb2.Key) -> KeyView:
    return KeyView(**_key_fields(message))


def created_key_view(message: auth_pb2.CreateKeyResponse) -> CreatedKeyView:
    return CreatedKeyView(secret=message.secret, **_key_fields(message.key))


def reconcile_view(message: billing_pb2.ReconcileReport) -> ReconcileView:
    return ReconcileView(
        is_ok=message.is_ok,
        checks=[
            CheckView(name=check.name, is_ok=check.is_ok, examined=check.examined, drifts=list(check.drifts))
            for check in message.checks
        ],
        entries=message.entries,
        dead_letters=message.dead_letters,
    )


def _limit_fields(message: auth_pb2.Limits | auth_pb2.KeyView) -> dict[str, Any]:
    day, month = message.spend_day_nanousd, message.spend_month_nanousd
    return {
        "rpm": message.rpm or None,
        "tpm": message.tpm or None,
        "concurrency": message.concurrency or None,
        "spend_day_nanousd": day or None,
        "spend_day_usd": format_usd(day) if day else None,
        "spend_month_nanousd": month or None,
        "spend_month_usd": format_usd(month) if month else None,
    }


def _key_fields(message: auth_pb2.Key) -> dict[str, Any]:
    view = message.view
    limit = view.spend_limit_nanousd
    return {
        "id": view.key_id,
        "account": view.account_id,
        "group": view.group,
        "name": view.name,
        "prefix": message.prefix,
        "revoked": view.revoked,
        "created_at": format_time(message.created_at_s),
        "revoked_at": format_time(message.revoked_at_s),
        "expires_at": format_time(view.expires_at_s),
        "models": list(view.models),
        "ips": list(view.ips),
        "spend_limit_nanousd": limit or None,
        "spend_limit_usd": format_usd(limit) if limit else None,
        **_limit_fields(view),
    }
