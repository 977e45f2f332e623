"""Batches kept safe on the local disk while NATS is away.

The spool only continues the outbox: records are numbered batches exactly as they are (to be) published, in order per
partition. A batch is released once it is in the ledger; a segment is deleted once all its batches are. All disk
work runs in one thread of its own, so it is ordered and never blocks the event loop; one fsync covers many batches.

`problem()` speaks (503 for new requests) while there is still room for what requests in flight will record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import msgspec

from lumen.ledger.entries import decode_batch_head
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.spool_files import (
    SUFFIX,
    SegmentWriter,
    SpoolDamaged,
    read_record,
    read_segment,
    record_bytes,
)

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_SEGMENT_BYTES_MAX = 16 * 1024 * 1024
_HEADROOM_BYTES_MAX = 16 * 1024 * 1024


class SpoolFull(Exception):
    """Even the room kept for requests in flight is used up; the entries wait in memory."""


@dataclass(slots=True, eq=False)
class _Segment:
    path: Path
    bytes: int = 0
    batches_kept: int = 0
    writer: SegmentWriter | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SpoolRef:
    """Where a batch lies."""

    segment: _Segment
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    partition: int
    number: int
    ref: SpoolRef


class Spool:
    """`load()` once, then `append`, `read`, `release`; `close()` at the end. `append` has one caller at a time."""

    def __init__(self, directory: Path, metrics: MeteringMetrics, *, bytes_max: int) -> None:
        self._directory = directory
        self._metrics = metrics
        self._bytes_max = bytes_max
        self._admit_bytes_max = bytes_max - min(_HEADROOM_BYTES_MAX, bytes_max // 4)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._active: _Segment | None = None
        self._segments: dict[Path, _Segment] = {}
        self._next_segment = 1
        self._bytes = 0
        self._batches = 0
        self._is_writing = False
        self._failure: str | None = None

    def problem(self) -> str | None:
        if self._failure is not None:
            return f"the spool cannot be written: {self._failure}"
        if self._bytes >= self._admit_bytes_max:
            return f"the spool is full ({self._bytes} bytes)"
        return None

    @property
    def batches(self) -> int:
        """Kept here and not known to be in the ledger."""
        return self._batches

    async def load(self) -> list[SpooledBatch]:
        """What an earlier process left, in the order it was written. Raises OSError, SpoolDamaged."""
        batches = await self._run(self._load)
        self._batches = len(batches)
        for segment in list(self._segments.values()):
            self._bytes += segment.bytes
            self._drop_if_done(segment)
        self._publish_figures()
        return batches

    def _load(self) -> list[SpooledBatch]:
        self._directory.mkdir(parents=True, exist_ok=True)
        batches = []
        for path in sorted(self._directory.glob(f"*{SUFFIX}"), key=lambda path: int(path.stem)):
            segment = self._segments[path] = _Segment(path)
            for offset, payload in read_segment(path):
                try:
                    head = decode_batch_head(payload)
                except msgspec.DecodeError as error:  # whole, and yet no batch: not ours to throw away
                    raise SpoolDamaged(f"{path} at {offset} is no batch") from error
                batches.append(SpooledBatch(head.partition, head.number, SpoolRef(segment, offset, len(payload))))
                segment.batches_kept += 1
                segment.bytes = offset + record_bytes(payload)
            self._next_segment = int(path.stem) + 1
        return batches

    async def append(self, payloads: Sequence[bytes]) -> list[SpoolRef]:
        """Returns once all are fsynced. Raises SpoolFull, OSError: none of them is safe, try again later."""
        added = sum(record_bytes(payload) for payload in payloads)
        if self._bytes + added > self._bytes_max:
            raise SpoolFull(f"{self._bytes} of {self._bytes_max} bytes used")
        self._is_writing = True
        try:
            segment, offsets = await self._run(self._append, payloads)
        except OSError as error:
            self._failure = str(error)
            self._metrics.spool_failures.inc()
            self._give_up_active()
            raise
        finally:
            self._is_writing = False
        self._failure = None
        segment.bytes += added
        segment.batches_kept += len(payloads)
        self._bytes += added
        self._batches += len(payloads)
        self._publish_figures()
        return [SpoolRef(segment, at, len(payload)) for at, payload in zip(offsets, payloads, strict=True)]

    def _append(self, payloads: Sequence[bytes]) -> tuple[_Segment, list[int]]:
        segment = self._active
        if segment is None or segment.bytes >= _SEGMENT_BYTES_MAX:
            if segment is not None and segment.writer is not None:
                segment.writer.close()
                segment.writer = None
            path = self._directory / f"{self._next_segment:010d}{SUFFIX}"
            self._next_segment += 1
            segment = _Segment(path, writer=SegmentWriter(path))
            self._segments[path] = self._active = segment
        assert segment.writer is not None
        return segment, segment.writer.append(payloads)

    def _give_up_active(self) -> None:
        """After a failed write the end of the segment is unknown: what follows goes to a new one."""
        segment, self._active = self._active, None
        if segment is not None:
            self._executor.submit(_close, segment)
            self._drop_if_done(segment)

    async def read(self, ref: SpoolRef) -> bytes:
        """Raises SpoolDamaged, OSError."""
        return await self._run(read_record, ref.segment.path, ref.offset, ref.length)

    def release(self, ref: SpoolRef) -> None:
        """The batch is in the ledger."""
        ref.segment.batches_kept -= 1
        self._batches -= 1
        self._drop_if_done(ref.segment)
        self._publish_figures()

    def tidy(self) -> None:
        """Drop the active segment when nothing in it is needed any more."""
        if self._active is not None:
            self._drop_if_done(self._active)

    def _drop_if_done(self, segment: _Segment) -> None:
        if segment.batches_kept or segment.path not in self._segments:
            return
        if segment is self._active:
            if self._is_writing:
                return
            self._active = None
        del self._segments[segment.path]
        self._bytes -= segment.bytes
        self._publish_figures()
        self._executor.submit(_delete, segment)

    def _publish_figures(self) -> None:
        self._metrics.spool_bytes.set(self._bytes)
        self._metrics.spool_batches.set(self._batches)

    async def _run(self, function: Callable[[Unpack[_Ts]], _T], *arguments: *_Ts) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def close(self) -> None:
        """What is kept stays on disk for the next process. Waits for the write under way, if any."""
        for segment in self._segments.values():
            self._executor.submit(_close, segment)
        self._executor.shutdown()


def _close(segment: _Segment) -> None:
    if segment.writer is not None:
        segment.writer.close()
        segment.writer = None


def _delete(segment: _Segment) -> None:
    _close(segment)
    segment.path.unlink(missing_ok=True)
