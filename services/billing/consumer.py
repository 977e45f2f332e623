"""Follows the ledger from the sinks' marks: read a group, rate it, tell both sinks, for ever.

Two tasks share a short queue, so that decoding and rating the next group overlap with writing this one:

    build:  reader -> messages (bounded, lingering) -> rates -> Group -> queue
    apply:  queue -> verify the ledger -> Applier -> position; when idle: probe the tail, set `live`

Whatever surprises either (a moved mark, a ledger that is not the one we knew, a lost broker) ends both; following then
begins anew from the marks, which decide everything.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from redis.exceptions import RedisError

from lumen.ledger.keyspace import CREDIT_PRODUCER_PREFIX
from lumen.platform.clickhouse import ClickHouseError
from lumen.platform.lifecycle import cancel_until_done
from lumen.platform.ordered_reader import StreamMessage
from services.billing.applier import Applier
from services.billing.groups import Group, GroupBuilder, ReadMessage, SinkMarks, read_message, revisions_of, runs_of
from services.billing.health import Health
from services.billing.metrics import BillingMetrics
from services.billing.rating import RateBook, Rates, RevisionMissing
from services.billing.recovery import Recovery, StartPlan, Stop
from services.billing.redis_sink import MarkConflict
from services.billing.tail import LedgerChanged, Tail

logger = logging.getLogger(__name__)

_STORES_AWAY = (ClickHouseError, RedisError, NatsError, JetStreamError, OSError, TimeoutError)
_BACKOFF_S_MIN = 0.05
_BACKOFF_S_MAX = 5.0
_GROUPS_AHEAD_MAX = 2
_MESSAGES_PER_SLICE = 32  # decoded between two looks at the event loop
_IDLE_S = 0.5


class Reader(Protocol):
    """lumen.platform.ordered_reader.OrderedReader, as far as it is used here."""

    recreated: int

    @property
    def is_caught_up(self) -> bool: ...

    def age_s(self) -> float: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def read(self, messages_max: int, timeout_s: float | None) -> list[StreamMessage]: ...


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How much is told to the sinks at once. `linger_s`: how long a first message waits for company; small inserts are
    what a ClickHouse suffers from. A credit ends the wait."""

    messages_max: int = 8192
    bytes_max: int = 4 * 1024 * 1024
    linger_s: float = 0.5


@dataclass(slots=True)
class _Flow:
    """What has been read and not yet posted."""

    groups_in_flight: int = 0
    last_pending: int = 0

    def is_drained(self, reader: Reader, since: float) -> bool:
        """Everything the broker had at `since` (monotonic) has been posted: it has been heard from after that, though
        not just now (a message may be between the reader and us), and nothing is left anywhere."""
        if self.groups_in_flight or self.last_pending or not reader.is_caught_up:
            return False
        return 0.05 < reader.age_s() < time.monotonic() - since


