"""Guessing keys: how much of it an address may do, and who is not hindered by it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lumen.protocols.errors import ApiError
from protos import auth_pb2
from services.edge.admission import Admission
from services.edge.bad_keys import BadKeys
from services.edge.key_cache import KeyCache

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_failures_drain_evenly_over_a_minute() -> None:
    clock = Clock()
    bad = BadKeys(6, CollectorRegistry(), now=clock)
    for _ in range(6):
        assert bad.refusal_s(HERE) == 0
        bad.failed(HERE)
    assert bad.refusal_s(HERE) == 10
    assert bad.refusal_s(THERE) == 0
    clock.now += 9.5
    assert bad.refusal_s(HERE) == 1
    clock.now += 0.5
    assert bad.refusal_s(HERE) == 0
    bad.failed(HERE)
    assert bad.refusal_s(HERE) == 10
    clock.now += 60
    for _ in range(6):
        assert bad.refusal_s(HERE) == 0
        bad.failed(HERE)
    assert bad.refusal_s(HERE) == 10


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        *(("2001:db8:0:1::2", True), ("2001:db8:0:1:ffff::", True), ("2001:db8:0:2::1", False)),
        *(("::ffff:192.0.2.1", False), ("192.0.2.1", False)),
    ],
)
def test_an_ipv6_subscriber_is_one_address(other: str, is_same: bool) -> None:
    bad = BadKeys(1, CollectorRegistry())
    bad.failed("2001:db8:0:1::1")
    assert bool(bad.refusal_s(other)) is is_same


def test_an_ipv4_client_is_the_same_through_a_dual_stack_socket() -> None:
    bad = BadKeys(1, CollectorRegistry())
    bad.failed("::ffff:192.0.2.1")
    assert bad.refusal_s(HERE) > 0


def test_the_table_is_bounded_and_forgets_what_has_drained() -> None:
    clock, registry = Clock(), CollectorRegistry()
    bad = BadKeys(60, registry, addresses_max=3, now=clock)
    for last in range(5):
        bad.failed(f"192.0.2.{last}")
    assert registry.get_sample_value("lumen_edge_bad_key_addresses") == 3
    clock.now += 30
    bad.failed(HERE)
    assert registry.get_sample_value("lumen_edge_bad_key_addresses") == 1
    assert registry.get_sample_value("lumen_edge_bad_keys_total", {"outcome": "unknown"}) == 6


def test_zero_is_no_limit_and_a_unix_socket_is_not_limited() -> None:
    off, on = BadKeys(0, CollectorRegistry()), BadKeys(1, CollectorRegistry())
    for _ in range(100):
        off.failed(HERE)
        on.failed("")
    assert (off.refusal_s(HERE), on.refusal_s("")) == (0, 0)


class Auth:
    """Knows the keys that contain `good`."""

    def __init__(self) -> None:
        self.asked = 0
        self.good = {hashlib.sha256(secret(name)).digest() for name in ("good", "good-2")}

    async def Authenticate(self, request: Any, **_: Any) -> auth_pb2.AuthenticateResponse:
        self.asked += 1
        if request.key_sha256 not in self.good:
            return auth_pb2.AuthenticateResponse()
        return auth_pb2.AuthenticateResponse(key=auth_pb2.KeyView(key_id="k", account_id="a", group="default"))


def secret(name: str) -> bytes:
    return b"sk-lumen-" + name.encode()


def fields(name: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + secret(name)}


async def test_auth_is_not_asked_any_more_and_known_keys_go_on() -> None:
    auth, registry = Auth(), CollectorRegistry()
    cache = KeyCache(
        auth,  # type: ignore[arg-type]
        is_cached=True,
        entries_max=100,
        stale_s_max=120.0,
        rpc_timeout_s=1.0,
    )
    cache.on_watch_connected()
    admission = Admission(cache, None, BadKeys(3, registry))  # type: ignore[arg-type]  # no routes in it
    assert (await admission.authenticate(fields("good"), HERE)).key_id == "k"
    for number in range(3):
        with pytest.raises(ApiError) as unknown:
            await admission.authenticate(fields(f"bad-{number}"), HERE)
        assert unknown.value.status == 401
    asked = auth.asked
    for name in ("bad-4", "bad-0", "good-2"):  # whether it is good is what auth would have to say
        with pytest.raises(ApiError) as refused:
            await admission.authenticate(fields(name), HERE)
        assert (refused.value.status, refused.value.retry_after_s) == (429, 20)
    assert auth.asked == asked
    assert registry.get_sample_value("lumen_edge_bad_keys_total", {"outcome": "refused"}) == 3
    assert (await admission.authenticate(fields("good"), HERE)).key_id == "k"
    assert auth.asked == asked
    cache.on_watch_lost()  # the known key has to be asked about again, and may be
    assert (await admission.authenticate(fields("good"), HERE)).key_id == "k"
    assert auth.asked == asked + 1
    assert (await admission.authenticate(fields("good-2"), THERE)).key_id == "k"
