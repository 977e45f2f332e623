"""Low-balance alerts in KV bucket `alerts`, one per account. auth keeps them; console delivers.

State: armed -> delivering (one deliverer, by compare-and-set, until `claimed_until_s`) -> delivered | failed -> armed
again when the balance has been above the threshold.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from lumen.platform.kv_view import RevisionConflict
from protos import auth_pb2
from services.auth.accounts import Accounts
from services.auth.errors import AlertNotFound, Conflict, InvalidRequest
from services.auth.kv_objects import KvObjects

BUCKET = "alerts"
STATES = ("armed", "delivering", "delivered", "failed")
_URL_CHARS_MAX = 2000
_DETAIL_CHARS_MAX = 500


class AlertRecord(msgspec.Struct, frozen=True):
    account_id: str
    url: str
    threshold_nanousd: int
    secret: str
    state: str
    changed_at_s: int
    detail: str = ""
    claimed_until_s: int = 0


class Alerts:
    def __init__(
        self, store: KvObjects, accounts: Accounts, *, now_s: Callable[[], int] = lambda: int(time.time())
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._now_s = now_s

    async def set(self, account_id: str, url: str, threshold_nanousd: int) -> auth_pb2.AlertSetting:
        """Armed anew; the secret stays. An empty `url` removes it.

        Raises InvalidRequest, AccountNotFound, Unavailable.
        """
        account = await self._accounts.get(account_id)
        if not url:
            await self._store.delete(account.id)
            return auth_pb2.AlertSetting(account_id=account.id)
        parts = urlsplit(url)
        if len(url) > _URL_CHARS_MAX or parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest("url: write an address such as https://example.com/hooks/lumen")
        if not 0 < threshold_nanousd < AMOUNT_NANOUSD_MAX:
            raise InvalidRequest("threshold_nanousd: more than zero")
        before = await self._store.get(account.id)
        secret = _decode(before[0]).secret if before else f"whsec_{secrets.token_urlsafe(32)}"
        record = AlertRecord(account.id, url, threshold_nanousd, secret, "armed", self._now_s())
        return _message(record, await self._store.put(account.id, msgspec.json.encode(record)))

    async def get(self, account_id: str) -> auth_pb2.AlertSetting:
        """Raises AlertNotFound, Unavailable."""
        account = await self._accounts.get(account_id)
        found = await self._store.get(account.id)
        if found is None:
            raise AlertNotFound
        return _message(_decode(found[0]), found[1])

    async def list(self) -> list[auth_pb2.AlertSetting]:
        return [_message(_decode(value), revision) for value, revision in (await self._store.snapshot()).values()]

    async def move(self, request: auth_pb2.MoveAlertRequest) -> auth_pb2.AlertSetting:
        """Raises AlertNotFound, InvalidRequest, Conflict (another was first), Unavailable."""
        if request.state not in STATES:
            raise InvalidRequest(f"state: one of {', '.join(STATES)}")
        found = await self._store.get((await self._accounts.get(request.account_id)).id)
        if found is None:
            raise AlertNotFound
        if found[1] != request.revision:
            raise Conflict("the alert has changed")
        record = msgspec.structs.replace(
            _decode(found[0]),
            state=request.state,
            detail=request.detail[:_DETAIL_CHARS_MAX],
            changed_at_s=self._now_s(),
            claimed_until_s=request.claimed_until_s,
        )
        try:
            revision = await self._store.put(record.account_id, msgspec.json.encode(record), last_revision=found[1])
        except RevisionConflict:
            raise Conflict("the alert has changed") from None
        return _message(record, revision)


def _decode(value: bytes) -> AlertRecord:
    return msgspec.json.decode(value, type=AlertRecord)


def _message(record: AlertRecord, revision: int) -> auth_pb2.AlertSetting:
    return auth_pb2.AlertSetting(
        account_id=record.account_id,
        url=record.url,
        threshold_nanousd=record.threshold_nanousd,
        secret=record.secret,
        state=record.state,
        changed_at_s=record.changed_at_s,
        detail=record.detail,
        revision=revision,
        claimed_until_s=record.claimed_until_s,
    )