class Consumer:
    """`await run()` in a supervised task. `partitions`: the set this process owns."""

    def __init__(
        self,
        partitions: Sequence[int],
        *,
        recovery: Recovery,
        open_reader: Callable[[int], Reader],
        rate_book: RateBook,
        applier: Applier,
        tail: Tail,
        on_planned: Callable[[StartPlan], Awaitable[None]],
        health: Health,
        metrics: BillingMetrics,
        limits: GroupLimits,
    ) -> None:
        self._partitions = list(partitions)
        self._recovery = recovery
        self._open_reader = open_reader
        self._rate_book = rate_book
        self._applier = applier
        self._tail = tail
        self._on_planned = on_planned
        self._health = health
        self._metrics = metrics
        self._limits = limits

    async def run(self) -> None:
        backoff_s = _BACKOFF_S_MIN
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except LedgerChanged as error:
                self._restarting("ledger_changed", error)
            except MarkConflict as error:
                self._restarting("mark_moved", error)
            except _STORES_AWAY as error:
                self._restarting("store_away", error)
                self._health.set("consumer", str(error)[:500] or repr(error))
            if time.monotonic() - started > 10:
                backoff_s = _BACKOFF_S_MIN
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)

    def _restarting(self, cause: str, error: Exception) -> None:
        logger.warning("following begins anew", extra={"cause": cause, "error": str(error)[:500] or repr(error)})
        self._metrics.restarts.labels(cause).inc()

    async def _follow(self) -> None:
        plan = await self._recovery.plan(self._partitions)
        await self._on_planned(plan)
        self._report(plan)
        reader = self._open_reader(plan.start_sequence)
        await reader.start()
        queue: asyncio.Queue[Group] = asyncio.Queue(_GROUPS_AHEAD_MAX)
        flow = _Flow()
        self._tail.begin(plan, lambda: reader.recreated, lambda since: flow.is_drained(reader, since))
        tasks = [
            asyncio.create_task(self._build(reader, plan.followed, queue, flow), name="billing-build"),
            asyncio.create_task(self._apply(queue, flow), name="billing-apply"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            try:
                await cancel_until_done(tasks)
            finally:
                await reader.stop()
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _report(self, plan: StartPlan) -> None:
        self._health.set("consumer", None)
        stopped = {partition: stop.value for partition, stop in plan.stopped.items()}
        self._health.set("ledger", f"partitions stopped: {stopped}" if stopped else None)
        for stop in Stop:
            self._metrics.stopped_partitions.labels(stop.value).set(sum(s is stop for s in plan.stopped.values()))
        self._metrics.rebuilt_partitions.inc(plan.rebuilt)
        logger.info(
            "following the ledger",
            extra={
                "from_sequence": plan.start_sequence,
                "partitions": len(plan.followed.redis),
                "rebuilt": plan.rebuilt,
            },
        )

    async def _build(self, reader: Reader, followed: SinkMarks, queue: asyncio.Queue[Group], flow: _Flow) -> None:
        while True:
            messages = await self._collect(reader, flow)
            needed: list[ReadMessage] = []
            for start in range(0, len(messages), _MESSAGES_PER_SLICE):
                for message in messages[start : start + _MESSAGES_PER_SLICE]:
                    if (read := read_message(message, followed)) is not None:
                        needed.append(read)
                await asyncio.sleep(0)
            rates = await self._rates_for(revisions_of(needed))
            runs = list(runs_of(needed))
            flow.groups_in_flight += len(runs) - 1  # the first was counted when it was collected
            for run in runs:
                builder = GroupBuilder(followed, rates)
                for start in range(0, len(run), _MESSAGES_PER_SLICE):
                    for read in run[start : start + _MESSAGES_PER_SLICE]:
                        builder.add(read)
                    await asyncio.sleep(0)
                group = builder.finish()
                if run is runs[-1]:
                    group.last_sequence = messages[-1].sequence
                await queue.put(group)

    async def _collect(self, reader: Reader, flow: _Flow) -> list[StreamMessage]:
        """At least one message; more while they come at once or within the linger, up to the limits."""
        limits = self._limits
        messages = await reader.read(_MESSAGES_PER_SLICE, None)
        flow.groups_in_flight += 1
        is_awaited = any(map(_is_awaited, messages))
        deadline = time.monotonic() + limits.linger_s
        body_bytes = sum(len(message.data) for message in messages)
        while len(messages) < limits.messages_max and body_bytes < limits.bytes_max:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0 or is_awaited:
                break
            more = await reader.read(_MESSAGES_PER_SLICE, remaining_s)
            messages += more
            is_awaited = any(map(_is_awaited, more))
            body_bytes += sum(len(message.data) for message in more)
        flow.last_pending = messages[-1].pending
        return messages

    async def _rates_for(self, revisions: set[int]) -> dict[int, Rates]:
        """Waits for unknown revisions as long as it takes: they are never a reason to drop an entry."""
        while True:
            try:
                rates = await self._rate_book.rates_for(revisions)
            except RevisionMissing as error:
                self._health.set("catalog", str(error))
                self._metrics.missing_revisions.set(len(error.revisions))
                continue
            self._health.set("catalog", None)
            self._metrics.missing_revisions.set(0)
            return rates

    async def _apply(self, queue: asyncio.Queue[Group], flow: _Flow) -> None:
        tail = self._tail
        while True:
            group: Group | None
            try:
                async with asyncio.timeout(min(_IDLE_S, tail.interval_s)):
                    group = await queue.get()
            except TimeoutError:
                group = None
            await tail.verify_ledger()
            if group is not None:
                await self._applier.apply(group)
                tail.advance(group)
                flow.groups_in_flight -= 1
            await tail.keep_live()


def _is_awaited(message: StreamMessage) -> bool:
    """A credit: whoever posted it waits for the balance, and so may clients that were refused. Usage can wait."""
    return CREDIT_PRODUCER_PREFIX in message.subject
