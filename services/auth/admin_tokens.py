"""Tokens of the admin API in KV bucket `admin_tokens`, under the SHA-256 of their secret.

Whether one is good is asked of the bucket's leader each time: an operator's request is rare, and a revoked token must
be refused at once.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable

import msgspec

from services.auth.errors import InvalidRequest, TokenNotFound
from services.auth.kv_objects import KvObjects

logger = logging.getLogger(__name__)

SCOPES = ("read_only", "finance", "keys", "full")
SECRET_PREFIX = "sk-lumen-admin-"
_SECRET_BYTES = 32
_SHOWN_CHARS = len(SECRET_PREFIX) + 6
_NAME_CHARS_MAX = 100
_TOKENS_MAX = 1000


class AdminTokenRecord(msgspec.Struct, frozen=True):
    id: str
    name: str
    scope: str
    prefix: str
    created_at_s: int
    created_by: str
    expires_at_s: int = 0
    revoked_at_s: int = 0


_decoder = msgspec.json.Decoder(AdminTokenRecord)


class AdminTokens:
    """Every method raises Unavailable while NATS is away."""

    def __init__(self, store: KvObjects, *, now_s: Callable[[], int] = lambda: int(time.time())) -> None:
        self._store = store
        self._now_s = now_s

    async def create(self, name: str, scope: str, expires_at_s: int, created_by: str) -> tuple[AdminTokenRecord, str]:
        """(record, secret). Raises InvalidRequest, Unavailable."""
        now_s = self._now_s()
        if scope not in SCOPES:
            raise InvalidRequest(f"scope: one of {', '.join(SCOPES)}")
        if not 0 < len(name.strip()) <= _NAME_CHARS_MAX:
            raise InvalidRequest(f"name: 1 to {_NAME_CHARS_MAX} characters")
        if expires_at_s and expires_at_s <= now_s:
            raise InvalidRequest("expires_at_s: has passed")
        if sum(not record.revoked_at_s for record in await self.list()) >= _TOKENS_MAX:
            raise InvalidRequest(f"there are {_TOKENS_MAX} tokens; revoke some first")
        secret = SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        record = AdminTokenRecord(
            id=f"tok_{secrets.token_hex(10)}",
            name=name.strip(),
            scope=scope,
            prefix=secret[:_SHOWN_CHARS],
            created_at_s=now_s,
            created_by=created_by,
            expires_at_s=expires_at_s,
        )
        digest = hashlib.sha256(secret.encode()).hexdigest()
        await self._store.put(digest, msgspec.json.encode(record), last_revision=0)
        logger.info("admin token created", extra={"token_id": record.id, "scope": scope, "created_by": created_by})
        return record, secret

    async def list(self) -> list[AdminTokenRecord]:
        """Oldest first, revoked ones too."""
        return sorted((await self._all()).values(), key=lambda record: (record.created_at_s, record.id))

    async def revoke(self, token_id: str) -> AdminTokenRecord:
        """Revoking again changes nothing. Raises TokenNotFound, Conflict, Unavailable."""
        digest = next((digest for digest, record in (await self._all()).items() if record.id == token_id), None)
        if digest is None:
            raise TokenNotFound(token_id)

        def revoked(record: AdminTokenRecord) -> AdminTokenRecord:
            return record if record.revoked_at_s else msgspec.structs.replace(record, revoked_at_s=self._now_s())

        record, _ = await self._store.change(
            digest, _decoder.decode, msgspec.json.encode, revoked, lambda: TokenNotFound(token_id)
        )
        logger.info("admin token revoked", extra={"token_id": token_id})
        return record

    async def authenticate(self, digest: bytes) -> AdminTokenRecord | None:
        """The token that is good now. Raises InvalidRequest for what is no digest."""
        if len(digest) != hashlib.sha256().digest_size:
            raise InvalidRequest("token_sha256: 32 bytes")
        found = await self._store.get(digest.hex())
        if found is None:
            return None
        record = _decoder.decode(found[0])
        has_expired = record.expires_at_s and record.expires_at_s <= self._now_s()
        return None if record.revoked_at_s or has_expired else record

    async def _all(self) -> dict[str, AdminTokenRecord]:
        """By digest, hex; what cannot be read is left out."""
        records = {}
        for digest, (value, revision) in (await self._store.snapshot()).items():
            try:
                records[digest] = _decoder.decode(value)
            except msgspec.DecodeError as error:
                logger.error(
                    "unreadable record", extra={"key": digest, "kv_revision": revision, "error": repr(error)[:300]}
                )
        return records
