"""Reads what workers send. Raises InvalidRequest; amounts must stay where the scripts' numbers are exact."""

from __future__ import annotations

from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from protos import auth_pb2
from services.auth.errors import InvalidRequest
from services.auth.lease_store import Books, GrantOrder
from services.auth.limit_store import ShareOrder

_ID_CHARS_MAX = 200
_BOOKS_MAX = 100_000
_SHARES_MAX = 2_000
_SCOPES = ("key:", "account:", "group:", "channel:", "probe:")
# What drains in a minute, in the script's arithmetic, must stay exact: limit x 60,000 ms below 2^53.
RATE_MAX = 10**11


def grant_order(request: auth_pb2.GrantRequest) -> GrantOrder:
    account = books(request.account)
    if account.key_id:
        raise InvalidRequest("account: the account's own lease has no key_id")
    key: Books | None = None
    if request.HasField("key"):
        key = books(request.key)
        if not key.key_id:
            raise InvalidRequest("key: key_id is missing")
        if key.account != account.account:
            raise InvalidRequest("key: it belongs to another account")
    hold = _amount("hold_nanousd", request.hold_nanousd)
    hold_min = _amount("hold_min_nanousd", request.hold_min_nanousd) or hold
    if hold_min > hold:
        raise InvalidRequest("hold_min_nanousd: more than hold_nanousd")
    return GrantOrder(
        lease=lease_of(request.lease_id),
        account=account,
        key=key,
        key_spend_limit=_amount("key_spend_limit_nanousd", request.key_spend_limit_nanousd),
        hold=hold,
        hold_min=hold_min,
        want=_amount("want_nanousd", request.want_nanousd),
    )


def renewal(request: auth_pb2.RenewRequest) -> tuple[str, list[Books]]:
    if len(request.totals) > _BOOKS_MAX:
        raise InvalidRequest(f"totals: more than {_BOOKS_MAX}")
    return lease_of(request.lease_id), [books(totals) for totals in request.totals]


def books(totals: auth_pb2.LeaseTotals) -> Books:
    return Books(
        account=_id("account_id", totals.account_id),
        key_id=_id("key_id", totals.key_id) if totals.key_id else "",
        granted=_amount("granted_nanousd", totals.granted_nanousd),
        released=_amount("released_nanousd", totals.released_nanousd),
        in_use=_amount("in_use_nanousd", totals.in_use_nanousd),
    )


def limit_shares(request: auth_pb2.ShareLimitsRequest) -> list[ShareOrder]:
    if len(request.shares) > _SHARES_MAX:
        raise InvalidRequest(f"shares: more than {_SHARES_MAX}")
    return [_share(share) for share in request.shares]


def _share(share: auth_pb2.LimitShare) -> ShareOrder:
    if share.kind not in auth_pb2.LimitKind.values() or share.kind == auth_pb2.LIMIT_KIND_UNSPECIFIED:
        raise InvalidRequest("kind: unknown")
    is_spend = share.kind in (auth_pb2.LIMIT_SPEND_DAY, auth_pb2.LIMIT_SPEND_MONTH)
    limit_max = AMOUNT_NANOUSD_MAX if is_spend else RATE_MAX
    if not 0 < share.limit <= limit_max:
        raise InvalidRequest(f"limit: expected more than 0 and at most {limit_max}")
    kind, _, name = share.scope.partition(":")
    if f"{kind}:" not in _SCOPES:
        raise InvalidRequest(f"scope: expected one of {', '.join(_SCOPES)} and a name")
    if share.window and not (share.window.isascii() and share.window.isdigit() and len(share.window) <= 8):
        raise InvalidRequest("window: expected YYYYMMDD or YYYYMM")
    for field in ("used", "used_known"):  # refunds of an earlier worker's tokens may take them below zero
        if abs(getattr(share, field)) >= AMOUNT_NANOUSD_MAX:
            raise InvalidRequest(f"{field}: out of range")
    return ShareOrder(
        scope=f"{kind}:{_id('scope', name)}",
        kind=share.kind,
        window=share.window,
        limit=share.limit,
        used=share.used,
        used_known=share.used_known,
        held=_amount("held", share.held),
        need=_amount("need", share.need),
        waiting=_amount("waiting", share.waiting),
        ahead=_amount("ahead", share.ahead),
        is_new=share.is_new,
    )


def lease_of(text: str) -> str:
    """`<worker id>.<boot number>`."""
    worker, _, boot = _id("lease_id", text).rpartition(".")
    if not worker or not (boot.isascii() and boot.isdigit()):
        raise InvalidRequest("lease_id: expected <worker id>.<boot number>")
    return text


def worker_of(text: str) -> str:
    return _id("worker_id", text)


def _id(field: str, text: str) -> str:
    if not text or len(text) > _ID_CHARS_MAX or not text.isprintable() or ":" in text:
        raise InvalidRequest(f"{field}: expected 1 to {_ID_CHARS_MAX} printable characters without a colon")
    return text


def _amount(field: str, amount: int) -> int:
    if not 0 <= amount < AMOUNT_NANOUSD_MAX:
        raise InvalidRequest(f"{field}: expected at least 0 and below {AMOUNT_NANOUSD_MAX}")
    return amount
