"""Sends a lane's first batch, from memory or from the spool, whose copy may have been given another number since."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from lumen.ledger.entries import decode_batch_head
from services.edge.metering.lane import Lane, LaneBatch, LaneState, renumbered
from services.edge.metering.ledger_wire import AWAY, LedgerWire
from services.edge.metering.spool import Spool

logger = logging.getLogger(__name__)


class BatchPublisher:
    """`on_failed`: the batch, still its lane's first, could not be sent."""

    def __init__(self, wire: LedgerWire, spool: Spool | None, *, on_failed: Callable[[Lane], None]) -> None:
        self._wire = wire
        self._spool = spool
        self._on_failed = on_failed

    async def publish_spooled(self, lane: Lane, batch: LaneBatch) -> None:
        """The same after reading it back, unless it was settled meanwhile. Raises what Spool.read does."""
        assert self._spool is not None
        assert batch.ref is not None
        lane.published_at, lane.published_epoch = time.monotonic(), self._wire.epoch
        payload = await self._spool.read(batch.ref)
        if decode_batch_head(payload).number != batch.number:
            payload = renumbered(payload, batch.number)
        batch.payload = payload
        if lane.state is LaneState.IN_FLIGHT and lane.batches and lane.batches[0] is batch:
            await self.publish(lane, batch, payload)

    async def publish(self, lane: Lane, batch: LaneBatch, payload: bytes) -> None:
        lane.attempt += 1
        now = time.monotonic()
        lane.published_at, lane.published_epoch = now, self._wire.epoch
        batch.first_published_at = batch.first_published_at or now
        try:
            await self._wire.publish(
                lane.partition,
                lane.subject,
                payload,
                number=batch.number,
                attempt=lane.attempt,
                sequence=lane.sequence,
            )
        except AWAY as error:
            logger.debug("not published", extra={"subject": lane.subject, "error": repr(error)})
            if lane.batches and lane.batches[0] is batch:
                self._on_failed(lane)
