"""Accounts and keys: their life, who hears of changes and how soon, and what is served while NATS is away."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from lumen.ledger import keyspace
from lumen.platform.grpc import error_kind
from lumen.platform.kv_view import kv_get, kv_put
from protos import auth_pb2
from services.auth import records
from services.auth.records import AccountRecord
from tests.fixtures.engines import NatsServer
from tests.integration.auth.conftest import Replica, StartReplica, until

Event = auth_pb2.WatchEvent


@pytest.fixture
def own_nats(new_nats: Callable[..., NatsServer]) -> NatsServer:
    return new_nats()


@pytest.fixture
async def control(start_replica: StartReplica, own_nats: NatsServer) -> Replica:
    """A replica whose buckets are its own."""
    return await start_replica(nats_url=own_nats.url)


async def create_account(replica: Replica, name: str = "Acme") -> auth_pb2.Account:
    return await replica.admin.CreateAccount(auth_pb2.CreateAccountRequest(name=name))


async def create_key(replica: Replica, **fields: Any) -> auth_pb2.CreateKeyResponse:
    return await replica.admin.CreateKey(auth_pb2.CreateKeyRequest(**{"group": "default"} | fields))


async def authenticate(replica: Replica, secret: str) -> auth_pb2.AuthenticateResponse:
    digest = hashlib.sha256(secret.encode()).digest()
    return await replica.edge.Authenticate(auth_pb2.AuthenticateRequest(key_sha256=digest))


async def refusal(call: Awaitable[Any]) -> tuple[str | None, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return error_kind(caught.value), caught.value.details() or ""


@asynccontextmanager
async def watching(replica: Replica, lease: str = "w1.1") -> AsyncIterator[Any]:
    call: Any = replica.edge.Watch(auth_pb2.WatchRequest(lease_id=lease))
    assert (await call.read()).WhichOneof("event") == "heartbeat"
    try:
        yield call
    finally:
        call.cancel()


async def next_event(call: Any, kind: str) -> Event:
    async with asyncio.timeout(10):
        while True:
            event: Event = await call.read()
            if event.WhichOneof("event") == kind:
                return event


# ---- accounts


async def test_account_is_found_by_id_and_by_name_in_any_case(control: Replica) -> None:
    created = await create_account(control, "  Acme Ltd ")
    assert created.id.startswith("acct_")
    assert (created.name, created.status) == ("Acme Ltd", "active")
    for text in (created.id, "Acme Ltd", "acme ltd"):
        assert await control.admin.GetAccount(auth_pb2.GetAccountRequest(id_or_name=text)) == created
    assert list((await control.admin.ListAccounts(auth_pb2.ListAccountsRequest())).accounts) == [created]


async def test_taken_name_is_refused_and_names_its_account(control: Replica) -> None:
    created = await create_account(control)
    kind, message = await refusal(create_account(control, "ACME"))
    assert kind == "account_exists"
    assert created.id in message


async def test_concurrent_creates_of_one_name_on_two_replicas_make_one_account(
    start_replica: StartReplica, own_nats: NatsServer
) -> None:
    replicas = [await start_replica(nats_url=own_nats.url) for _ in range(2)]
    answers = await asyncio.gather(
        *(create_account(replicas[number % 2]) for number in range(6)), return_exceptions=True
    )
    assert len([answer for answer in answers if isinstance(answer, auth_pb2.Account)]) == 1
    await until(lambda: len(replicas[1].auth.directory.accounts()) == 1)


async def test_name_whose_account_never_appeared_is_completed_by_repeating_the_create(control: Replica) -> None:
    half = AccountRecord("acct_half", "Acme", records.ACTIVE, 1_700_000_000)
    await kv_put(control.auth.nc, keyspace.KV_ACCOUNTS, records.name_key("Acme"), records.encode_record(half))
    assert (await refusal(control.admin.GetAccount(auth_pb2.GetAccountRequest(id_or_name="Acme"))))[0] == (
        "account_not_found"
    )
    assert (await create_account(control, "acme")).id == "acct_half"
    assert (await refusal(create_account(control)))[0] == "account_exists"


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "acct_1"])
async def test_senseless_account_name_is_refused(control: Replica, name: str) -> None:
    assert (await refusal(create_account(control, name)))[0] == "invalid_request"


async def test_account_created_elsewhere_is_found_though_this_view_has_not_seen_it_yet(
    start_replica: StartReplica, own_nats: NatsServer
) -> None:
    here, there = [await start_replica(nats_url=own_nats.url) for _ in range(2)]
    created = await create_account(here)
    assert (await create_key(there, account_id=created.id)).key.view.account_id == created.id


async def test_suspension_shows_in_keys_and_is_pushed(control: Replica) -> None:
    account = await create_account(control)
    secret = (await create_key(control, account_id=account.id)).secret
    async with watching(control) as call:
        request = auth_pb2.SetAccountStatusRequest(id=account.id, status="suspended")
        assert (await control.admin.SetAccountStatus(request)).status == "suspended"
        changed = (await next_event(call, "account_changed")).account_changed
    assert (changed.account_id, changed.suspended) == (account.id, True)
    assert (await authenticate(control, secret)).key.account_suspended
    await control.admin.SetAccountStatus(auth_pb2.SetAccountStatusRequest(id=account.id, status="active"))
    assert not (await authenticate(control, secret)).key.account_suspended
    kind, message = await refusal(
        control.admin.SetAccountStatus(auth_pb2.SetAccountStatusRequest(id=account.id, status="gone"))
    )
    assert kind == "invalid_request"
    assert "suspended" in message


# ---- keys


async def test_key_authenticates_with_all_it_was_created_with(control: Replica) -> None:
    account = await create_account(control)
    expires_at_s = int(time.time()) + 1000
    created = await create_key(
        control,
        account_id=account.id,
        name="ci",
        expires_at_s=expires_at_s,
        models=["m1", "m1"],
        ips=["10.1.2.3/8", "::1"],
        spend_limit_nanousd=5,
        rpm=6,
        tpm=7,
    )
    assert created.secret.startswith("sk-lumen-")
    assert len(created.secret) >= 9 + 43
    assert created.key.prefix == created.secret[:16]
    view = (await authenticate(control, created.secret)).key
    assert view == created.key.view
    assert (view.group, view.name, list(view.models)) == ("default", "ci", ["m1"])
    assert list(view.ips) == ["10.0.0.0/8", "::1/128"]
    assert (view.expires_at_s, view.spend_limit_nanousd, view.rpm, view.tpm) == (expires_at_s, 5, 6, 7)


async def test_limits_of_key_and_account_come_with_the_key_and_changes_are_pushed(control: Replica) -> None:
    account = await create_account(control)
    assert account.limits == auth_pb2.Limits()
    created = await create_key(
        control, account_id=account.id, concurrency=3, spend_day_nanousd=10**9, spend_month_nanousd=2 * 10**9
    )
    view = (await authenticate(control, created.secret)).key
    assert (view.concurrency, view.spend_day_nanousd, view.spend_month_nanousd) == (3, 10**9, 2 * 10**9)
    assert not view.HasField("account_limits")
    limits = auth_pb2.Limits(rpm=60, tpm=10**11, concurrency=5, spend_day_nanousd=7, spend_month_nanousd=8)
    async with watching(control) as call:
        request = auth_pb2.SetAccountLimitsRequest(id=account.id, limits=limits)
        assert (await control.admin.SetAccountLimits(request)).limits == limits
        assert (await next_event(call, "account_changed")).account_changed.account_id == account.id
    assert (await authenticate(control, created.secret)).key.account_limits == limits
    shown = await control.admin.GetAccount(auth_pb2.GetAccountRequest(id_or_name=account.id))
    assert (shown.limits, shown.status) == (limits, "active")
    for wrong in ({"rpm": 10**8}, {"tpm": 10**12}, {"concurrency": 10**7}, {"spend_day_nanousd": -1}):
        request = auth_pb2.SetAccountLimitsRequest(id=account.id, limits=auth_pb2.Limits(**wrong))
        kind, message = await refusal(control.admin.SetAccountLimits(request))
        assert (kind, next(iter(wrong)) in message) == ("invalid_request", True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "key"},
        {"scope": "planet:earth"},
        {"scope": "key:a:b"},
        {"kind": auth_pb2.LIMIT_KIND_UNSPECIFIED},
        {"limit": 0},
        {"limit": 10**11 + 1},
        {"held": -1},
        {"need": 10**16},
        {"used": -(10**16)},
        {"window": "today"},
    ],
)
async def test_a_share_that_makes_no_sense_is_refused(control: Replica, wrong: dict[str, Any]) -> None:
    good = {"scope": "key:k", "kind": auth_pb2.LIMIT_REQUESTS, "limit": 10, "need": 1, "waiting": 1}
    shares = [auth_pb2.LimitShare(**{**good, **wrong})]
    kind, message = await refusal(
        control.edge.ShareLimits(auth_pb2.ShareLimitsRequest(lease_id="w.1", sequence=1, shares=shares))
    )
    assert (kind, next(iter(wrong)) in message) == ("invalid_request", True)


async def test_secret_is_stored_nowhere(control: Replica) -> None:
    account = await create_account(control)
    secret = (await create_key(control, account_id=account.id)).secret
    found = await kv_get(control.auth.nc, keyspace.KV_KEYS, hashlib.sha256(secret.encode()).hexdigest())
    assert found is not None
    assert secret.encode() not in found[0]
    listed = await control.admin.ListKeys(auth_pb2.ListKeysRequest())
    assert secret not in str(listed)


async def test_unknown_key_is_an_answer_with_a_stamp(control: Replica) -> None:
    await create_account(control)
    answer = await authenticate(control, "sk-lumen-nobody")
    assert not answer.HasField("key")
    assert answer.stamp.accounts_revision == 2
    assert answer.stamp.view_age_ms < 2000


async def test_stamp_includes_the_callers_own_write(control: Replica) -> None:
    account = await create_account(control)
    for number in range(1, 6):
        secret = (await create_key(control, account_id=account.id)).secret
        answer = await authenticate(control, secret)
        assert answer.HasField("key")
        assert answer.stamp.keys_revision == number


async def test_keys_are_listed_per_account_oldest_first(control: Replica) -> None:
    first, second = await create_account(control, "a"), await create_account(control, "b")
    ids = [(await create_key(control, account_id=account.id)).key.view.key_id for account in (first, second, first)]
    listed = (await control.admin.ListKeys(auth_pb2.ListKeysRequest(account_id=first.id))).keys
    assert {key.view.key_id for key in listed} == {ids[0], ids[2]}
    assert len((await control.admin.ListKeys(auth_pb2.ListKeysRequest())).keys) == 3


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"group": ""}, "group"),
        ({"ips": ["10.0.0.0/33"]}, "10.0.0.0/33"),
        ({"expires_at_s": 1000}, "future"),
        ({"spend_limit_nanousd": -1}, "spend_limit"),
        ({"name": "x" * 201}, "name"),
        ({"models": [""]}, "models"),
        ({"rpm": 4_000_000_000}, "rpm"),
    ],
)
async def test_senseless_key_is_refused_with_a_clear_message(
    control: Replica, fields: dict[str, Any], word: str
) -> None:
    account = await create_account(control)
    kind, message = await refusal(create_key(control, account_id=account.id, **fields))
    assert kind == "invalid_request"
    assert word in message


async def test_key_of_an_unknown_account_is_refused(control: Replica) -> None:
    assert (await refusal(create_key(control, account_id="acct_none")))[0] == "account_not_found"


async def test_revocation_is_pushed_to_edges_of_every_replica_within_a_second(
    start_replica: StartReplica, own_nats: NatsServer
) -> None:
    here, there = [await start_replica(nats_url=own_nats.url) for _ in range(2)]
    account = await create_account(here)
    created = await create_key(here, account_id=account.id)
    async with watching(here) as near, watching(there) as far:
        started = time.monotonic()
        revoked = await there.admin.RevokeKey(auth_pb2.RevokeKeyRequest(key_id=created.key.view.key_id))
        events = [await next_event(call, "key_changed") for call in (near, far)]
        assert time.monotonic() - started < 1
    assert revoked.view.revoked
    for event in events:
        if not event.key_changed.key.revoked:  # its creation, if the watch was that early
            continue
        assert event.key_changed.key_sha256 == hashlib.sha256(created.secret.encode()).digest()
        assert event.stamp.keys_revision == 2
    assert (await authenticate(there, created.secret)).key.revoked


async def test_revoking_again_changes_nothing(control: Replica) -> None:
    account = await create_account(control)
    key_id = (await create_key(control, account_id=account.id)).key.view.key_id
    answers = [await control.admin.RevokeKey(auth_pb2.RevokeKeyRequest(key_id=key_id)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].revoked_at_s > 1_700_000_000
    assert (await refusal(control.admin.RevokeKey(auth_pb2.RevokeKeyRequest(key_id="key_none"))))[0] == "key_not_found"


# ---- the watch stream and outages


async def test_silence_is_filled_with_stamped_heartbeats(control: Replica) -> None:
    await create_account(control)
    async with watching(control) as call:
        events = [await call.read() for _ in range(3)]
    assert {event.WhichOneof("event") for event in events} == {"heartbeat"}
    assert all(event.stamp.accounts_revision == 2 and event.stamp.view_age_ms < 2000 for event in events)


async def test_arrived_credit_reaches_the_edges(control: Replica) -> None:
    async with watching(control) as call:
        await control.auth.nc.publish(keyspace.CREDIT_POSTED_SUBJECT, b"acct_1")
        assert (await next_event(call, "credit_arrived")).credit_arrived.account_id == "acct_1"


async def test_edge_that_reads_too_slowly_loses_its_stream(control: Replica) -> None:
    hub = control.auth.hub
    with hub.watching("w1.1") as watcher:
        for number in range(10_000):
            hub.credit_arrived(f"acct_{number}")
        dropped = [watcher.is_dropped]
        hub.credit_arrived("one too many")
        assert [*dropped, watcher.is_dropped] == [False, True]
    assert control.auth.registry.get_sample_value("lumen_auth_dropped_watchers_total") == 1


async def test_stopping_ends_the_streams_at_once(control: Replica) -> None:
    async with watching(control) as call:
        control.auth.api.stop()
        async with asyncio.timeout(2):
            while await call.read():
                pass


async def test_keys_are_served_while_nats_is_away_with_an_honest_age_and_followed_again_after(
    control: Replica, own_nats: NatsServer
) -> None:
    account = await create_account(control)
    created = await create_key(control, account_id=account.id)
    async with watching(control) as call:
        own_nats.kill()

        async def is_old() -> bool:
            event: Event = await call.read()
            return event.stamp.view_age_ms > 1500

        await until(is_old)
        assert (await authenticate(control, created.secret)).key.key_id == created.key.view.key_id
        assert (await refusal(create_account(control, "b")))[0] == "unavailable"
        own_nats.start()
        await until(lambda: control.auth.nc.is_connected and control.auth.directory.age_s() < 1)
        await control.admin.RevokeKey(auth_pb2.RevokeKeyRequest(key_id=created.key.view.key_id))
        assert (await next_event(call, "key_changed")).key_changed.key.revoked


async def test_restarted_auth_knows_all_accounts_and_keys(start_replica: StartReplica, own_nats: NatsServer) -> None:
    first = await start_replica(nats_url=own_nats.url)
    account = await create_account(first)
    secret = (await create_key(first, account_id=account.id)).secret
    second = await start_replica(nats_url=own_nats.url)
    assert (await authenticate(second, secret)).key.account_id == account.id
