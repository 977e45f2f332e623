"""What the finance endpoints answer. Amounts come as integers (nano-USD) and as exact decimal strings (USD)."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, Field

from lumen.money.amounts import format_usd
from services.console.finance.scope import Dimension, Measure, Period
from services.console.statements import AmountView
from services.console.views import CheckView


class MarginCounts(BaseModel):
    requests: int = Field(description="all recorded, refused and failed ones too")
    charged_requests: int
    revenue: AmountView
    upstream_cost: AmountView
    margin: AmountView = Field(description="revenue - upstream cost")


class MarginRow(MarginCounts):
    period: str = Field(description="first day of the period (UTC); empty for `all`", examples=["2026-11-01"])
    value: str = Field(description="of the dimension; empty when unknown or not split", examples=["claude-sonnet-5"])
    label: str = Field(description="name of an account or key", examples=["acme"])
    is_rest: bool = Field(description="the sums of all values that `top` leaves out")


class MarginsView(BaseModel):
    since: date
    until: date = Field(description="exclusive")
    period: Period
    by: Dimension | None
    is_current: bool = Field(description="false: billing has posted rows that are not summed up yet (seconds)")
    total: MarginCounts = Field(description="of everything asked for, not of this page")
    rows: list[MarginRow]
    next_cursor: str | None


class MoverRow(BaseModel):
    value: str
    label: str
    before: AmountView
    after: AmountView
    change: AmountView


class MoversView(BaseModel):
    since: date
    until: date
    before_since: date = Field(description="as many days before, up to `since`")
    by: Dimension
    measure: Measure
    is_current: bool
    movers: list[MoverRow]  # by size of change, rise or fall


class LiabilityRow(BaseModel):
    account: str
    label: str
    balance: AmountView
    grants_open: AmountView = Field(description="granted and not burnt: a charge burns grants first, in ledger order")
    paid_open: AmountView = Field(description="balance - grants_open; negative: the account owes")


class LiabilitiesView(BaseModel):
    as_of: str = Field(description="entries made before this instant (UTC)")
    is_current: bool = Field(description="false: billing has posted rows that are not summed up yet (seconds)")
    accounts: int
    balance: AmountView
    grants_open: AmountView
    paid_open: AmountView = Field(description="what is owed to accounts that have paid: sum of what is above zero")
    overdrawn: AmountView = Field(description="what accounts owe: sum of what is below zero")
    rows: list[LiabilityRow]  # by account
    next_cursor: str | None


class ReconciliationView(BaseModel):
    """The proof, and its sums as ClickHouse's rows give them: credits - revenue = balance."""

    is_ok: bool
    is_current: bool
    checks: list[CheckView]
    entries: int
    dead_letters: int
    credits: AmountView
    revenue: AmountView
    revenue_rolled_up: AmountView
    difference: AmountView = Field(description="revenue - revenue_rolled_up: zero when current")
    balance: AmountView = Field(description="credits - revenue")


def amount(nanousd: int) -> AmountView:
    return AmountView(nanousd=nanousd, usd=format_usd(nanousd))


def counts(requests: int, charged: int, revenue: int, upstream: int) -> MarginCounts:
    return MarginCounts(
        requests=requests,
        charged_requests=charged,
        revenue=amount(revenue),
        upstream_cost=amount(upstream),
        margin=amount(revenue - upstream),
    )
