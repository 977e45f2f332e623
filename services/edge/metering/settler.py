"""Asks the leader where a lane stands: at start, and whenever an ack is unclear."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

import msgspec

from services.edge.metering.lane import Lane, LaneBatch, LaneState
from services.edge.metering.ledger_wire import AWAY, LedgerWire
from services.edge.metering.settlement import (
    Continue,
    Contradiction,
    LastMessage,
    are_same_entries,
    candidates,
    settle,
)
from services.edge.metering.spool import Spool

logger = logging.getLogger(__name__)

_BACKOFF_S_MAX = 1.0
_ASKS_AT_ONCE_MAX = 64
_CONTRADICTIONS_MAX = 3  # a deposed leader may answer with an old state for a moment
_CONTRADICTION_PAUSE_S = 0.5

Settled = Callable[[Lane, LastMessage | None, Continue], None]


class Settler:
    """`ask` once per lane at a time. `on_settled` gets the verdict, `on_contradiction` a lane that must stop."""

    def __init__(
        self,
        wire: LedgerWire,
        spool: Spool | None,
        *,
        on_settled: Settled,
        on_contradiction: Callable[[Lane, str], None],
    ) -> None:
        self._wire = wire
        self._spool = spool
        self._on_settled = on_settled
        self._on_contradiction = on_contradiction
        self._asks = asyncio.Semaphore(_ASKS_AT_ONCE_MAX)

    async def ask(self, lane: Lane) -> None:
        """Until there is an answer, or a late ack has made the question moot."""
        is_start = lane.state is LaneState.LEARNING
        head = lane.batches[0] if lane.batches else None
        contradictions = 0
        backoff_s = 0.02
        while True:
            detail = ""
            try:
                if self._wire.is_connected:
                    async with self._asks:
                        last = await self._wire.last_of(lane.subject)
                    verdict = await self._verdict(lane, last, is_start=is_start)
                    if not _is_open(lane, head, is_start=is_start):
                        return
                    if isinstance(verdict, Continue):
                        self._on_settled(lane, last, verdict)
                        return
                    detail = verdict.detail
            except AWAY as error:
                logger.debug("the leader did not answer", extra={"subject": lane.subject, "error": repr(error)})
            except msgspec.DecodeError:
                detail = "the subject's last message is not a batch"
            if detail:
                contradictions += 1
                if contradictions >= _CONTRADICTIONS_MAX:
                    self._on_contradiction(lane, detail)
                    return
                backoff_s = _CONTRADICTION_PAUSE_S
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # jitter
            backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)
            if not _is_open(lane, head, is_start=is_start):
                return

    async def _verdict(self, lane: Lane, last: LastMessage | None, *, is_start: bool) -> Continue | Contradiction:
        batches = list(lane.batches) if is_start else list(lane.batches)[:1]
        match = None if last is None else await self._match(batches, last)
        return settle(batches, last, match, is_start=is_start, may_be_late=not lane.has_acked)

    async def _match(self, batches: Sequence[LaneBatch], last: LastMessage) -> int | None:
        for index in candidates(batches, last):
            batch = batches[index]
            payload = batch.payload
            if payload is None:
                assert self._spool is not None
                assert batch.ref is not None
                payload = await self._spool.read(batch.ref)
            if are_same_entries(payload, last.payload):
                return index
        return None


def _is_open(lane: Lane, head: LaneBatch | None, *, is_start: bool) -> bool:
    """The question asked is still the lane's."""
    if is_start:
        return lane.state is LaneState.LEARNING
    return lane.state is LaneState.ASKING and bool(lane.batches) and lane.batches[0] is head
