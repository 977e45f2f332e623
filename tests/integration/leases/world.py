"""The world of the lease model: edges with their real lease clients, auth's real leasing, links that lose and delay.

Time is one injected clock; ten seconds pass at a time, in each of which billing touches its marks, edges renew, and
auth looks at Redis and at silent leases. What truly happened (holds, costs, credits) is kept beside what the books say.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import grpc
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from lumen.ledger import keyspace
from protos import auth_pb2
from services.auth.errors import Unavailable
from services.auth.grants import Grants
from services.auth.grpc_api import AuthApi
from services.auth.lease_store import GrantAnswer, GrantOrder, LeaseStore
from services.auth.live_workers import LiveWorkers
from services.auth.metrics import AuthMetrics
from services.auth.reaper import Reaper, free_lease
from services.auth.redis_guard import RedisGuard
from services.billing.balances import AccountFigures, figures_of
from services.edge.metering.lease_book import Hold
from services.edge.metering.lease_client import LeaseClient
from services.edge.metering.lease_errors import LeaseError
from services.edge.metering.metrics import MeteringMetrics
from tests.integration.leases.ledger import Billing, Credit, Spend

STEP_S = 10
IDLE_FREE_S = 150
REQUEST_FREE_S = 300
GUARD_WAIT_S = 12
RECALL_WAIT_S = 0.008  # real time; in the end, when a refusal would be a failure, more
_REFUSED_FOR_S = 0.002
_T = TypeVar("_T")


@dataclass(frozen=True)
class Key:
    """An API key. `spend_limit_nanousd` 0: none."""

    account_id: str
    key_id: str
    spend_limit_nanousd: int = 0


@dataclass(frozen=True)
class Pot:
    """What credit is leased from: an account's balance, or a limited key's."""

    account: str
    key_id: str = ""
    limit: int = 0

    @property
    def partition(self) -> int:
        return keyspace.partition_of(self.account)

    @property
    def redis_key(self) -> str:
        if self.key_id:
            return keyspace.spend_key(self.partition, self.key_id)
        return keyspace.account_key(self.partition, self.account)

    @property
    def main_field(self) -> str:
        return "spent" if self.key_id else "balance"

    def available(self, figures: AccountFigures) -> int:
        return (self.limit - figures.main if self.key_id else figures.main) - figures.reserved


ACCOUNTS = ("acct-1", "acct-2")
LIMITED = Key("acct-1", "limited", 600)
KEYS = (Key("acct-1", "free"), LIMITED, Key("acct-2", "free"))
POTS = (Pot("acct-1"), Pot("acct-1", LIMITED.key_id, LIMITED.spend_limit_nanousd), Pot("acct-2"))


@dataclass
class Clock:
    now: float = 10_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Truth:
    """What one lease really did, per pot."""

    spent: dict[Pot, int] = field(default_factory=lambda: defaultdict(int))
    overrun: dict[Pot, int] = field(default_factory=lambda: defaultdict(int))


def unreachable() -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, metadata, "the link is down", "")


class Link:
    """An edge's stub of auth. `fault` befalls the next call: request_lost, answer_lost, late (it arrives when the edge
    has given up), pause (the edge stops before it reads the answer)."""

    def __init__(self, world: World, edge: Edge) -> None:
        self._world = world
        self._edge = edge
        self.fault = ""
        self.is_cut = False
        self.unread: dict[Pot, int] = {}  # granted totals in answers that the edge has not read

    async def Grant(self, request: auth_pb2.GrantRequest, **_: Any) -> auth_pb2.GrantResponse:
        async def grant() -> auth_pb2.GrantResponse:
            response = await self._world.api.Grant(request, cast(Any, None))
            self.unread = {
                Pot(request.account.account_id): response.account_granted_nanousd,
                POTS[1]: response.key_granted_nanousd,
            }
            return response

        try:
            return await self._call(grant)
        finally:
            self.unread = {}

    async def Renew(self, request: auth_pb2.RenewRequest, **_: Any) -> auth_pb2.RenewResponse:
        async def renew() -> auth_pb2.RenewResponse:
            return await self._world.api.Renew(request, cast(Any, None))

        return await self._call(renew)

    async def _call(self, call: Callable[[], Awaitable[_T]]) -> _T:
        fault, self.fault = self.fault, ""
        if self.is_cut or fault in ("request_lost", "late"):
            self._edge.is_excused = True
            if fault == "late":
                self._world.in_transit.append(call)
            raise unreachable()
        try:
            response = await call()
        except Unavailable as error:
            raise unreachable() from error
        if fault == "answer_lost":
            self._edge.is_excused = True
            raise unreachable()
        if fault == "pause":
            self._edge.pause()
        await self._edge.awake.wait()
        return response


class Edge:
    """One boot of one worker."""

    def __init__(self, world: World, number: int, boot: int) -> None:
        self._world = world
        self.number = number
        self.boot = boot
        self.lease = keyspace.lease_id(f"w{number}", boot)
        self.link = Link(world, self)
        self.client = LeaseClient(
            cast(Any, self.link),
            self.lease,
            MeteringMetrics(CollectorRegistry()),
            unavailable_s=_REFUSED_FOR_S,
            now=world.clock,
        )
        self.holds: list[Hold] = []
        self.outbox: list[Spend] = []  # and what earlier boots spooled
        self.awake = asyncio.Event()
        self.awake.set()
        self.asleep = asyncio.Event()
        self.is_gone = False
        self.is_excused = False  # has not been heard since a fault of its own: Redis may know less than it
        self.was_declared_dead = False  # what it had in use then stays unreserved
        self.waiting: asyncio.Task[Hold | None] | None = None  # a hold that was under way when it was paused

    @property
    def is_running(self) -> bool:
        return self.awake.is_set() and not self.is_gone

    def pause(self) -> None:
        self.awake.clear()
        self.asleep.set()
        self.is_excused = True

    async def hold(self, key: Key, amount: int) -> None:
        """Ends early when the link's fault pauses the edge half way."""
        self.waiting = asyncio.create_task(self._try_to_hold(key, amount))
        paused = asyncio.create_task(self.asleep.wait())
        await asyncio.wait([self.waiting, paused], return_when=asyncio.FIRST_COMPLETED)
        paused.cancel()
        if self.waiting.done():
            await self._take_hold()

    async def _take_hold(self) -> None:
        assert self.waiting is not None
        hold = await self.waiting
        self.waiting = None
        if hold is not None:
            self.holds.append(hold)

    async def _try_to_hold(self, key: Key, amount: int) -> Hold | None:
        try:
            return await self.client.hold(key, amount)
        except LeaseError:
            return None

    async def resume(self) -> None:
        self.asleep.clear()
        self.awake.set()
        if self.waiting is not None:
            await self._take_hold()

    def end(self, hold: Hold, cost: int | None) -> None:
        """`cost` None: cancelled."""
        self.holds.remove(hold)
        if cost is None:
            self.client.cancel(hold)
            return
        self.outbox.append(Spend(hold.account_id, hold.key_id, self.lease, cost))
        self.client.settle(hold, cost)
        truth = self._world.truth[self.lease]
        for pot in pots_of(hold):
            truth.spent[pot] += cost
            truth.overrun[pot] += max(0, cost - hold.amount_nanousd)

    def held(self, pot: Pot) -> int:
        return sum(hold.amount_nanousd for hold in self.holds if pot in pots_of(hold))

    async def renew(self) -> None:
        if await self.client._renewals.renew_all():
            self.is_excused = False

    async def idle(self) -> None:
        """Until its background tasks are done."""
        while self.is_running and (tasks := [task for task in self.client._tasks if not task.done()]):
            await asyncio.wait(tasks)

    async def stop(self) -> None:
        self.is_gone = True
        tasks = [*self.client._tasks, *([self.waiting] if self.waiting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def pots_of(hold: Hold) -> list[Pot]:
    return [pot for pot in POTS if pot.account == hold.account_id and pot.key_id in ("", hold.key_id)]


class _ObservedStore(LeaseStore):
    """Tells when something has been granted."""

    def __init__(self, redis: Redis, on_granted: Callable[[], Awaitable[None]]) -> None:
        super().__init__(redis)
        self._on_granted = on_granted

    async def grant(self, order: GrantOrder, *, run_id: str, workers: int) -> GrantAnswer:
        answer = await super().grant(order, run_id=run_id, workers=workers)
        if answer.outcome == auth_pb2.GRANTED:
            await self._on_granted()
        return answer


class World:
    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.clock = Clock()
        self.truth: dict[str, Truth] = defaultdict(Truth)
        self.edges: list[Edge] = []
        self.in_transit: list[Callable[[], Awaitable[Any]]] = []
        self.retirements: list[tuple[int, str, str, int]] = []  # partition, lease, beat, sequence
        self.excess: dict[Pot, int] = dict.fromkeys(POTS, 0)
        self.billing = Billing(redis, sorted({pot.partition for pot in POTS}), self._note_excess)
        self._metrics = AuthMetrics(CollectorRegistry())
        self.store = _ObservedStore(redis, self._granted)
        self._live = LiveWorkers(seen_for_s=3 * STEP_S, clock=self.clock)
        self.guard = RedisGuard(
            redis, self._metrics, wait_s=GUARD_WAIT_S, check_interval_s=1, is_every_lease_vouched=_no, clock=self.clock
        )
        self.grants = Grants(
            cast(Any, SimpleNamespace(is_connected=False)),  # recalls go to this replica's edges
            self.store, self.guard, self._live, cast(Any, self), self._metrics, recall_wait_s_max=RECALL_WAIT_S,
        )  # fmt: skip
        nothing: Any = None
        self.api = AuthApi(nothing, nothing, self.grants, nothing, nothing, nothing, nothing, heartbeat_s=1)
        self._reaper = Reaper(
            self.store, self._live, self._metrics,
            scan_interval_s=STEP_S, idle_free_s=IDLE_FREE_S, request_free_s=REQUEST_FREE_S, clock=self.clock,
        )  # fmt: skip

    async def start(self, edges: int) -> None:
        await self.guard.check()
        await self.billing.start()
        for number in range(edges):
            self.edges.append(Edge(self, number, 1))

    def recall(self, account: str) -> None:
        """As the watch hub: to every edge that is connected."""
        for edge in self.edges:
            if edge.is_running and not edge.link.is_cut:
                edge.client.on_recall(account)

    async def idle(self) -> None:
        for edge in self.edges:
            await edge.idle()

    # ---- time

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds // STEP_S):
            self.clock.now += STEP_S
            for partition in self.billing.stream:
                await self.billing.touch(partition)
            for edge in self.edges:
                if edge.is_running:
                    await edge.renew()
            await self.guard.check()
            await self._reaper.scan()
            await self._note_declared_dead()
            await self._free_retired()
            await self.idle()

    async def _note_declared_dead(self) -> None:
        for pot in POTS:
            figures = await self.figures(pot)
            for edge in self.edges:
                account = edge.client.books.account(pot.account)
                book = edge.client.books.key(pot.account, pot.key_id) if pot.key_id else account
                stored = figures.leases.get(edge.lease)
                if stored is not None and stored.released > book.released:
                    edge.was_declared_dead = True

    # ---- deaths

    async def kill(self, edge: Edge) -> Edge:
        """Its holds are gone with it; its spool and its number are the next boot's."""
        await edge.stop()
        following = Edge(self, edge.number, edge.boot + 1)
        following.outbox = edge.outbox
        self.edges[self.edges.index(edge)] = following
        return following

    async def retire_earlier_boots(self, edge: Edge) -> None:
        """As services.auth.retirements, when all that the earlier boots spooled is in the ledger."""
        for (partition, lease), beat in (await self.store.beats()).items():
            owner, _, boot = lease.rpartition(".")
            if owner == f"w{edge.number}" and int(boot) < edge.boot:
                self.retirements.append((partition, lease, beat, len(self.billing.stream[partition])))

    async def _free_retired(self) -> None:
        for entry in list(self.retirements):
            partition, lease, beat, sequence = entry
            posted = await self.store.posted_sequences([partition])
            if posted[partition] >= sequence:
                await free_lease(self.store, self._metrics, partition, lease, beat, reason="retired")
                self.retirements.remove(entry)

    # ---- Redis

    async def dump(self) -> dict[Any, Any]:
        keys: list[Any] = await self.redis.keys("*")
        async with self.redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.dump(key)
            return dict(zip(keys, await pipeline.execute(), strict=True))

    async def fail_over(self, replica: dict[Any, Any]) -> None:
        """Another process answers, with what the replica had. No process here has two run_ids, so auth is made to
        believe that the one it vetted was another."""
        async with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.flushdb()
            for key, value in replica.items():
                pipeline.restore(key, 0, value)
            await pipeline.execute()
        self.guard._run_id = self.guard.vetted_run_id = "an earlier process"

    async def figures(self, pot: Pot) -> AccountFigures:
        hash_: Any = await self.redis.hgetall(pot.redis_key)
        return figures_of(hash_, pot.main_field)

    # ---- the overspend bound (DESIGN.md section 5)

    def committed(self, lease: str, pot: Pot) -> int:
        """Nano-USD that this lease has spent or may yet spend on requests admitted."""
        return self.truth[lease].spent[pot] + sum(edge.held(pot) for edge in self.edges if edge.lease == lease)

    def leases(self) -> set[str]:
        return {*self.truth, *(edge.lease for edge in self.edges)}

    def deficit(self, pot: Pot) -> int:
        """By how much the worst case of everything admitted exceeds the money there is (below zero: room)."""
        funds = pot.limit
        if not pot.key_id:
            posted = self.billing.stream[pot.partition][: self.billing.posted[pot.partition]]
            funds = sum(e.amount for e in posted if isinstance(e, Credit) and e.account == pot.account)
        return sum(self.committed(lease, pot) for lease in self.leases()) - funds

    def bound(self, pot: Pot) -> int:
        """Costs beyond their holds + what was unreserved at some grant + money taken away under leases."""
        return sum(truth.overrun[pot] for truth in self.truth.values()) + self.excess[pot]

    async def _granted(self) -> None:
        await self._note_excess(is_grant=True)

    async def _note_excess(self, *, is_grant: bool = False) -> None:
        """At a grant (or a debit): the reservations of workers declared dead that were alive, and grants Redis lost."""
        for pot in POTS:
            figures = await self.figures(pot)
            unreserved = 0
            for lease in self.leases():
                missing = self._unreserved(lease, pot, figures)
                edge = next((edge for edge in self.edges if edge.lease == lease), None)
                if is_grant and edge is not None and not (edge.is_excused or edge.was_declared_dead):
                    assert missing == 0, f"granted while Redis lacks {missing} that {lease} holds"
                unreserved += missing
            self.excess[pot] = max(self.excess[pot], unreserved + max(0, -pot.available(figures)))

    def _unreserved(self, lease: str, pot: Pot, figures: AccountFigures) -> int:
        """What this lease has committed, or believes it may commit, beyond what Redis keeps for it."""
        stored = figures.leases.get(lease)
        granted, released, posted = (stored.granted, stored.released, stored.posted) if stored else (0, 0, 0)
        claim = self.committed(lease, pot) - self.truth[lease].overrun[pot]
        edge = next((edge for edge in self.edges if edge.lease == lease), None)
        if edge is not None:
            account = edge.client.books.account(pot.account)
            book = edge.client.books.key(pot.account, pot.key_id) if pot.key_id else account
            own = max(book.granted, edge.link.unread.get(pot, 0))
            if edge.client.problem() is None:
                claim = max(claim, own - book.released)
            else:  # it asks before it admits anything, and learns what was released
                claim = max(claim, max(own, granted) - max(book.released, released))
        return max(0, claim - max(posted, granted - released))  # what is posted has left the balance


async def _no() -> bool:
    return False
