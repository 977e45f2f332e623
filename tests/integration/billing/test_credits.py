"""PostCredit and GetBalance over gRPC: one reference, one entry, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc.aio
import pytest

from lumen.ledger import keyspace
from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from lumen.platform.grpc import bind, create_channel, create_server, error_kind
from protos import billing_pb2 as pb
from protos import billing_pb2_grpc
from services.billing.errors import GRPC_CODES
from tests.integration.billing.conftest import RunningBilling, World, eventually

Start = Callable[..., RunningBilling]


@pytest.fixture
async def api(world: World, start_billing: Start) -> AsyncIterator[billing_pb2_grpc.BillingAdminAsyncStub]:
    billing = start_billing()
    await eventually(world.balances_agree)
    server = create_server(GRPC_CODES)
    billing_pb2_grpc.add_BillingAdminServicer_to_server(billing.parts.api, server)
    port = bind(server, "127.0.0.1", 0)
    await server.start()
    channel = create_channel(f"127.0.0.1:{port}")
    yield billing_pb2_grpc.BillingAdminStub(channel)
    await channel.close(None)
    await server.stop(None)


def topup(
    amount: int = 5_000,
    reference: str = "ref-1",
    kind: str = "topup",
    paid_amount: str = "",
    paid_currency: str = "",
    note: str = "",
) -> pb.PostCreditRequest:
    return pb.PostCreditRequest(
        account_id="acc",
        amount_nanousd=amount,
        kind=kind,
        reference=reference,
        paid_amount=paid_amount,
        paid_currency=paid_currency,
        note=note,
    )


async def refused(call: Awaitable[object]) -> str | None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return error_kind(caught.value)


async def test_the_balance_shows_the_credit_when_the_call_returns(
    world: World, api: billing_pb2_grpc.BillingAdminAsyncStub
) -> None:
    arrived = await world.nc.subscribe(keyspace.CREDIT_POSTED_SUBJECT)
    await world.nc.flush()
    view = await api.PostCredit(topup(paid_amount="36.50", paid_currency="CNY", note="thanks"))
    assert (view.amount_nanousd, view.source, view.already_existed) == (5_000, "paid", False)
    assert (view.paid_amount, view.paid_currency, view.note) == ("36.50", "CNY", "thanks")
    balance = await api.GetBalance(pb.GetBalanceRequest(account_id="acc"))
    assert (balance.balance_nanousd, balance.available_nanousd) == (5_000, 5_000)
    assert (await arrived.next_msg(timeout=5)).data == b"acc"


async def test_a_grant_says_so(api: billing_pb2_grpc.BillingAdminAsyncStub) -> None:
    assert (await api.PostCredit(topup(kind="grant"))).source == "grant"


async def test_repeating_a_reference_returns_the_first_entry(
    world: World, api: billing_pb2_grpc.BillingAdminAsyncStub
) -> None:
    first = await api.PostCredit(topup(note="first"))
    again = await api.PostCredit(topup(note="second"))
    assert again.already_existed
    assert (again.note, again.stream_sequence, again.created_at_s) == (
        "first",
        first.stream_sequence,
        first.created_at_s,
    )
    assert (await api.GetBalance(pb.GetBalanceRequest(account_id="acc"))).balance_nanousd == 5_000


async def test_concurrent_repeats_make_one_entry(world: World, api: billing_pb2_grpc.BillingAdminAsyncStub) -> None:
    views = await asyncio.gather(*(api.PostCredit(topup()) for _ in range(8)))
    assert sum(not view.already_existed for view in views) == 1
    assert len({view.stream_sequence for view in views}) == 1
    assert (await api.GetBalance(pb.GetBalanceRequest(account_id="acc"))).balance_nanousd == 5_000


async def test_a_reference_older_than_the_ledger_is_still_known(
    world: World, api: billing_pb2_grpc.BillingAdminAsyncStub
) -> None:
    await api.PostCredit(topup())
    await world.nc.jetstream().purge_stream(keyspace.STREAM)
    assert (await api.PostCredit(topup())).already_existed
    assert (await api.GetBalance(pb.GetBalanceRequest(account_id="acc"))).balance_nanousd == 5_000


async def test_a_reference_used_for_another_amount_is_a_conflict(api: billing_pb2_grpc.BillingAdminAsyncStub) -> None:
    await api.PostCredit(topup())
    assert await refused(api.PostCredit(topup(amount=6_000))) == "reference_conflict"
    assert await refused(api.PostCredit(topup(kind="grant"))) == "reference_conflict"


async def test_what_cannot_be_a_credit_is_refused(api: billing_pb2_grpc.BillingAdminAsyncStub) -> None:
    assert await refused(api.PostCredit(topup(kind="gift"))) == "invalid_request"
    assert await refused(api.PostCredit(topup(amount=0))) == "invalid_request"
    assert await refused(api.PostCredit(topup(reference=""))) == "invalid_request"
    assert await refused(api.PostCredit(topup(reference="x" * 201))) == "invalid_request"
    assert await refused(api.PostCredit(topup(amount=AMOUNT_NANOUSD_MAX))) == "amount_out_of_range"


async def test_amounts_at_the_limit_are_exact_and_beyond_it_refused(
    world: World, api: billing_pb2_grpc.BillingAdminAsyncStub
) -> None:
    await api.PostCredit(topup(amount=AMOUNT_NANOUSD_MAX - 1))
    assert await refused(api.PostCredit(topup(amount=1, reference="one more"))) == "amount_out_of_range"
    world.expected["acc"] = AMOUNT_NANOUSD_MAX - 1
    await world.use("acc")
    await eventually(world.balances_agree)
    balance = await api.GetBalance(pb.GetBalanceRequest(account_id="acc"))
    assert balance.balance_nanousd == AMOUNT_NANOUSD_MAX - 1 - 105


async def test_reconcile_over_grpc_is_clean(world: World, api: billing_pb2_grpc.BillingAdminAsyncStub) -> None:
    await api.PostCredit(topup())
    report = await api.Reconcile(pb.ReconcileRequest())
    assert report.is_ok, [(check.name, list(check.drifts)) for check in report.checks]
    assert report.entries == 1
