"""The key cache when auth answers late, from an outdated view, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from protos import auth_pb2
from services.edge.key_cache import AuthUnreachable, KeyCache
from services.edge.metrics import EdgeMetrics
from services.edge.watches import AuthWatch

KNOWN = b"k" * 32


class Auth:
    """Knows every key; `revision` is how new its view is."""

    def __init__(self) -> None:
        self.revision = 10

    async def Authenticate(self, request: Any, **_: Any) -> auth_pb2.AuthenticateResponse:
        name = request.key_sha256.hex()
        view = auth_pb2.KeyView(key_id=name, account_id="a", group="default")
        stamp = auth_pb2.ViewStamp(keys_revision=self.revision, accounts_revision=self.revision)
        return auth_pb2.AuthenticateResponse(key=view, stamp=stamp)


def cache_for(auth: Auth, now: list[float], entries_max: int = 100) -> KeyCache:
    cache = KeyCache(
        auth,  # type: ignore[arg-type]
        is_cached=True,
        entries_max=entries_max,
        stale_s_max=120.0,
        rpc_timeout_s=1.0,
        now=lambda: now[0],
    )
    cache.on_watch_connected()
    return cache


async def test_a_known_key_is_served_stale_while_auth_answers_from_an_outdated_view() -> None:
    auth, now = Auth(), [0.0]
    cache = cache_for(auth, now)
    key = await cache.authenticate(KNOWN)
    cache.on_stamp(auth_pb2.ViewStamp(keys_revision=11, accounts_revision=10))
    cache.on_watch_lost()
    assert cache.lookup(KNOWN) is None
    assert await cache.authenticate(KNOWN) == key
    with pytest.raises(AuthUnreachable):
        await cache.authenticate(b"u" * 32)
    now[0] = 121.0
    with pytest.raises(AuthUnreachable):
        await cache.authenticate(KNOWN)


async def test_the_least_recently_used_key_is_forgotten_first() -> None:
    cache = cache_for(Auth(), [0.0], entries_max=2)
    for name in (b"a", b"b"):
        await cache.authenticate(name * 32)
    assert cache.lookup(b"a" * 32) is not None
    await cache.authenticate(b"c" * 32)
    assert cache.lookup(b"a" * 32) is not None
    assert cache.lookup(b"b" * 32) is None


async def test_an_edge_stays_ready_while_it_can_serve_from_its_cache() -> None:
    now = [0.0]
    cache = KeyCache(
        Auth(),  # type: ignore[arg-type]
        is_cached=True,
        entries_max=10,
        stale_s_max=120.0,
        rpc_timeout_s=1.0,
        now=lambda: now[0],
    )
    watch = AuthWatch(
        Auth(),  # type: ignore[arg-type]
        "lease",
        cache,
        EdgeMetrics(CollectorRegistry()),
        on_credit=lambda account: None,
        on_recall=lambda account: None,
    )
    assert watch.problem() is not None  # nothing has been heard yet
    watch._on_event(auth_pb2.WatchEvent(heartbeat=auth_pb2.Heartbeat()))
    assert watch.problem() is None
    watch._lost()
    now[0] = 119.0
    assert watch.problem() is None
    now[0] = 121.0
    assert watch.problem() is not None
