"""API keys in KV bucket `keys`, under the SHA-256 of their secret; the secret is returned once and kept nowhere."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable

import msgspec
from nats.aio.client import Client

from lumen.ledger.keyspace import KV_KEYS
from lumen.platform.kv_view import RevisionConflict, kv_get, kv_put
from services.auth import records
from services.auth.accounts import Accounts
from services.auth.directory import NATS_AWAY, Directory
from services.auth.errors import Conflict, KeyNotFound, Unavailable
from services.auth.key_rules import KeyOrder
from services.auth.records import KeyRecord

logger = logging.getLogger(__name__)

_SECRET_PREFIX = "sk-lumen-"
_SECRET_BYTES = 32
_SHOWN_CHARS = 16
_WRITE_ATTEMPTS_MAX = 8
_AWAY = "the keys' store is not reachable"


class Keys:
    def __init__(
        self,
        nc: Client,
        directory: Directory,
        accounts: Accounts,
        *,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._nc = nc
        self._directory = directory
        self._accounts = accounts
        self._now_s = now_s

    async def create(self, order: KeyOrder) -> tuple[KeyRecord, str]:
        """(record, secret). Raises InvalidRequest, AccountNotFound, Unavailable (then a key nobody knows may exist)."""
        now_s = self._now_s()
        order.validate(now_s)
        networks = order.networks()
        account = await self._accounts.get(order.account_id)
        secret = _SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        record = KeyRecord(
            key_id=f"key_{secrets.token_hex(10)}",
            account_id=account.id,
            group=order.group.strip(),
            name=order.name.strip(),
            prefix=secret[:_SHOWN_CHARS],
            created_at_s=now_s,
            expires_at_s=order.expires_at_s,
            models=list(dict.fromkeys(order.models)),
            ips=networks,
            spend_limit_nanousd=order.spend_limit_nanousd,
            rpm=order.rpm,
            tpm=order.tpm,
            concurrency=order.concurrency,
            spend_day_nanousd=order.spend_day_nanousd,
            spend_month_nanousd=order.spend_month_nanousd,
        )
        digest = hashlib.sha256(secret.encode()).hexdigest()
        try:
            revision = await kv_put(self._nc, KV_KEYS, digest, records.encode_record(record), last_revision=0)
        except NATS_AWAY as error:
            raise Unavailable(_AWAY) from error
        await self._directory.wait_seen(KV_KEYS, revision)
        logger.info("key created", extra={"key_id": record.key_id, "account": record.account_id})
        return record, secret

    def list(self, account_id: str) -> list[KeyRecord]:
        """Oldest first. Raises Unavailable."""
        self._directory.require_ready()
        return self._directory.keys(account_id)

    async def revoke(self, key_id: str) -> KeyRecord:
        """Revoking again changes nothing. Raises KeyNotFound, Conflict, Unavailable."""
        digest = (await self._digest(key_id)).hex()
        for _ in range(_WRITE_ATTEMPTS_MAX):
            try:
                found = await kv_get(self._nc, KV_KEYS, digest)
                if found is None:
                    raise KeyNotFound(key_id)
                record = records.decode_key(found[0])
                if record.revoked_at_s:
                    await self._directory.wait_seen(KV_KEYS, found[1])
                    return record
                record = msgspec.structs.replace(record, revoked_at_s=self._now_s())
                revision = await kv_put(
                    self._nc, KV_KEYS, digest, records.encode_record(record), last_revision=found[1]
                )
            except RevisionConflict:
                continue
            except NATS_AWAY as error:
                raise Unavailable(_AWAY) from error
            await self._directory.wait_seen(KV_KEYS, revision)
            logger.info("key revoked", extra={"key_id": key_id})
            return record
        raise Conflict("others are changing this key at the same time; try again")

    async def _digest(self, key_id: str) -> bytes:
        self._directory.require_ready()
        found = self._directory.find_key(key_id)
        if found is None:  # perhaps created on another replica a moment ago
            await self._directory.catch_up(KV_KEYS)
            found = self._directory.find_key(key_id)
        if found is None:
            raise KeyNotFound(key_id)
        return found[0]
