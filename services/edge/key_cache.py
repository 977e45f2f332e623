"""API keys as the edge knows them: a bounded cache, filled by auth on a miss and kept true by auth's watch stream.

States of an entry: *fresh* while the watch stream it was learnt under is alive; *stale* once that stream was lost
(a revocation may have been missed): it is revalidated before use, and served unrevalidated for at most `stale_s_max`
only while no auth replica answers. Unknown keys are remembered for a second, so that guessing costs auth little.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from lumen.platform.grpc import request_metadata
from protos import auth_pb2

if TYPE_CHECKING:
    from protos.auth_pb2_grpc import AuthAsyncStub

_NEGATIVE_TTL_S = 1.0
# After a failed question known keys are served unasked for this long: an outage must not cost every request an RPC.
_UNREACHABLE_TTL_S = 0.5


class AuthUnreachable(Exception):
    """No auth replica answers and the key cannot be served from the cache."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Of one key, account or group; 0: no limit."""

    requests_per_minute: int
    tokens_per_minute: int
    concurrency: int
    spend_day_nanousd: int
    spend_month_nanousd: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What admission needs of a key. Times in Unix seconds; 0, None and empty mean "no limit"."""

    key_id: str
    account_id: str
    group: str
    is_revoked: bool
    is_account_suspended: bool
    expires_at_s: int
    models: frozenset[str]
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    spend_limit_nanousd: int
    limits: KeyLimits | None = None
    account_limits: KeyLimits | None = None


def decode_key(view: auth_pb2.KeyView) -> ApiKey:
    return ApiKey(
        key_id=view.key_id,
        account_id=view.account_id,
        group=view.group,
        is_revoked=view.revoked,
        is_account_suspended=view.account_suspended,
        expires_at_s=view.expires_at_s,
        models=frozenset(view.models),
        networks=tuple(ipaddress.ip_network(cidr, strict=False) for cidr in view.ips),
        spend_limit_nanousd=view.spend_limit_nanousd,
        limits=decode_limits(view),
        account_limits=decode_limits(view.account_limits),
    )


def decode_limits(message: auth_pb2.KeyView | auth_pb2.Limits) -> KeyLimits | None:
    """None: no limit at all, which costs a request nothing."""
    found = KeyLimits(
        message.rpm, message.tpm, message.concurrency, message.spend_day_nanousd, message.spend_month_nanousd
    )
    return found if found != _NO_LIMITS else None


_NO_LIMITS = KeyLimits(0, 0, 0, 0, 0)


@dataclass(slots=True)
class _Entry:
    key: ApiKey | None  # None: no such key
    view: auth_pb2.KeyView | None
    epoch: int  # the watch stream it was learnt under
    learnt_at: float


class KeyCache:
    """`lookup` is the hot path (no await); `authenticate` asks auth."""

    def __init__(
        self,
        stub: AuthAsyncStub,
        *,
        is_cached: bool,
        entries_max: int,
        stale_s_max: float,
        rpc_timeout_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = stub
        self._is_cached = is_cached
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._by_account: dict[str, set[bytes]] = {}
        self._entries_max = entries_max
        self._stale_s_max = stale_s_max
        self._rpc_timeout_s = rpc_timeout_s
        self._now = now
        self._epoch = 0
        self._is_watched = False
        self._contact_at = now()
        self._unreachable_until = 0.0
        self._keys_revision = 0
        self._accounts_revision = 0
        self._asking: dict[bytes, asyncio.Task[ApiKey | None]] = {}

    def lookup(self, digest: bytes) -> ApiKey | None:
        """The fresh cached key, or None: then `authenticate` decides."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if entry.epoch == self._epoch and self._is_watched:
            self._entries.move_to_end(digest)  # the least recently used go first
            return entry.key
        return entry.key if self._now() < self._unreachable_until and self.may_serve_stale() else None

    def knows(self, digest: bytes) -> bool:
        """Whether this key was good when auth last spoke of it, however long ago."""
        entry = self._entries.get(digest)
        return entry is not None and entry.key is not None

    def may_serve_stale(self) -> bool:
        """Whether auth was heard of recently enough."""
        return self._now() - self._contact_at < self._stale_s_max

    async def authenticate(self, digest: bytes) -> ApiKey | None:
        """Ask auth (one question per key at a time). None: no such key. Raises AuthUnreachable."""
        entry = self._entries.get(digest)
        if entry is not None and entry.key is None and self._now() - entry.learnt_at < _NEGATIVE_TTL_S:
            return None
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.create_task(self._ask(digest))
            self._asking[digest] = task
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
        try:
            return await asyncio.shield(task)
        except (grpc.aio.AioRpcError, AuthUnreachable) as error:
            return self._stale_or_raise(digest, error)

    def _stale_or_raise(self, digest: bytes, error: grpc.aio.AioRpcError | AuthUnreachable) -> ApiKey | None:
        entry = self._entries.get(digest)
        if entry is not None and entry.key is not None and self.may_serve_stale():
            self._unreachable_until = self._now() + _UNREACHABLE_TTL_S
            return entry.key
        if isinstance(error, AuthUnreachable):
            raise error
        raise AuthUnreachable(error.details() or "auth did not answer") from error

    async def _ask(self, digest: bytes) -> ApiKey | None:
        epoch = self._epoch
        for _ in range(5):
            response = await self._stub.Authenticate(
                auth_pb2.AuthenticateRequest(key_sha256=digest),
                timeout=self._rpc_timeout_s,
                metadata=request_metadata(),
            )
            if self._is_current(response.stamp):
                break
            await asyncio.sleep(0.05)  # a replica behind what this edge has seen: ask again, perhaps another
        else:
            raise AuthUnreachable("auth answers from an outdated view")
        self._contact_at = self._now()
        view = response.key if response.HasField("key") else None
        # A push that arrived while the question was under way is newer than its answer.
        known = self._entries.get(digest)
        if known is not None and known.epoch == epoch == self._epoch and known.key is not None and self._is_watched:
            return known.key
        key = decode_key(view) if view is not None else None
        self._store(digest, key, view, epoch)
        return key

    def _is_current(self, stamp: auth_pb2.ViewStamp) -> bool:
        return stamp.keys_revision >= self._keys_revision and stamp.accounts_revision >= self._accounts_revision

    def _store(self, digest: bytes, key: ApiKey | None, view: auth_pb2.KeyView | None, epoch: int) -> None:
        if not self._is_cached:
            return
        self._entries[digest] = _Entry(key, view, epoch, self._now())
        if key is not None:
            self._by_account.setdefault(key.account_id, set()).add(digest)
        while len(self._entries) > self._entries_max:
            dropped, entry = self._entries.popitem(last=False)
            if entry.key is not None:
                self._by_account.get(entry.key.account_id, set()).discard(dropped)

    # ---- what the watch stream reports

    def on_watch_connected(self) -> None:
        """A new stream carries no snapshot: everything learnt before it is stale."""
        self._epoch += 1
        self._is_watched = True
        self._contact_at = self._now()

    def on_watch_lost(self) -> None:
        self._is_watched = False

    def on_stamp(self, stamp: auth_pb2.ViewStamp) -> None:
        self._contact_at = self._now()
        self._keys_revision = max(self._keys_revision, stamp.keys_revision)
        self._accounts_revision = max(self._accounts_revision, stamp.accounts_revision)

    def on_key_changed(self, digest: bytes, view: auth_pb2.KeyView) -> None:
        if digest in self._entries:
            self._store(digest, decode_key(view), view, self._epoch)

    def on_account_changed(self, account_id: str) -> None:
        for digest in self._by_account.pop(account_id, ()):
            self._entries.pop(digest, None)
