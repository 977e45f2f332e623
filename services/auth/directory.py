"""All accounts and keys in memory, followed from their KV buckets: what Authenticate answers from.

Each record is replaced whole, in revision order; `accounts_revision` and `keys_revision` say how far each bucket has
been followed. A key whose account has not been seen counts as suspended: closed until the other bucket catches up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from lumen.ledger.keyspace import KV_ACCOUNTS, KV_KEYS
from lumen.platform.kv_view import KvView
from lumen.platform.nats import ensure_bucket, kv_stream
from protos import auth_pb2
from services.auth import records
from services.auth.errors import Unavailable
from services.auth.metrics import AuthMetrics
from services.auth.records import NO_LIMITS, AccountRecord, KeyRecord, Limits

logger = logging.getLogger(__name__)

NATS_AWAY = (NatsError, JetStreamError, OSError, TimeoutError)
_BACKOFF_S_MAX = 2.0
_SEEN_WAIT_S_MAX = 2.0
_AGE_MS_MAX = 10**9
_UNREADY_AGE_S = 10.0  # edges refuse to rely on less; /readyz only speaks when it is no blip


class Directory:
    """Run `follow(KV_ACCOUNTS)` and `follow(KV_KEYS)` in supervised tasks; `await wait_ready()` for the full views.

    `on_key` and `on_account` are called after each change, in revision order per bucket.
    """

    def __init__(self, nc: Client, metrics: AuthMetrics, *, kv_replicas: int = 1) -> None:
        self._nc = nc
        self._metrics = metrics
        self._kv_replicas = kv_replicas
        self._accounts: dict[str, AccountRecord] = {}
        self._account_ids: dict[str, str] = {}  # by index key
        self._keys: dict[bytes, KeyRecord] = {}
        self._digests: dict[str, bytes] = {}  # by key id
        self._views = {
            KV_ACCOUNTS: KvView(nc, KV_ACCOUNTS, self._on_account),
            KV_KEYS: KvView(nc, KV_KEYS, self._on_key),
        }
        self._revisions = {KV_ACCOUNTS: 0, KV_KEYS: 0}
        self._changed = asyncio.Event()
        self.on_key: Callable[[bytes, KeyRecord], None] = lambda digest, record: None
        self.on_account: Callable[[AccountRecord], None] = lambda record: None

    async def follow(self, bucket: str) -> None:
        backoff_s = 0.1
        while True:
            try:
                await ensure_bucket(self._nc, bucket, replicas=self._kv_replicas)
                break
            except NATS_AWAY as error:
                logger.warning("bucket is not there yet", extra={"bucket": bucket, "reason": repr(error)[:200]})
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # jitter
                backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)
        await self._views[bucket].run()

    # ---- how fresh

    @property
    def is_ready(self) -> bool:
        return all(view.ready.is_set() for view in self._views.values())

    async def wait_ready(self) -> None:
        for view in self._views.values():
            await view.ready.wait()

    def require_ready(self) -> None:
        """Raises Unavailable."""
        if not self.is_ready:
            raise Unavailable("accounts and keys have not been read yet")

    def age_s(self) -> float:
        """Since the store last proved the older of both views current; infinite before the first proof."""
        return max(view.age_s() for view in self._views.values())

    def problem(self) -> str | None:
        """For /readyz. An auth with an old view steps back, so that edges watch a replica that sees revocations."""
        if not self.is_ready:
            return "accounts and keys have not been read yet"
        age_s = self.age_s()
        return f"the view of accounts and keys is {age_s:.0f} s old" if age_s > _UNREADY_AGE_S else None

    def stamp(self) -> auth_pb2.ViewStamp:
        age_s = self.age_s()
        return auth_pb2.ViewStamp(
            keys_revision=self._revisions[KV_KEYS],
            accounts_revision=self._revisions[KV_ACCOUNTS],
            view_age_ms=min(int(age_s * 1000), _AGE_MS_MAX) if math.isfinite(age_s) else _AGE_MS_MAX,
        )

    async def wait_seen(self, bucket: str, revision: int) -> bool:
        """Until the view includes `revision`, at most 2 s: whoever wrote it then reads it here."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_WAIT_S_MAX):
                while self._revisions[bucket] < revision:
                    await self._changed.wait()
        return self._revisions[bucket] >= revision

    async def catch_up(self, bucket: str) -> None:
        """Until the view includes all that the bucket's leader holds now. Raises Unavailable."""
        try:
            info = await self._nc.jetstream(timeout=2).stream_info(kv_stream(bucket))
        except NATS_AWAY as error:
            raise Unavailable("the store of accounts and keys is not reachable") from error
        if not await self.wait_seen(bucket, info.state.last_seq):
            raise Unavailable("this replica's view is behind")

    # ---- what is there

    def key(self, digest: bytes) -> KeyRecord | None:
        return self._keys.get(digest)

    def find_key(self, key_id: str) -> tuple[bytes, KeyRecord] | None:
        digest = self._digests.get(key_id)
        return None if digest is None else (digest, self._keys[digest])

    def keys(self, account_id: str = "") -> list[KeyRecord]:
        """Oldest first; `account_id` empty: of all accounts."""
        found = [record for record in self._keys.values() if not account_id or record.account_id == account_id]
        return sorted(found, key=lambda record: (record.created_at_s, record.key_id))

    def account(self, id_or_name: str) -> AccountRecord | None:
        found = self._accounts.get(id_or_name)
        if found is not None:
            return found
        return self._accounts.get(self._account_ids.get(records.name_key(id_or_name.strip()), ""))

    def accounts(self) -> list[AccountRecord]:
        return sorted(self._accounts.values(), key=lambda record: (record.created_at_s, record.id))

    def is_suspended(self, account_id: str) -> bool:
        record = self._accounts.get(account_id)
        return record is None or record.status != records.ACTIVE

    def limits_of(self, account_id: str) -> Limits:
        record = self._accounts.get(account_id)
        return NO_LIMITS if record is None else record.limits

    # ---- changes

    def _on_account(self, key: str, value: bytes | None, revision: int) -> None:
        record: AccountRecord | None = None
        try:
            record = None if value is None else records.decode_account(value)
        except msgspec.DecodeError as error:
            self._unreadable(key, revision, error)
        else:
            if records.is_name_key(key):
                self._account_ids[key] = record.id if record is not None else ""
                record = None
            elif record is None:
                self._accounts.pop(key, None)
                record = AccountRecord(key, "", records.SUSPENDED, 0)
            else:
                self._accounts[key] = record
        self._advance(KV_ACCOUNTS, revision)
        if record is not None:
            self.on_account(record)

    def _on_key(self, key: str, value: bytes | None, revision: int) -> None:
        """A key's record is never deleted by Lumen; one deleted by hand is pushed as revoked."""
        try:
            digest = bytes.fromhex(key)
            record = self._keys.get(digest) if value is None else records.decode_key(value)
        except (ValueError, msgspec.DecodeError) as error:
            self._unreadable(key, revision, error)
            record = None
        self._advance(KV_KEYS, revision)
        if record is None:
            return
        if value is None:
            self._keys.pop(digest, None)
            self._digests.pop(record.key_id, None)
            record = msgspec.structs.replace(record, revoked_at_s=record.revoked_at_s or 1)
        else:
            self._keys[digest] = record
            self._digests[record.key_id] = digest
        self.on_key(digest, record)

    def _advance(self, bucket: str, revision: int) -> None:
        self._revisions[bucket] = revision
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _unreadable(self, key: str, revision: int, error: Exception) -> None:
        self._metrics.unreadable_records.inc()
        logger.error("unreadable record", extra={"key": key, "kv_revision": revision, "error": repr(error)[:300]})
