"""What the admin API accepts. Unknown fields are refused: a misspelt limit must not become no limit."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from services.console.amounts import parse_usd

CREDIT_KINDS = ("topup", "grant", "refund", "adjustment")  # expiry is billing's own
CreditKind = Literal["topup", "grant", "refund", "adjustment"]


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))  # its ValueError names what is wrong


def _checked_amount(text: str) -> str:
    parse_usd(text)
    return text


UsdText = Annotated[
    str,
    AfterValidator(_checked_amount),
    Field(description="decimal string in USD, at most 9 digits after the point", examples=["12.50"]),
]
AccountText = Annotated[str, StringConstraints(min_length=1, max_length=200), Field(description="id or name")]
Network = Annotated[str, AfterValidator(_network)]
Note = Annotated[str, StringConstraints(max_length=1000)]
Name = Annotated[str, StringConstraints(max_length=100)]
TimeText = Annotated[str, Field(description="ISO 8601, or a distance from now such as 30d", examples=["30d"])]


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApplyCatalog(Body):
    content: Annotated[str, Field(min_length=1, description="the catalog, YAML or JSON text")]
    source_name: Annotated[str, StringConstraints(max_length=500)] = "catalog"
    note: Note = ""
    dry_run: bool = False


class RollbackCatalog(Body):
    revision: Annotated[int, Field(ge=1, le=2**63 - 1)]


class CreateAccount(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "acme"}]})

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SetStatus(Body):
    status: Literal["active", "suspended"]


Rpm = Annotated[int, Field(ge=1, le=10_000_000)]
Tpm = Annotated[int, Field(ge=1, le=10**11)]
Concurrency = Annotated[int, Field(ge=1, le=1_000_000)]


class SetLimits(Body):
    """Of all keys of the account together. What is not said stays; null: no limit."""

    rpm: Rpm | None = Field(default=None, description="requests per minute")
    tpm: Tpm | None = Field(default=None, description="tokens per minute")
    concurrency: Concurrency | None = Field(default=None, description="requests in flight")
    spend_day_usd: UsdText | None = Field(default=None, description="per calendar day, UTC")
    spend_month_usd: UsdText | None = Field(default=None, description="per calendar month, UTC")


class Paid(Body):
    """What the payer paid, as told by the payment: kept for the books, never converted."""

    amount: Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$")]
    currency: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{3}$")]


class PostCredit(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"amount_usd": "25", "kind": "topup", "paid": {"amount": "23.10", "currency": "EUR"}}]
        }
    )

    amount_usd: UsdText
    kind: CreditKind = "topup"
    reference: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, description="idempotency key: repeating it returns the first entry; absent: a new one is made"
    )
    paid: Paid | None = None
    note: Annotated[str, StringConstraints(max_length=2000)] = ""
    expires: TimeText | None = None


class CreateKey(Body):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"account": "acme", "group": "default", "name": "laptop", "expires": "90d"}]}
    )

    account: AccountText
    group: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    name: Name = ""
    expires: TimeText | None = None
    models: Annotated[list[str], Field(max_length=1000, description="codes or aliases; empty: all of the group")] = []
    ips: Annotated[list[Network], Field(max_length=1000, description="CIDRs; empty: any")] = []
    spend_limit_usd: UsdText | None = None
    rpm: Rpm | None = Field(default=None, description="requests per minute")
    tpm: Tpm | None = Field(default=None, description="tokens per minute")
    concurrency: Concurrency | None = Field(default=None, description="requests in flight")
    spend_day_usd: UsdText | None = Field(default=None, description="per calendar day, UTC")
    spend_month_usd: UsdText | None = Field(default=None, description="per calendar month, UTC")
