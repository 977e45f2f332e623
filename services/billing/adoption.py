"""Adopting a ledger that fell back to an older copy: what was posted stays posted, what it lost is given back to it.

Per partition that stopped because the ledger no longer holds its mark:

1. Batches that ClickHouse has and the ledger lost are appended again, as they were, marked by a header, so that
   producers find their own last batch where they left it. Billing moves its mark over them and posts nothing.
2. A new epoch begins: the mark becomes (epoch + 1, the last message of the ledger that has been posted). Whatever
   follows it was appended after the ledger fell back; it is posted in the new epoch, though it reuses sequences.

Redis, whose mark is of the old epoch, is rebuilt from ClickHouse when the partition starts. Both steps may be repeated.
What the lost ledger had acknowledged and billing had not posted yet is known to nobody: a gap in a producer's batch
numbers (`lumen reconcile`) shows it, unless the producer still has it in its spool.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from lumen.ledger import keyspace
from lumen.ledger.entries import decode_batch_head
from lumen.platform.clickhouse import ClickHouseError
from lumen.platform.ordered_reader import OrderedReader, StreamMessage
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.decoding import UNREADABLE
from services.billing.errors import Conflict, Unavailable
from services.billing.ledger_stream import Bounds, LedgerStream
from services.billing.lost_batches import PostedBatch, PostedBatches
from services.billing.marks import Mark, digest_of
from services.billing.recovery import Recovery, Stop

logger = logging.getLogger(__name__)

_READ_S_MAX = 10.0
_STORES_AWAY = (ClickHouseError, NatsError, JetStreamError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Adopted:
    """`mark` is the new one; of `unposted` messages billing takes care when the partition starts."""

    partition: int
    mark: Mark
    restored: int
    unposted: int


@dataclass(slots=True)
class _Found:
    """What the ledger holds of one partition, compared with what has been posted."""

    mark_sequence: int = 0
    mark_digest: str = ""
    unposted: list[int] = field(default_factory=list)  # stream sequences
    last_numbers: dict[str, int] = field(default_factory=dict)  # by producer
    last_sequences: dict[str, int] = field(default_factory=dict)


class Adoption:
    """Raises Conflict where somebody has to look first, Unavailable when a store is away; then run it again."""

    def __init__(
        self,
        nc: Client,
        ledger: LedgerStream,
        recovery: Recovery,
        sink: ClickHouseSink,
        posted: PostedBatches,
        partitions: Sequence[int],
    ) -> None:
        self._nc = nc
        self._ledger = ledger
        self._recovery = recovery
        self._sink = sink
        self._posted = posted
        self._partitions = list(partitions)

    async def run(self, *, is_dry: bool) -> list[Adopted]:
        """The partitions adopted; of a dry run, those that would be. None when none has stopped."""
        try:
            stops = await self._recovery.stops(self._partitions)
            regressed = sorted(partition for partition, stop in stops.items() if stop is Stop.LEDGER_REGRESSED)
            bounds = await self._ledger.bounds()
            marks = await self._sink.load_marks()
            found = {partition: await self._compare(partition, bounds) for partition in regressed}
            return [
                await self._adopt(partition, found[partition], marks[partition].mark, bounds, is_dry=is_dry)
                for partition in regressed
            ]
        except _STORES_AWAY as error:
            raise Unavailable(f"a store is away: {str(error)[:300] or repr(error)}") from error

    async def _adopt(self, partition: int, found: _Found, before: Mark, bounds: Bounds, *, is_dry: bool) -> Adopted:
        lost = await self._posted.since(partition, found.last_numbers, before.epoch, bounds.first)
        mark = Mark(before.epoch + 1, found.mark_sequence, found.mark_digest)
        if not is_dry:
            await self._append_again(partition, found, lost)
            await self._sink.store_marks({partition: mark})
            logger.warning(
                "ledger adopted",
                extra={"partition": partition, "mark": str(mark), "was": str(before), "restored": len(lost)},
            )
        return Adopted(partition, mark, len(lost), len(found.unposted))

    async def _compare(self, partition: int, bounds: Bounds) -> _Found:
        highest = await self._posted.highest_numbers(partition)
        found = _Found()
        for message in await self._messages(partition, bounds):
            producer = message.subject.split(".", 2)[2]
            found.last_sequences[producer] = message.sequence
            try:
                head = decode_batch_head(message.data)
            except UNREADABLE:
                continue  # a dead letter, here or there
            if (head.producer, head.partition) != (producer, partition) or head.number < 1:
                continue  # likewise
            number = head.number
            found.last_numbers[producer] = max(number, found.last_numbers.get(producer, 0))
            if message.headers is not None and keyspace.ADOPTED_HEADER in message.headers:
                continue  # of an adoption that was interrupted
            if number > highest.get(producer, 0):
                found.unposted.append(message.sequence)
            elif found.unposted:
                raise Conflict(
                    f"partition {partition}: message {message.sequence} (batch {number} of {producer}) has been posted,"
                    f" but message {found.unposted[0]} before it has not; nothing was changed"
                )
            else:
                found.mark_sequence, found.mark_digest = message.sequence, digest_of(message.data)
        return found

    async def _messages(self, partition: int, bounds: Bounds) -> list[StreamMessage]:
        """All that the ledger holds of a partition."""
        last = await self._ledger.last_of(keyspace.partition_filter(partition))
        if last is None:
            return []
        subjects = [keyspace.partition_filter(partition)]
        reader = OrderedReader(self._nc, keyspace.STREAM, subjects, start_sequence=bounds.first)
        await reader.start()
        try:
            messages: list[StreamMessage] = []
            while not messages or messages[-1].sequence < last.sequence:
                more = await reader.read(timeout_s=_READ_S_MAX)
                if not more:
                    raise TimeoutError(f"the ledger does not deliver partition {partition}")
                messages += more
            return messages
        finally:
            await reader.stop()

    async def _append_again(self, partition: int, found: _Found, lost: Sequence[PostedBatch]) -> None:
        payloads = await self._posted.payloads(partition, lost)
        js = self._nc.jetstream(timeout=5)
        for batch, payload in zip(lost, payloads, strict=True):
            ack = await js.publish(
                keyspace.subject(partition, batch.producer),
                payload,
                headers={
                    "Nats-Expected-Last-Subject-Sequence": str(found.last_sequences.get(batch.producer, 0)),
                    keyspace.ADOPTED_HEADER: f"{batch.epoch}:{batch.sequence}",
                },
            )
            found.last_sequences[batch.producer] = ack.seq
