"""Where each partition continues after the boots before this one: after the ledger's last batch, beginning with what
they left in the spool. The leader's word decides; the numbers file only speaks for a subject that was trimmed away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from services.edge.metering.lane import Lane, LaneBatch, LaneState
from services.edge.metering.positions import Positions
from services.edge.metering.settlement import Continue, LastMessage
from services.edge.metering.spool import Spool

_POSITIONS_INTERVAL_S = 30.0


class Continuity:
    """`load` before anything is published; `learnt` once per lane; `store_numbers` now and then, and at the end."""

    def __init__(self, lanes: Sequence[Lane], spool: Spool | None, path: Path) -> None:
        self._lanes = lanes
        self._spool = spool
        self._positions = Positions(path)
        self._floor: dict[int, int] = {}
        self._stored_numbers: dict[int, int] = {}
        self._learning = len(lanes)
        self._earlier = 0  # batches of earlier boots not known to be in the ledger
        self.recovered = asyncio.Event()  # there are none

    @property
    def is_learning(self) -> bool:
        """Some lane's leader has not said yet where to continue."""
        return self._learning > 0

    async def load(self, now: float) -> None:
        """Raises SpoolDamaged, StateDirDamaged, OSError when what earlier boots left cannot be read."""
        self._floor = self._positions.load()
        if self._spool is None:
            return
        for spooled in await self._spool.load():
            lane = self._lanes[spooled.partition]
            batch = LaneBatch(spooled.number, None, now)
            batch.ref = spooled.ref
            batch.is_earlier = True
            lane.batches.append(batch)
            self._earlier += 1

    def learnt(
        self, lane: Lane, last: LastMessage | None, verdict: Continue, forget: Callable[[LaneBatch], None]
    ) -> None:
        """`forget` is told of every batch that is in the ledger already."""
        known = max(self._floor.get(lane.partition, 0), 0 if last is None else last.number)
        lane.number = known
        for _ in range(verdict.in_ledger):
            forget(lane.batches.popleft())
        if last is None:  # trimmed: the numbers file remembers
            while lane.batches and lane.batches[0].number <= known:
                forget(lane.batches.popleft())
        lane.shift(verdict.shift)
        lane.number = max(known, lane.batches[-1].number if lane.batches else 0)
        lane.sequence = 0 if last is None else last.sequence
        self._learning -= 1
        self.check_recovered()

    def forgot(self, batch: LaneBatch) -> None:
        """The batch is in the ledger."""
        if batch.is_earlier:
            self._earlier -= 1

    def check_recovered(self) -> None:
        if self._learning == 0 and self._earlier == 0:
            self.recovered.set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_POSITIONS_INTERVAL_S)
            await self.store_numbers()

    async def store_numbers(self) -> None:
        """Of batches in the ledger only."""
        numbers = {lane.partition: self._acked_number(lane) for lane in self._lanes}
        numbers = {partition: number for partition, number in numbers.items() if number}
        if numbers != self._stored_numbers:
            await asyncio.to_thread(self._positions.store, numbers)
            self._stored_numbers = numbers

    def _acked_number(self, lane: Lane) -> int:
        if lane.state is LaneState.LEARNING:
            return self._floor.get(lane.partition, 0)
        return lane.batches[0].number - 1 if lane.batches else lane.number
