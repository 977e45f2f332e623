"""Accounts in KV bucket `accounts`: created under a unique name, suspended and reactivated by compare-and-set.

The name's index is created first, with the whole account in it, then the account itself. Whoever writes the account
under revision 0 has created it: an index whose account never appeared is completed by repeating the create.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

import msgspec
from nats.aio.client import Client

from lumen.ledger.keyspace import KV_ACCOUNTS
from lumen.platform.kv_view import RevisionConflict, kv_get, kv_put
from services.auth import records
from services.auth.directory import NATS_AWAY, Directory
from services.auth.errors import AccountExists, AccountNotFound, Conflict, InvalidRequest, Unavailable
from services.auth.key_rules import check_limits
from services.auth.records import AccountRecord, Limits

logger = logging.getLogger(__name__)

_NAME_CHARS_MAX = 200
_WRITE_ATTEMPTS_MAX = 8
_ID_PREFIX = "acct_"
_AWAY = "the accounts' store is not reachable"


class Accounts:
    def __init__(
        self, nc: Client, directory: Directory, *, now_s: Callable[[], int] = lambda: int(time.time())
    ) -> None:
        self._nc = nc
        self._directory = directory
        self._now_s = now_s

    async def create(self, name: str) -> AccountRecord:
        """Raises InvalidRequest, AccountExists, Unavailable (then repeat: the name leads back to the same account)."""
        name = _checked_name(name)
        self._directory.require_ready()
        wanted = AccountRecord(_ID_PREFIX + secrets.token_hex(10), name, records.ACTIVE, self._now_s())
        try:
            record = await self._reserve_name(wanted)
            revision = await kv_put(self._nc, KV_ACCOUNTS, record.id, records.encode_record(record), last_revision=0)
        except RevisionConflict:
            raise AccountExists(record.name, record.id) from None
        except NATS_AWAY as error:
            raise Unavailable(_AWAY) from error
        await self._directory.wait_seen(KV_ACCOUNTS, revision)
        logger.info("account created", extra={"account": record.id})
        return record

    async def get(self, id_or_name: str) -> AccountRecord:
        """Raises AccountNotFound, Unavailable."""
        self._directory.require_ready()
        record = self._directory.account(id_or_name)
        if record is None:  # perhaps created on another replica a moment ago
            await self._directory.catch_up(KV_ACCOUNTS)
            record = self._directory.account(id_or_name)
        if record is None:
            raise AccountNotFound(id_or_name)
        return record

    async def set_status(self, account_id: str, status: str) -> AccountRecord:
        """Raises InvalidRequest, AccountNotFound, Conflict, Unavailable."""
        if status not in (records.ACTIVE, records.SUSPENDED):
            raise InvalidRequest(f"status must be {records.ACTIVE} or {records.SUSPENDED}, not {status[:50]!r}")
        record = await self._change(account_id, lambda found: msgspec.structs.replace(found, status=status))
        logger.info("account status set", extra={"account": record.id, "status": status})
        return record

    async def set_limits(self, account_id: str, limits: Limits) -> AccountRecord:
        """All of them; what is 0 is no limit. Raises InvalidRequest, AccountNotFound, Conflict, Unavailable."""
        check_limits(limits)
        record = await self._change(account_id, lambda found: msgspec.structs.replace(found, limits=limits))
        logger.info("account limits set", extra={"account": record.id})
        return record

    async def _change(self, account_id: str, change: Callable[[AccountRecord], AccountRecord]) -> AccountRecord:
        """By compare-and-set; what is as wanted already is not written. Returns when this replica has seen it."""
        known = await self.get(account_id)
        for _ in range(_WRITE_ATTEMPTS_MAX):
            try:
                found = await kv_get(self._nc, KV_ACCOUNTS, known.id)
                if found is None:
                    raise AccountNotFound(account_id)
                present = records.decode_account(found[0])
                record = change(present)
                if record == present:
                    await self._directory.wait_seen(KV_ACCOUNTS, found[1])
                    return record
                revision = await kv_put(
                    self._nc, KV_ACCOUNTS, record.id, records.encode_record(record), last_revision=found[1]
                )
            except RevisionConflict:
                continue
            except NATS_AWAY as error:
                raise Unavailable(_AWAY) from error
            await self._directory.wait_seen(KV_ACCOUNTS, revision)
            return record
        raise Conflict("others are changing this account at the same time; try again")

    async def _reserve_name(self, wanted: AccountRecord) -> AccountRecord:
        """The account this name stands for: `wanted`, or the one whose create came first and may be incomplete."""
        key = records.name_key(wanted.name)
        try:
            await kv_put(self._nc, KV_ACCOUNTS, key, records.encode_record(wanted), last_revision=0)
        except RevisionConflict:
            found = await kv_get(self._nc, KV_ACCOUNTS, key)
            if found is None:
                raise Conflict("the name is being removed by hand; try again") from None
            return records.decode_account(found[0])
        return wanted


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise InvalidRequest("an account needs a name")
    if len(name) > _NAME_CHARS_MAX:
        raise InvalidRequest(f"the name is longer than {_NAME_CHARS_MAX} characters")
    if not name.isprintable():
        raise InvalidRequest("the name contains control characters")
    if name.casefold().startswith(_ID_PREFIX):
        raise InvalidRequest(f"a name must not look like an account id ({_ID_PREFIX}...)")
    return name
