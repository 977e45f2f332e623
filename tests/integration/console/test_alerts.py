"""Low-balance alerts on the running services, delivered to a real receiver."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from protos import auth_pb2, billing_pb2
from services.console.backends import Backends
from services.console.metrics import ConsoleMetrics
from services.console.webhooks import TRIES_MAX, AlertDeliveries
from tests.integration.console.stack import Stack


@dataclass
class Receiver:
    url: str = ""
    statuses: list[int] = field(default_factory=list)  # of the next answers; then 204
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.received.append((dict(request.headers), await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204, headers={"location": "/other"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


@dataclass
class Alerting:
    backends: Backends
    start: Callable[..., AlertDeliveries]

    async def set(self, account: str, url: str, threshold_nanousd: int = 10**9) -> auth_pb2.AlertSetting:
        order = auth_pb2.SetAlertRequest(account_id=account, url=url, threshold_nanousd=threshold_nanousd)
        return await self.backends.auth.call(self.backends.alerts.SetAlert, order)

    async def state(self, account: str) -> tuple[str, str]:
        request = auth_pb2.GetAlertRequest(account_id=account)
        alert = await self.backends.auth.call(self.backends.alerts.GetAlert, request)
        return alert.state, alert.detail


@pytest.fixture
async def alerting(stack: Stack) -> AsyncIterator[Alerting]:
    addresses = [stack.env[f"LUMEN_{name}_ADDRESS"] for name in ("AUTH", "ROUTER", "BILLING")]
    backends = Backends(*addresses, timeout_s=10, reconcile_timeout_s=10)
    made: list[AlertDeliveries] = []
    async with asyncio.timeout(30):  # billing has read the ledger to its end; before that no balance is told
        question = billing_pb2.GetBalanceRequest(account_id="any")
        while not (await backends.billing.call(backends.ledger.GetBalance, question)).is_live:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def start(*, allows_private: bool = True, now_s: Callable[[], int] = lambda: int(time.time())) -> AlertDeliveries:
        metrics = ConsoleMetrics(CollectorRegistry())
        made.append(
            AlertDeliveries(backends, metrics, interval_s=1, allows_private=allows_private, now_s=now_s, pause_s=0.001)
        )
        return made[-1]

    yield Alerting(backends, start)
    for deliveries in made:
        await deliveries.close()
    await backends.close()


async def test_a_low_balance_is_told_once_signed_and_again_after_it_was_higher(
    stack: Stack, alerting: Alerting, receiver: Receiver, new_account: Callable[[], str]
) -> None:
    account = new_account()
    alert = await alerting.set(account, receiver.url)
    deliveries = alerting.start()
    await deliveries.look()
    await deliveries.look()
    ((headers, body),) = receiver.received
    told = json.loads(body)
    assert (told["type"], told["account"], told["balance_usd"], told["threshold_usd"]) == (
        "balance.low",
        account,
        "0",
        "1",
    )
    signed = dict(part.split("=") for part in headers["lumen-signature"].split(","))
    expected = hmac.new(alert.secret.encode(), f"{signed['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert signed["v1"] == expected
    assert await alerting.state(account) == ("delivered", "")

    with stack.client() as admin:
        order = {"amount_usd": "5", "kind": "topup", "reference": f"alert-{account}"}
        admin.post(f"/admin/v1/accounts/{account}/credits", json=order).raise_for_status()
        deadline = time.monotonic() + 30
        while (found := admin.get(f"/admin/v1/accounts/{account}/balance").json())["balance_usd"] != "5":
            assert time.monotonic() < deadline, found
    await deliveries.look()
    assert await alerting.state(account) == ("armed", "")
    await alerting.set(account, receiver.url, threshold_nanousd=6 * 10**9)
    await deliveries.look()
    assert json.loads(receiver.received[-1][1])["balance_usd"] == "5"
    await alerting.set(account, "")


async def test_a_delivery_is_repeated_a_bounded_number_of_times_and_given_up_visibly(
    alerting: Alerting, receiver: Receiver, new_account: Callable[[], str]
) -> None:
    account = new_account()
    await alerting.set(account, receiver.url)
    receiver.statuses = [500, 302, 204]  # a redirect is not followed
    await alerting.start().look()
    assert len(receiver.received) == 3
    assert len({json.loads(body)["id"] for _, body in receiver.received}) == 1
    assert (await alerting.state(account))[0] == "delivered"

    await alerting.set(account, receiver.url)
    receiver.received.clear()
    receiver.statuses = [503] * 99
    await alerting.start().look()
    assert len(receiver.received) == TRIES_MAX
    assert await alerting.state(account) == ("failed", "answered with status 503")
    await alerting.set(account, "")


async def test_an_address_of_the_inside_is_not_called(
    alerting: Alerting, receiver: Receiver, new_account: Callable[[], str]
) -> None:
    account = new_account()
    for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost")):
        await alerting.set(account, url)
        await alerting.start(allows_private=False).look()
        assert (await alerting.state(account))[0] == "failed"
    assert receiver.received == []
    await alerting.set(account, "")


async def test_a_claim_that_its_holder_did_not_finish_is_taken_over_after_its_end(
    alerting: Alerting, receiver: Receiver, new_account: Callable[[], str]
) -> None:
    account = new_account()
    alert = await alerting.set(account, receiver.url)
    now_s = int(time.time())
    claim = auth_pb2.MoveAlertRequest(
        account_id=account, revision=alert.revision, state="delivering", claimed_until_s=now_s + 60
    )
    await alerting.backends.auth.call(alerting.backends.alerts.MoveAlert, claim)
    await alerting.start(now_s=lambda: now_s).look()
    assert receiver.received == []
    await alerting.start(now_s=lambda: now_s + 61).look()
    assert len(receiver.received) == 1
    await alerting.set(account, "")
