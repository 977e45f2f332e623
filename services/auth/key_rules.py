"""What a new API key may look like. Raises InvalidRequest with a message for whoever typed it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from services.auth.errors import InvalidRequest
from services.auth.records import Limits

_NAME_CHARS_MAX = 200
_LIST_ITEMS_MAX = 200
_RPM_MAX = 10_000_000
_TPM_MAX = 10**11  # the script that shares it out stays exact up to here
_CONCURRENCY_MAX = 1_000_000
_TIME_S_MAX = 253_402_300_799  # the year 9999


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """A key as ordered. Times in Unix seconds, amounts in nano-USD; 0 and empty: no limit."""

    account_id: str
    group: str
    name: str = ""
    expires_at_s: int = 0
    models: Sequence[str] = ()
    ips: Sequence[str] = ()  # addresses or CIDRs
    spend_limit_nanousd: int = 0
    rpm: int = 0
    tpm: int = 0
    concurrency: int = 0
    spend_day_nanousd: int = 0
    spend_month_nanousd: int = 0

    def validate(self, now_s: int) -> None:
        """Everything but the account's existence."""
        if not self.account_id:
            raise InvalidRequest("account_id is missing")
        _require_text("group", self.group, is_required=True)
        _require_text("name", self.name, is_required=False)
        if self.expires_at_s and not now_s < self.expires_at_s <= _TIME_S_MAX:
            raise InvalidRequest("expires_at_s must lie in the future (Unix seconds), or be 0 for never")
        if not 0 <= self.spend_limit_nanousd < AMOUNT_NANOUSD_MAX:
            raise InvalidRequest(f"spend_limit_nanousd must be at least 0 and below {AMOUNT_NANOUSD_MAX}")
        check_limits(Limits(self.rpm, self.tpm, self.concurrency, self.spend_day_nanousd, self.spend_month_nanousd))
        for field, items in (("models", self.models), ("ips", self.ips)):
            if len(items) > _LIST_ITEMS_MAX:
                raise InvalidRequest(f"{field} has more than {_LIST_ITEMS_MAX} items")
        for model in self.models:
            _require_text("models", model, is_required=True)

    def networks(self) -> list[str]:
        """`ips` as canonical CIDRs, without repetition."""
        return list(dict.fromkeys(_network(text) for text in self.ips))


def check_limits(limits: Limits) -> None:
    """Of a key or an account."""
    for field, amount, most in (
        ("rpm", limits.rpm, _RPM_MAX),
        ("tpm", limits.tpm, _TPM_MAX),
        ("concurrency", limits.concurrency, _CONCURRENCY_MAX),
    ):
        if amount > most:
            raise InvalidRequest(f"{field} must not exceed {most}")
    for field, amount in (
        ("spend_day_nanousd", limits.spend_day_nanousd),
        ("spend_month_nanousd", limits.spend_month_nanousd),
    ):
        if not 0 <= amount < AMOUNT_NANOUSD_MAX:
            raise InvalidRequest(f"{field} must be at least 0 and below {AMOUNT_NANOUSD_MAX}")


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise InvalidRequest(f"ips: {text[:100]!r} is neither an IP address nor a CIDR such as 10.0.0.0/8") from None


def _require_text(field: str, text: str, *, is_required: bool) -> None:
    if is_required and not text.strip():
        raise InvalidRequest(f"{field} is missing or empty")
    if len(text) > _NAME_CHARS_MAX:
        raise InvalidRequest(f"{field} is longer than {_NAME_CHARS_MAX} characters")
    if not text.isprintable():
        raise InvalidRequest(f"{field} contains control characters")
