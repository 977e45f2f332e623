"""What clients and operators do at the worst moment. Pass lines are in the scenarios."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import httpx
import pytest

from lumen.protocols.dialects import Dialect
from tests.chaos.conftest import Scenario
from tests.chaos.faults import held_down, metric, paused
from tests.chaos.load import MODEL
from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Stack, until
from tests.load.calls import Call, make_call
from tests.load.clients import Calls, Outcome, Target, run_load

_THREADS = 8
_FINISH = {
    Dialect.OPENAI_CHAT: b'"finish_reason":"stop"',
    Dialect.ANTHROPIC_MESSAGES: b'"stop_reason":"end_turn"',
    Dialect.OPENAI_RESPONSES: b"response.completed",
}
_REVOKED_S_MAX = 1.0


class Raw:
    """One request on a socket of its own, read by hand and closed whenever the test likes."""

    def __init__(self, base_url: str, key: str, call: Call) -> None:
        url = urlsplit(base_url)
        self._socket = socket.create_connection((url.hostname or "", url.port or 80), timeout=30)
        self._socket.sendall(Target(base_url, key).request(call))
        self.received = b""

    @property
    def request_id(self) -> str:
        for line in self.received.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"x-request-id":
                return value.strip().decode()
        raise AssertionError(f"no x-request-id in {self.received[:300]!r}")

    def read_until(self, mark: bytes) -> None:
        """Raises AssertionError when the answer ends without it."""
        while mark not in self.received.replace(b'": "', b'":"'):
            data = self._socket.recv(65536)
            assert data, f"ended without {mark!r}: {self.received[-300:]!r}"
            self.received += data

    def close(self) -> None:
        """With a reset, so that the edge notices at once."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()


def send(stack: Stack, key: str, call: Call, count: int) -> list[Outcome]:
    return asyncio.run(run_load(Target(stack.base_url, key), Calls(call, count=count), connections=min(count, 8)))


@pytest.mark.parametrize("dialect", list(_FINISH), ids=lambda dialect: dialect.value)
def test_a_client_that_closes_at_the_finish_reason(scenario: Scenario, dialect: Dialect) -> None:
    """Hypothesis: the frame with the finish reason is shown only once the entry is safe, so a client that takes it and
    hangs up has been charged, once. Pass: one charge of the exact price for every finish reason seen."""
    stack, customer = scenario.stack, scenario.customer
    call = make_call(dialect, is_stream=True, model=MODEL, script="tokens=4 input=10")
    price = cost_nanousd(MODEL, input=10, output=4)

    def take(_: int) -> str:
        with closing(Raw(stack.base_url, customer.key, call)) as client:
            client.read_until(_FINISH[dialect])
            return client.request_id

    with ThreadPoolExecutor(_THREADS) as pool:
        ids = list(pool.map(take, range(scenario.requests)))
    scenario.prove(f"closes at the finish reason, {dialect.value}", dict.fromkeys(ids, price))


def test_the_handler_is_cancelled_during_the_publish(scenario: Scenario) -> None:
    """Hypothesis: metering belongs to the worker: a client gone while NATS hangs on its entry changes nothing. Pass:
    one charge of the full price for every answer whose text was begun (its provider stream is drained)."""
    stack, customer = scenario.stack, scenario.customer
    call = make_call(Dialect.OPENAI_CHAT, is_stream=True, model=MODEL, script="tokens=1 input=10")
    price = cost_nanousd(MODEL, input=10, output=1)
    ids: list[str] = []
    for _ in range(max(3, scenario.requests // 100)):
        with paused(stack.pid("nats")):
            clients = [Raw(stack.base_url, customer.key, call) for _ in range(16)]
            for client in clients:
                client.read_until(b"chat.completion.chunk")
                ids.append(client.request_id)
                client.close()
        until(lambda: metric(stack, "edge", "lumen_edge_spool_batches") == 0, "the spool is drained")
    scenario.prove("handler cancelled during the publish", dict.fromkeys(ids, price))


def test_nats_restarted_then_a_key_revoked(scenario: Scenario) -> None:
    """Hypothesis: watches are back right after a broker restart. Pass: a key revoked then is refused within a second,
    and what it was answered before is charged exactly."""
    stack, customer = scenario.stack, scenario.customer
    call = make_call(Dialect.OPENAI_CHAT, is_stream=False, model=MODEL, script="tokens=1 input=10")
    doomed = stack.admin("POST", "/keys", {"account": customer.account, "group": "default"})
    outcomes = send(stack, doomed["secret"], call, 5)
    with held_down(stack, "nats"):
        outcomes += send(stack, doomed["secret"], call, 5)
    revoke(stack, doomed["id"])
    started = time.monotonic()
    while (last := send(stack, doomed["secret"], call, 1)[0]).status == 200:
        outcomes.append(last)
        assert time.monotonic() - started < _REVOKED_S_MAX, "still served a second after it was revoked"
    assert last.status == 401, last
    price = cost_nanousd(MODEL, input=10, output=1)
    scenario.prove("NATS restarted, then a key revoked", {o.request_id: price for o in outcomes if o.is_complete})


def revoke(stack: Stack, key_id: str) -> None:
    """As soon as the control plane takes writes again."""

    def done() -> bool:
        try:
            stack.admin("POST", f"/keys/{key_id}/revoke")
        except httpx.HTTPStatusError:
            return False
        return True

    until(done, "the key can be revoked")


@pytest.mark.long
def test_70_catalog_revisions_while_an_entry_sits_in_the_spool(scenario: Scenario) -> None:
    """Hypothesis: an entry is rated by the revision that priced its hold, however long ago. Pass: entries that sat in
    the spool of a stopped edge through 70 price changes cost what they cost when they were admitted."""
    stack, customer = scenario.stack, scenario.customer
    model = "kimi-k2.6"  # nobody else's: the other load keeps its prices
    price = 10 * 950 + 3 * 4000  # nano-USD by the demo catalog
    call = make_call(Dialect.OPENAI_CHAT, is_stream=True, model=model, script="tokens=3 input=10")
    before = stack.admin("GET", "/catalog")
    edge = stack.pid("edge")
    with ExitStack() as sleeping:
        with held_down(stack, "nats"):
            outcomes = send(stack, customer.key, call, 8)
            assert all(outcome.is_complete for outcome in outcomes), outcomes
            assert metric(stack, "edge", "lumen_edge_spool_batches") > 0
            sleeping.enter_context(paused(edge))
        change_prices(stack, before["catalog"], model, times=70)
        stack.admin("POST", "/catalog/rollback", {"revision": before["revision"]})
    until(lambda: metric(stack, "edge", "lumen_edge_spool_batches") == 0, "the spool is drained")
    scenario.load.until_ended(scenario.requests)
    scenario.prove("70 revisions while entries sit in the spool", {o.request_id: price for o in outcomes})


def change_prices(stack: Stack, catalog: dict[str, object], model: str, *, times: int) -> None:
    models = catalog["models"]
    assert isinstance(models, Sequence)
    (changed,) = (found for found in models if found["code"] == model)
    for number in range(times):
        changed["price"]["output"] = str(100 + number)
        stack.admin("POST", "/catalog", {"content": json.dumps(catalog), "source_name": f"test {number}"})
