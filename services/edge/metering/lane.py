"""One partition's way into the ledger: entries in order, formed into numbered batches, of which one is in flight.

    LEARNING --leader asked--> IDLE --published--> IN_FLIGHT --acked--> IDLE
                                 ^                  |     |
                                 |     refused/away v     v unclear
                                 +------------ STALLED   ASKING --settled--> IDLE
                                                          | contradiction
                                                          v
                                                       STOPPED

`batches[0]` is in flight (or the next to be); those behind it exist only while the spool holds them back. `pending` has
no number yet. Pure state, no I/O.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum

import msgspec

from lumen.ledger import keyspace
from lumen.ledger.entries import decode_batch, encode_batch
from services.edge.metering.spool import SpoolRef

ENTRIES_MAX = 1000
BATCH_BYTES_MAX = 512 * 1024

_pack = msgspec.msgpack.Encoder().encode


class LaneState(Enum):
    LEARNING = "learning"  # the leader has not said yet where to continue
    IDLE = "idle"
    IN_FLIGHT = "in_flight"
    STALLED = "stalled"  # not published: away, or refused a moment ago
    ASKING = "asking"  # an ack is unclear
    STOPPED = "stopped"  # the ledger contradicts us; for an operator


def encode_entries(producer: str, partition: int, number: int, entries: list[bytes]) -> bytes:
    """The same bytes as `encode_batch`, from entries encoded when they were submitted."""
    count = len(entries)
    array = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return b"".join(
        (b"\x95", _pack(producer), _pack(partition), _pack(number), array, *entries, b"\x01")
    )  # an array of five; the last is Batch.version


def renumbered(payload: bytes, number: int) -> bytes:
    return encode_batch(msgspec.structs.replace(decode_batch(payload), number=number))


class LaneBatch:
    """`payload` is None while only the spool has it, where it keeps the number it was first written with."""

    __slots__ = (
        "created_at",
        "entries",
        "first_published_at",
        "futures",
        "is_done",
        "is_earlier",
        "number",
        "payload",
        "ref",
    )

    def __init__(self, number: int, payload: bytes | None, created_at: float) -> None:
        self.number = number
        self.payload = payload
        self.created_at = created_at
        self.first_published_at = 0.0
        self.entries = 0
        self.futures: list[asyncio.Future[None]] = []
        self.ref: SpoolRef | None = None
        self.is_done = False  # in the ledger
        self.is_earlier = False  # spooled by an earlier boot

    def resolve(self) -> int:
        """Tell those waiting that their entries are safe. Returns how many entries that was news for."""
        futures, self.futures = self.futures, []
        for future in futures:
            if not future.done():  # cancelled by its waiter
                future.set_result(None)
        return len(futures)


class Lane:
    """All times are monotonic seconds."""

    __slots__ = (
        "attempt",
        "batches",
        "futures",
        "has_acked",
        "is_queued",
        "number",
        "partition",
        "pending",
        "pending_bytes",
        "pending_since",
        "published_at",
        "published_epoch",
        "refusals",
        "resume_at",
        "sequence",
        "state",
        "subject",
        "worker_id",
    )

    def __init__(self, partition: int, worker_id: str) -> None:
        self.partition = partition
        self.worker_id = worker_id
        self.subject = keyspace.subject(partition, worker_id)
        self.state = LaneState.LEARNING
        self.batches: deque[LaneBatch] = deque()
        self.pending: list[bytes] = []
        self.futures: list[asyncio.Future[None]] = []
        self.pending_bytes = 0
        self.pending_since = 0.0
        self.number = 0  # the last one given
        self.sequence = 0  # stream sequence of our last message; 0: none
        self.has_acked = False  # something of this boot is in the ledger
        self.is_queued = False
        self.attempt = 0
        self.published_at = 0.0
        self.published_epoch = 0  # connection it was published on
        self.refusals = 0  # in a row
        self.resume_at = 0.0

    @property
    def has_work(self) -> bool:
        return bool(self.batches or self.pending)

    def add(self, payload: bytes, future: asyncio.Future[None], now: float) -> None:
        if not self.pending:
            self.pending_since = now
        self.pending.append(payload)
        self.futures.append(future)
        self.pending_bytes += len(payload)

    def form(self, now: float) -> LaneBatch | None:
        """The next batch out of what is pending, within the caps; a single entry above them goes alone."""
        if not self.pending:
            return None
        count = len(self.pending)
        if count > ENTRIES_MAX or self.pending_bytes > BATCH_BYTES_MAX:
            count = self._count_within_caps()
        entries, self.pending = self.pending[:count], self.pending[count:]
        futures, self.futures = self.futures[:count], self.futures[count:]
        self.pending_bytes = sum(map(len, self.pending)) if self.pending else 0
        self.number += 1
        payload = encode_entries(self.worker_id, self.partition, self.number, entries)
        batch = LaneBatch(self.number, payload, self.pending_since)
        batch.entries = count
        batch.futures = futures
        self.pending_since = now
        self.batches.append(batch)
        return batch

    def _count_within_caps(self) -> int:
        size = 0
        for count, payload in enumerate(self.pending[:ENTRIES_MAX]):
            size += len(payload)
            if size > BATCH_BYTES_MAX and count:
                return count
        return min(len(self.pending), ENTRIES_MAX)

    def shift(self, by: int) -> None:
        """An earlier process's late batch took a number: ours move up."""
        if by == 0:
            return
        for batch in self.batches:
            batch.number += by
            if batch.payload is not None:
                batch.payload = renumbered(batch.payload, batch.number)
        self.number += by

    def unsafe_since(self) -> float | None:
        """When the oldest entry that is neither in the ledger nor spooled was submitted."""
        for batch in self.batches:
            if batch.ref is None:
                return batch.created_at
        return self.pending_since if self.pending else None
