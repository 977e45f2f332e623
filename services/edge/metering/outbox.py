"""Usage entries on their way to the ledger: each recorded exactly once, and known to be safe before anyone is told.

`submit` is synchronous and its entry belongs to the worker from then on; the future resolves when the entry is acked by
JetStream or fsynced in the spool. Per partition a `Lane` has one batch in flight; what arrives meanwhile is the next
(group commit). Every publish expects our previous batch to be the subject's last message, so whatever is sent twice is
stored once. An unclear ack (silence, reconnect, "wrong last sequence") is settled by asking the leader (settler.py).
No ack in time, or nobody to publish to: the same batches, unchanged and in the same order, are made safe by the spool
and published from there when NATS is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from lumen.ledger import keyspace
from lumen.ledger.entries import UsageEntry
from lumen.platform.nats import WRONG_LAST_SEQUENCE
from services.edge.metering.batch_publisher import BatchPublisher
from services.edge.metering.continuity import Continuity
from services.edge.metering.lane import Lane, LaneBatch, LaneState
from services.edge.metering.lane_timer import LaneTimer
from services.edge.metering.ledger_client import LedgerClient
from services.edge.metering.ledger_wire import Ack, LedgerWire
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.settlement import Continue, LastMessage
from services.edge.metering.settler import Settler
from services.edge.metering.spool import Spool
from services.edge.metering.spool_keeper import SpoolKeeper, must_spool

logger = logging.getLogger(__name__)

_REFUSED_BACKOFF_S = 0.1
_REFUSED_BACKOFF_S_MAX = 2.0

_encode = msgspec.msgpack.Encoder().encode


class Outbox:
    """`await run()` in a supervised task; `close()` before that task ends."""

    def __init__(
        self,
        nc: LedgerClient,
        worker_id: str,
        state_dir: Path,
        metrics: MeteringMetrics,
        *,
        has_spool: bool = True,
        spool_bytes_max: int = 1024**3,
        ack_timeout_s: float = 2.0,
        spool_after_s: float = 0.3,
    ) -> None:
        self._metrics = metrics
        self._spool_after_s = spool_after_s
        self._lanes = [Lane(partition, worker_id) for partition in range(keyspace.PARTITIONS)]
        self._wire = LedgerWire(nc, self._on_ack)
        self._spool = Spool(state_dir / "spool", metrics, bytes_max=spool_bytes_max) if has_spool else None
        self._publisher = BatchPublisher(self._wire, self._spool, on_failed=self._not_published)
        self._keeper: SpoolKeeper | None = None
        if self._spool is not None:
            self._keeper = SpoolKeeper(
                self._spool, self._lanes, metrics, is_due=self._is_due, now=time.monotonic, on_safe=self._now_safe
            )
        self._settler = Settler(
            self._wire, self._spool, on_settled=self._on_settled, on_contradiction=self._on_contradiction
        )
        self._continuity = Continuity(self._lanes, self._spool, state_dir / "batch_numbers.json")
        self._timer = LaneTimer(
            self._lanes,
            self._wire,
            metrics,
            ack_timeout_s=ack_timeout_s,
            on_lost=self._ask,
            on_ready=self._queue,
            on_waiting=self._spool_when_due,
            on_tick=self._count,
        )
        self.recovered = self._continuity.recovered  # nothing of earlier boots is left to publish
        self._ready: deque[Lane] = deque()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped: str | None = None
        self._unsafe = 0
        self._all_safe = asyncio.Event()
        self._all_safe.set()
        self._submitted = 0

    # ---- what the relay uses

    def submit(self, entry: UsageEntry) -> asyncio.Future[None]:
        """The future resolves when the entry is safe. Raises only for an entry that cannot be encoded."""
        payload = _encode(entry)
        lane = self._lanes[keyspace.partition_of(entry.account)]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.add(payload, future, time.monotonic())
        if not self._unsafe:
            self._all_safe.clear()
        self._unsafe += 1
        self._submitted += 1
        if lane.state is LaneState.IDLE and not lane.is_queued:
            self._queue(lane)
        return future

    def problem(self) -> str | None:
        """Why no further request may be admitted, or None."""
        if self._stopped is not None:
            return self._stopped
        if self._continuity.is_learning:
            return "the ledger has not said yet where to continue"
        if self._spool is not None:
            return self._spool.problem()
        if not self._wire.is_connected or self._timer.is_late:
            return "the ledger is away and there is no spool"
        return None

    async def run(self) -> None:
        """Raises SpoolDamaged, StateDirDamaged, OSError when what earlier boots left cannot be read."""
        try:
            await self._continuity.load(time.monotonic())
            await self._wire.start()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish_ready())
                group.create_task(self._timer.run())
                group.create_task(self._continuity.run())
                if self._keeper is not None:
                    group.create_task(self._keeper.run())
                for lane in self._lanes:
                    self._ask(lane)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._spool is not None:
                self._spool.close()

    async def close(self, timeout_s: float = 30.0) -> None:
        """Wait until every entry is in the ledger or spooled; logs what is not after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_safe.wait()
        except TimeoutError:
            logger.critical("usage entries lost: neither the ledger nor the spool took them", extra={"n": self._unsafe})
        await self._continuity.store_numbers()

    # ---- publishing

    def _queue(self, lane: Lane) -> None:
        lane.is_queued = True
        self._ready.append(lane)
        self._wake.set()

    async def _publish_ready(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                lane = self._ready.popleft()
                lane.is_queued = False
                if lane.state is LaneState.IDLE:
                    await self._publish_next(lane)

    async def _publish_next(self, lane: Lane) -> None:
        batch = lane.batches[0] if lane.batches else lane.form(time.monotonic())
        if batch is None:
            return
        if not self._wire.is_connected:
            lane.state = LaneState.STALLED
            self._wake_keeper()
            return
        lane.state = LaneState.IN_FLIGHT
        if batch.payload is None:
            self._spawn(self._publisher.publish_spooled(lane, batch))
        else:
            await self._publisher.publish(lane, batch, batch.payload)

    def _not_published(self, lane: Lane) -> None:
        if lane.state is LaneState.IN_FLIGHT:
            self._stall(lane)

    def _stall(self, lane: Lane) -> None:
        lane.state = LaneState.STALLED
        lane.refusals += 1
        backoff_s = min(_REFUSED_BACKOFF_S * 2 ** min(lane.refusals - 1, 10), _REFUSED_BACKOFF_S_MAX)
        lane.resume_at = time.monotonic() + backoff_s * random.uniform(0.5, 1.0)  # jitter
        self._wake_keeper()

    # ---- acks

    def _on_ack(self, ack: Ack) -> None:
        lane = self._lanes[ack.partition]
        is_waiting = lane.state in (LaneState.IN_FLIGHT, LaneState.ASKING)
        if not is_waiting or not lane.batches or lane.batches[0].number != ack.number:
            return  # of a batch settled meanwhile
        if ack.error_code == 0:
            self._acked(lane, ack.sequence)
        elif ack.attempt != lane.attempt or lane.state is LaneState.ASKING:
            return  # an earlier copy was refused; this one's ack decides
        elif ack.error_code == WRONG_LAST_SEQUENCE:
            self._ask(lane)
        else:
            self._metrics.refused_batches.labels(str(ack.error_code)).inc()
            self._stall(lane)

    def _acked(self, lane: Lane, sequence: int) -> None:
        batch = lane.batches.popleft()
        lane.sequence = sequence
        lane.has_acked = True
        lane.state = LaneState.IDLE
        lane.refusals = 0
        self._metrics.batches_acked.inc()
        self._metrics.entries_acked.inc(batch.entries)
        if batch.first_published_at:
            self._metrics.ack_duration.observe(time.monotonic() - batch.first_published_at)
        self._now_safe(batch.resolve())
        self._forget(batch)
        self._continuity.check_recovered()
        if lane.has_work and not lane.is_queued:
            self._queue(lane)

    def _forget(self, batch: LaneBatch) -> None:
        batch.is_done = True
        self._continuity.forgot(batch)
        if batch.ref is not None and self._spool is not None:
            self._spool.release(batch.ref)

    def _now_safe(self, entries: int) -> None:
        self._unsafe -= entries
        if not self._unsafe:
            self._all_safe.set()

    # ---- unclear acks

    def _ask(self, lane: Lane) -> None:
        if lane.state is not LaneState.LEARNING:
            lane.state = LaneState.ASKING
        self._spawn(self._settler.ask(lane))

    def _on_settled(self, lane: Lane, last: LastMessage | None, verdict: Continue) -> None:
        if lane.state is LaneState.LEARNING:
            self._continuity.learnt(lane, last, verdict, self._forget)
        elif verdict.in_ledger:
            assert last is not None
            self._metrics.unclear_acks.labels("in_ledger").inc()
            self._acked(lane, last.sequence)
            return
        else:
            settled = "restarted_at_0" if last is None else "late_batch" if verdict.shift else "published_again"
            self._metrics.unclear_acks.labels(settled).inc()
            lane.shift(verdict.shift)
            lane.sequence = 0 if last is None else last.sequence
        lane.state = LaneState.IDLE
        if lane.has_work and not lane.is_queued:
            self._queue(lane)

    def _on_contradiction(self, lane: Lane, detail: str) -> None:
        """Somebody else publishes under our id, or the stream has lost messages: stop rather than guess."""
        lane.state = LaneState.STOPPED
        self._stopped = f"the ledger contradicts this worker on {lane.subject}: {detail}"
        self._metrics.stopped_partitions.inc()
        self._metrics.unclear_acks.labels("contradiction").inc()
        logger.critical("partition stopped", extra={"subject": lane.subject, "detail": detail})
        self._wake_keeper()

    # ---- time

    def _is_due(self, lane: Lane) -> bool:
        return must_spool(
            lane, time.monotonic(), is_connected=self._wire.is_connected, spool_after_s=self._spool_after_s
        )

    def _wake_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.wake()

    def _spool_when_due(self, lane: Lane) -> None:
        if self._is_due(lane):
            self._wake_keeper()

    def _count(self) -> None:
        self._metrics.outbox_entries.set(self._unsafe)
        submitted, self._submitted = self._submitted, 0
        self._metrics.entries_submitted.inc(submitted)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stopped = f"the outbox failed: {error!r}"
            logger.critical("outbox task failed", exc_info=error)
