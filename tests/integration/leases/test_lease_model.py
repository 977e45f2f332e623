"""Credit leases under attack: a stateful model that searches for an order of events in which money goes wrong.

Real: grant.lua, renew.lua, free.lua, post.lua and load.lua on a real Valkey; the edges' LeaseClient, LeaseBook, Demand
and Renewals; auth's Grants, LeaseStore, LiveWorkers, RedisGuard and Reaper; billing's RedisSink and Rebuilder.
Modelled: the ledger and ClickHouse (lists), gRPC (a call that may be lost, answered too late or never read), time (one
clock), the ledger's lag and spools (an edge's entries enter the stream when a rule says so, in any order between edges,
also after its death), retirement (the rule of services.auth.retirements, without NATS), a failover (a dump restored
under a new run_id).

Three edges, two accounts in different partitions, one key with a spend limit. Rules: credits and debits, holds,
settlements below, at and above the hold, cancellations, recalls, renewals lost, delayed and out of order, links cut,
edges paused (also between a grant and reading its answer), killed and started again, drained; billing lagging, away,
doubled by a zombie; Redis failed over to an older state, emptied, rebuilt; time, from seconds to past every timer.

Always:
* what was admitted at its worst never exceeds the money there is by more than DESIGN.md section 5 states: costs beyond
  their holds, reservations of workers declared dead that were alive, grants that Redis lost, and money taken away while
  it was leased. Without such events the excess is zero;
* nothing is granted while Redis lacks what a healthy worker holds;
* balances, counters and posted totals are exactly what the ledger says up to the mark; released never exceeds granted.
In the end, when all is ended, posted and given back: nothing is reserved, each balance is credits - costs, and any edge
can hold it to the last nano-dollar and nobody one more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis

from lumen.ledger import keyspace
from services.edge.metering.lease_errors import InsufficientCredits
from tests.fixtures.engines import RedisServer
from tests.integration.leases.ledger import Credit, Spend
from tests.integration.leases.world import (
    ACCOUNTS,
    KEYS,
    POTS,
    RECALL_WAIT_S,
    REQUEST_FREE_S,
    Edge,
    Key,
    World,
    pots_of,
)

_EDGES = 3
_T = TypeVar("_T")
_edges = st.integers(0, _EDGES - 1)
_keys = st.sampled_from(KEYS)
_partitions = st.sampled_from(sorted({pot.partition for pot in POTS}))
_amounts = st.integers(1, 400)


class LeaseMachine(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = Redis.from_url(self.url)
        self.run(self._flush())
        self.world = World(self.redis)
        self.run(self.world.start(_EDGES))
        self.replica: dict[Any, Any] = {}
        self.run(self._replicate())
        for account in ACCOUNTS:
            self.world.billing.append(Credit(account, 1_000))
        self.run(self._bill_everything())

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(work)

    def edge(self, number: int) -> Edge:
        return self.world.edges[number]

    async def _bill_everything(self) -> None:
        for partition in self.world.billing.stream:
            await self.world.billing.post(partition, 10_000)
            await self.world.billing.touch(partition)

    # ---- money

    @rule(account=st.sampled_from(ACCOUNTS), amount=st.integers(-1_000, 2_000).filter(bool))
    def credit_or_debit(self, account: str, amount: int) -> None:
        self.world.billing.append(Credit(account, amount))

    @rule(
        number=_edges, key=_keys, amount=_amounts, fault=st.sampled_from(["", "", "", "answer_lost", "late", "pause"])
    )
    def hold(self, number: int, key: Key, amount: int, fault: str) -> None:
        """`pause`: the edge stops between a grant and reading its answer."""
        edge = self.edge(number)
        if edge.is_running:
            edge.link.fault = fault
            self.run(self._hold(edge, key, amount))
            edge.link.fault = ""

    async def _hold(self, edge: Edge, key: Key, amount: int) -> None:
        await edge.hold(key, amount)
        await self.world.idle()

    @rule(number=_edges, key=_keys, amount=_amounts)
    def hold_in_peace(self, number: int, key: Key, amount: int) -> None:
        self.hold(number, key, amount, "")

    @rule(data=st.data(), number=_edges, part=st.sampled_from([None, 0, 50, 100, 100, 130]))
    def settle_or_cancel(self, data: st.DataObject, number: int, part: int | None) -> None:
        edge = self.edge(number)
        if edge.is_running and edge.holds:
            hold = data.draw(st.sampled_from(edge.holds))
            edge.end(hold, None if part is None else hold.amount_nanousd * part // 100)

    @rule(number=_edges, count=st.integers(1, 5), is_billed=st.booleans())
    def publish(self, number: int, count: int, is_billed: bool) -> None:
        edge = self.edge(number)
        if edge.is_running:
            for entry in edge.outbox[:count]:
                self.world.billing.append(entry)
            del edge.outbox[:count]
            if is_billed:
                self.bill(None, 10)

    # ---- billing

    @rule(partition=st.none() | _partitions, count=st.integers(1, 8))
    def bill(self, partition: int | None, count: int) -> None:
        """None: everything."""
        if self.world.billing.is_away:
            return
        if partition is None:
            self.run(self._bill_everything())
        else:
            self.run(self.world.billing.post(partition, count))
            self.run(self.world.billing.touch(partition))

    @rule(event=st.sampled_from(["away", "back", "pause", "wake"]), partition=_partitions, count=st.integers(1, 8))
    def an_owner_of_the_ledger_leaves_or_returns(self, event: str, partition: int, count: int) -> None:
        """`pause` and `wake`: a former owner that does not know that it is one."""
        billing = self.world.billing
        if event == "pause":
            billing.pause_a_zombie()
        elif event == "wake":
            self.run(billing.wake_the_zombie(partition, count))
        else:
            billing.is_away = event == "away"

    # ---- edges

    @rule(number=_edges, fault=st.sampled_from(["", "request_lost", "answer_lost", "late"]))
    def renew(self, number: int, fault: str) -> None:
        edge = self.edge(number)
        if edge.is_running:
            edge.link.fault = fault
            self.run(edge.renew())

    @precondition(lambda self: self.world.in_transit)
    @rule(data=st.data())
    def a_late_message_arrives(self, data: st.DataObject) -> None:
        late = self.world.in_transit.pop(data.draw(st.integers(0, len(self.world.in_transit) - 1)))
        self.run(self._deliver(late))

    async def _deliver(self, late: Any) -> None:
        await late()

    @rule(account=st.sampled_from(ACCOUNTS))
    def recall(self, account: str) -> None:
        self.run(self._recall(account))

    async def _recall(self, account: str) -> None:
        self.world.recall(account)
        await self.world.idle()

    @rule(number=_edges, event=st.sampled_from(["cut", "mend", "pause", "resume", "resume", "kill", "drain", "retire"]))
    def something_happens_to_an_edge(self, number: int, event: str) -> None:
        edge = self.edge(number)
        match event:
            case "cut" | "mend":
                edge.link.is_cut = event == "cut"
            case "pause":
                edge.pause()
            case "resume":
                self.run(self._resume(edge))
            case "kill":
                self.run(self.world.kill(edge))
            case "drain" if edge.is_running and not edge.holds and not edge.link.is_cut:
                self.run(self._drain(edge))
            case "retire" if edge.is_running and all(entry.lease == edge.lease for entry in edge.outbox):
                self.run(self.world.retire_earlier_boots(edge))

    async def _resume(self, edge: Edge) -> None:
        await edge.resume()
        await self.world.idle()

    async def _drain(self, edge: Edge) -> None:
        await edge.client.close()
        await self.world.kill(edge)

    # ---- time and Redis

    @rule(seconds=st.sampled_from([10, 10, 20, 60, 90, 160, 320]))
    def time_passes(self, seconds: int) -> None:
        self.run(self.world.pass_time(seconds))

    @rule()
    def replicate(self) -> None:
        self.run(self._replicate())

    async def _replicate(self) -> None:
        self.replica = await self.world.dump()

    @rule(event=st.sampled_from(["fails over", "is emptied"]), is_billing_fast=st.booleans())
    def redis_loses_something(self, event: str, is_billing_fast: bool) -> None:
        """All since `replicate`, or everything. Billing may have caught up before anybody else looks."""
        self.run(self.world.fail_over(self.replica) if event == "fails over" else self._flush())
        if is_billing_fast:
            self.bill(None, 1)
            self.bill(None, 1)

    async def _flush(self) -> None:
        await self.redis.flushall()

    # ---- what always holds

    @invariant()
    def admitted_worst_case_stays_within_the_bound(self) -> None:
        for pot in POTS:
            assert self.world.deficit(pot) <= self.world.bound(pot), pot

    @invariant()
    def redis_holds_what_the_ledger_says(self) -> None:
        self.run(self._check_figures())

    async def _check_figures(self) -> None:
        for pot in POTS:
            figures = await self.world.figures(pot)
            assert all(lease.released <= lease.granted for lease in figures.leases.values()), figures
            mark: Any = await self.redis.get(keyspace.mark_key(pot.partition))
            if mark is None:
                continue  # emptied, not rebuilt yet
            entries = self.world.billing.stream[pot.partition][: int(mark.split(b":")[1])]
            own = [e for e in entries if isinstance(e, Spend) and e.account == pot.account]
            own = [e for e in own if not pot.key_id or e.key_id == pot.key_id]
            posted: dict[str, int] = {}
            for entry in own:
                posted[entry.lease] = posted.get(entry.lease, 0) + entry.cost
            assert {name: lease.posted for name, lease in figures.leases.items() if lease.posted} == {
                name: cost for name, cost in posted.items() if cost
            }
            posted_credits = [e.amount for e in entries if isinstance(e, Credit) and e.account == pot.account]
            spent = sum(posted.values())
            assert figures.main == (spent if pot.key_id else sum(posted_credits) - spent)

    # ---- the end

    def teardown(self) -> None:
        try:
            self.run(self._end())
        finally:
            self.run(self._close())
            self.runner.close()

    async def _close(self) -> None:
        for edge in self.world.edges:
            await edge.stop()
        await self.redis.aclose()

    async def _end(self) -> None:
        world = self.world
        world.billing.is_away = False
        for edge in world.edges:
            edge.link.is_cut = False
            await edge.resume()
            for hold in list(edge.holds):
                edge.end(hold, hold.amount_nanousd // 2)
            for entry in edge.outbox:
                world.billing.append(entry)
            edge.outbox.clear()
        while world.in_transit:
            await world.in_transit.pop()()
        await world.pass_time(30)  # every edge is heard, and Redis vetted
        for _ in range(2):  # a mark found elsewhere, then the posts
            await self._bill_everything()
        for edge in world.edges:
            await world.retire_earlier_boots(edge)
        await world.pass_time(REQUEST_FREE_S + 60)
        await self._check_figures()
        for pot in POTS:
            figures = await world.figures(pot)
            assert figures.reserved == 0, (pot, figures)
        for account in ACCOUNTS:
            await self._check_all_of_it_can_be_held(account)

    async def _check_all_of_it_can_be_held(self, account: str) -> None:
        pot = next(pot for pot in POTS if pot.account == account and not pot.key_id)
        balance = (await self.world.figures(pot)).main
        key = Key(account, "any")
        for edge in self.world.edges:
            if balance > 0:
                self.world.grants._recall_wait_s_max = 1.0
                hold = await edge.client.hold(key, balance)
                assert pots_of(hold) == [pot]
            self.world.grants._recall_wait_s_max = RECALL_WAIT_S
            for other in self.world.edges:
                with pytest.raises(InsufficientCredits):
                    await other.client.hold(key, 1)
            if balance > 0:
                edge.client.cancel(hold)
            self.world.clock.now += 2  # refusals are forgotten
        await self.world.idle()


def _search(url: str, examples: int, steps: int, *, is_random: bool) -> None:
    class Machine(LeaseMachine):
        pass

    Machine.url = url
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=not is_random,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)
def test_no_order_of_events_loses_or_doubles_money(own_redis: RedisServer) -> None:
    _search(own_redis.url, examples=12, steps=25, is_random=False)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_longer_order_of_events_does_either(own_redis: RedisServer) -> None:
    _search(own_redis.url, examples=1_500, steps=50, is_random=True)
