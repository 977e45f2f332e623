"""Tokens of the admin API in KV bucket `admin_tokens`, under the SHA-256 of their secret.

Whether one is good is asked of the bucket's leader each time: an operator's request is rare, and a revoked token must
be refused at once. The list comes from a view of the bucket.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import secrets
import time
from collections.abc import Callable

import msgspec
from nats.aio.client import Client

from lumen.ledger.keyspace import KV_ADMIN_TOKENS
from lumen.platform.kv_view import KvView, RevisionConflict, kv_get, kv_put
from lumen.platform.nats import ensure_bucket, kv_stream
from services.auth.directory import NATS_AWAY
from services.auth.errors import Conflict, InvalidRequest, TokenNotFound, Unavailable

logger = logging.getLogger(__name__)

SCOPES = ("read_only", "finance", "keys", "full")
SECRET_PREFIX = "sk-lumen-admin-"
_SECRET_BYTES = 32
_SHOWN_CHARS = len(SECRET_PREFIX) + 6
_NAME_CHARS_MAX = 100
_TOKENS_MAX = 1000
_WRITE_ATTEMPTS_MAX = 8
_CATCH_UP_S_MAX = 2.0
_BACKOFF_S_MAX = 2.0
_AWAY = "the tokens' store is not reachable"


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
    """Run `run()` in a supervised task. Every method raises Unavailable while NATS is away."""

    def __init__(
        self, nc: Client, *, kv_replicas: int = 1, now_s: Callable[[], int] = lambda: int(time.time())
    ) -> None:
        self._nc = nc
        self._kv_replicas = kv_replicas
        self._now_s = now_s
        self._tokens: dict[str, AdminTokenRecord] = {}  # by digest, hex
        self._revision = 0
        self._changed = asyncio.Event()
        self._view = KvView(nc, KV_ADMIN_TOKENS, self._on_change)

    async def run(self) -> None:
        backoff_s = 0.1
        while True:
            try:
                await ensure_bucket(self._nc, KV_ADMIN_TOKENS, replicas=self._kv_replicas)
                break
            except NATS_AWAY:
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # jitter
                backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)
        await self._view.run()

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
        await self._put(hashlib.sha256(secret.encode()).hexdigest(), record, 0)
        logger.info("admin token created", extra={"token_id": record.id, "scope": scope, "created_by": created_by})
        return record, secret

    async def list(self) -> list[AdminTokenRecord]:
        """Oldest first, revoked ones too."""
        await self._catch_up()
        return sorted(self._tokens.values(), key=lambda record: (record.created_at_s, record.id))

    async def revoke(self, token_id: str) -> AdminTokenRecord:
        """Revoking again changes nothing. Raises TokenNotFound, Conflict, Unavailable."""
        await self._catch_up()
        digest = next((digest for digest, record in self._tokens.items() if record.id == token_id), None)
        if digest is None:
            raise TokenNotFound(token_id)
        for _ in range(_WRITE_ATTEMPTS_MAX):
            found = await self._get(digest)
            if found is None:
                raise TokenNotFound(token_id)
            record, revision = found
            if record.revoked_at_s:
                return record
            record = msgspec.structs.replace(record, revoked_at_s=self._now_s())
            with contextlib.suppress(RevisionConflict):
                await self._put(digest, record, revision)
                logger.info("admin token revoked", extra={"token_id": token_id})
                return record
        raise Conflict("others are changing this token at the same time; try again")

    async def authenticate(self, digest: bytes) -> AdminTokenRecord | None:
        """The token that is good now. Raises InvalidRequest for what is no digest."""
        if len(digest) != hashlib.sha256().digest_size:
            raise InvalidRequest("token_sha256: 32 bytes")
        found = await self._get(digest.hex())
        if found is None:
            return None
        record, _ = found
        has_expired = record.expires_at_s and record.expires_at_s <= self._now_s()
        return None if record.revoked_at_s or has_expired else record

    async def _get(self, digest: str) -> tuple[AdminTokenRecord, int] | None:
        try:
            found = await kv_get(self._nc, KV_ADMIN_TOKENS, digest)
        except NATS_AWAY as error:
            raise Unavailable(_AWAY) from error
        return None if found is None else (_decoder.decode(found[0]), found[1])

    async def _put(self, digest: str, record: AdminTokenRecord, last_revision: int) -> None:
        try:
            await kv_put(self._nc, KV_ADMIN_TOKENS, digest, msgspec.json.encode(record), last_revision=last_revision)
        except NATS_AWAY as error:
            raise Unavailable(_AWAY) from error

    async def _catch_up(self) -> None:
        """Until the view holds all that the leader holds now."""
        try:
            info = await self._nc.jetstream(timeout=2).stream_info(kv_stream(KV_ADMIN_TOKENS))
            async with asyncio.timeout(_CATCH_UP_S_MAX):
                while self._revision < info.state.last_seq:
                    await self._changed.wait()
        except NATS_AWAY as error:
            raise Unavailable(_AWAY) from error

    def _on_change(self, key: str, value: bytes | None, revision: int) -> None:
        try:
            record = None if value is None else _decoder.decode(value)
        except msgspec.DecodeError as error:
            logger.error("unreadable record", extra={"key": key, "kv_revision": revision, "error": repr(error)[:300]})
            record = None
        if record is None:
            self._tokens.pop(key, None)
        else:
            self._tokens[key] = record
        self._revision = revision
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
