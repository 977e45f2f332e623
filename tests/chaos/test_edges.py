"""Four edges, processes of their own whose clocks disagree by more than a day, on one account."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator

import pytest

from lumen.protocols.dialects import Dialect
from tests.chaos.conftest import Note, Scenario
from tests.chaos.edges import more_edges
from tests.chaos.load import MODEL, Load
from tests.chaos.proof import clickhouse_rows, prove
from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack
from tests.load.calls import Call
from tests.load.clients import Calls, Outcome, Target, run_load

pytestmark = pytest.mark.slow

_CLOCK_OFFSETS_S = (3600, -26 * 3600, 45)
_CLIENTS = 64
_REFUSED_S_MAX = 2.5  # everybody, for longer than a refusal is remembered: nothing is left
_REQUESTS = 100
_TOKENS = 40
_PRICE = cost_nanousd(MODEL, input=10, output=_TOKENS)


@pytest.fixture(scope="module")
def edges(chaos_stack: Stack) -> Iterator[list[str]]:
    """Four base URLs; the first is the stack's own edge, whose clock is right."""
    with more_edges(chaos_stack, _CLOCK_OFFSETS_S) as others:
        yield [chaos_stack.base_url, *others]


def test_clock_skew_between_edges(scenario: Scenario, edges: list[str]) -> None:
    """Hypothesis: no rule of money compares two machines' clocks: edges a day apart share leases, and each answer is
    charged once, in the hour that its own edge believed in."""
    others = [Load(url, scenario.customer.key, connections=4, seed=2 + n) for n, url in enumerate(edges[1:])]
    try:
        for load in others:
            load.until_ended(scenario.requests)
    finally:
        for load in others:
            load.stop()
    complete = {request_id: price for load in others for request_id, price in load.complete.items()}
    scenario.prove("clocks of the edges a day apart", complete)
    ((span_us,),) = clickhouse_rows(
        scenario.stack,
        "SELECT max(started_at_us) - min(started_at_us) FROM usage FINAL WHERE account = {account:String}",
        account=scenario.customer.account,
    )
    assert span_us > 26 * 3600 * 1_000_000


_CALL = Call(
    Dialect.OPENAI_CHAT,
    is_stream=True,
    body=json.dumps(
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"[[sim tokens={_TOKENS} input=10 delay_ms=2]]"}],
            "max_tokens": _TOKENS,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode(),
)


class Rush:
    """64 clients at four edges until nothing is left; meanwhile the account is watched."""

    def __init__(self, stack: Stack, edges: list[str], customer: Customer) -> None:
        self.outcomes: list[Outcome] = []
        self.least_available_nanousd = customer.credits_nanousd
        self._stack, self._edges, self._customer = stack, edges, customer
        self._answered_at = time.monotonic()
        self._calls = [Calls(_CALL) for _ in edges]

    def run(self) -> None:
        rushing = threading.Thread(target=lambda: asyncio.run(self._rush()), name="rush")
        rushing.start()
        while rushing.is_alive():
            balance = self._stack.admin("GET", f"/accounts/{self._customer.account}/balance")
            self.least_available_nanousd = min(self.least_available_nanousd, balance["available_nanousd"])
        rushing.join()

    async def _rush(self) -> None:
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for url, calls in zip(self._edges, self._calls, strict=True):
                target = Target(url, self._customer.key)
                connections = _CLIENTS // len(self._edges)
                group.create_task(run_load(target, calls, connections=connections, on_outcome=self._on_outcome))

    def _on_outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.status == 200:
            self._answered_at = time.monotonic()
        elif time.monotonic() - self._answered_at > _REFUSED_S_MAX:
            for calls in self._calls:
                calls.stop()


@pytest.mark.parametrize("group", ["strict", pytest.param("default", marks=pytest.mark.long)])
def test_overspend_of_four_edges_and_64_clients(chaos_stack: Stack, edges: list[str], note: Note, group: str) -> None:
    """Hypothesis: credits for 100 requests are never overdrawn in a strict group, whoever leases them; with estimates
    (group default) at most by what 64 requests in flight cost beyond their holds. Pass: so it is, nothing available is
    ever below that, and what is left is less than one request's hold for each edge."""
    customer = chaos_stack.customer(f"0.{_PRICE * _REQUESTS:09d}".rstrip("0"), group)
    rush = Rush(chaos_stack, edges, customer)
    rush.run()
    cut = [o for o in rush.outcomes if o.status == 200 and not o.is_complete]
    assert not cut, cut
    assert {outcome.status for outcome in rush.outcomes} <= {200, 402, 503}  # 503: try again
    complete = {o.request_id: cost_nanousd(MODEL, input=10, output=_output(o)) for o in rush.outcomes if o.is_complete}
    note(prove(f"overspend, 4 edges, 64 clients, {group}", chaos_stack, customer, complete))
    ((excess, hold),) = clickhouse_rows(
        chaos_stack,
        "SELECT max(greatest(0, cost_nanousd - hold_nanousd)), max(hold_nanousd) FROM usage FINAL"
        " WHERE account = {account:String}",
        account=customer.account,
    )
    bound = _CLIENTS * excess
    assert group != "strict" or bound == 0
    assert rush.least_available_nanousd >= -bound
    left = chaos_stack.balance_nanousd(customer.account)
    assert -bound <= left < len(edges) * hold


def _output(outcome: Outcome) -> int:
    return int(outcome.usage["completion_tokens"])
