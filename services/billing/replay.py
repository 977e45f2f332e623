"""Dead letters, listed and replayed: an entry that can be used now is appended to the ledger, once.

The replay's subject is `ledger.<partition>.replay-<place of the dead letter>`, published expecting it to be empty, so a
repeated or doubled replay appends nothing; ClickHouse remembers replays whose message has been trimmed. Whoever cannot
rate an entry by its own revision (it has no such model) may name another; that is an operator's decision.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from dataclasses import dataclass

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import BadRequestError
from nats.js.errors import Error as JetStreamError

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, Entry, UsageEntry, decode_batch, encode_batch
from lumen.platform.clickhouse import ClickHouse, ClickHouseError
from lumen.platform.nats import WRONG_LAST_SEQUENCE, js_error_code
from services.billing.decoding import UNREADABLE, entry_problem
from services.billing.errors import InvalidRequest, NotFound, Unavailable

LETTERS_MAX = 1000
_ID = re.compile(r"(\d{1,9})-(\d{1,2})-(\d{1,19})-(\d{1,9})")
_NATS_AWAY = (NatsError, JetStreamError, OSError, TimeoutError)
_TABLES = ("usage", "credits", "dead_letters")
_entry_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


@dataclass(frozen=True, slots=True)
class LetterId:
    """The place of a dead letter in the ledger; its text is `epoch-partition-sequence-index`."""

    epoch: int
    partition: int
    sequence: int
    index: int

    @classmethod
    def parse(cls, text: str) -> LetterId:
        """Raises InvalidRequest."""
        match = _ID.fullmatch(text)
        if match is None or int(match[2]) >= keyspace.PARTITIONS:
            raise InvalidRequest("id: as `dead-letter list` shows it, epoch-partition-sequence-index")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.partition}-{self.sequence}-{self.index}"

    @property
    def producer(self) -> str:
        """Of its replay. Sequences are used again in a later epoch, so that one is named there."""
        name = f"replay-{self.sequence}-{self.index}"
        return name if self.epoch == 1 else f"{name}-epoch-{self.epoch}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: LetterId
    account: str
    request_id: str
    reason: str
    detail: str
    producer: str
    batch_number: int
    published_at_us: int
    is_replayed: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    entries: int
    already_existed: bool
    sequences: list[int]


class Replays:
    """Raises InvalidRequest, NotFound, Unavailable."""

    def __init__(self, nc: Client, clickhouse: ClickHouse) -> None:
        self._nc = nc
        self._clickhouse = clickhouse

    async def letters(self, account: str, *, with_replayed: bool) -> list[DeadLetter]:
        """Newest first, at most LETTERS_MAX; `account` empty: everyone's."""
        try:
            rows = await self._clickhouse.rows(
                "SELECT epoch, `partition`, sequence, `index`, account, request_id, reason, detail, producer,"
                " batch_number, published_at_us FROM dead_letters FINAL"
                f" WHERE {'account = {account:String}' if account else '1'}"
                f" ORDER BY epoch DESC, sequence DESC, `index` LIMIT {LETTERS_MAX}",
                {"account": account},
            )
            replayed = {producer for _, producer in await self._replay_producers()}
        except ClickHouseError as error:
            raise Unavailable("ClickHouse is away") from error
        found = []
        for row in rows:
            place = LetterId(*row[:4])
            account_, request_id, reason, detail, producer, number, published_at_us = row[4:]
            is_replayed = place.producer in replayed
            found.append(
                DeadLetter(place, account_, request_id, reason, detail, producer, number, published_at_us, is_replayed)
            )
        return [letter for letter in found if with_replayed or not letter.is_replayed]

    async def replay(self, text: str, catalog_revision: int) -> Replayed:
        """Append what the dead letter holds. Raises InvalidRequest when it still cannot be read."""
        letter = LetterId.parse(text)
        try:
            rows = await self._clickhouse.rows(
                "SELECT payload_base64 FROM dead_letters FINAL WHERE epoch = {epoch:UInt32}"
                " AND `partition` = {partition:UInt8} AND sequence = {sequence:UInt64} AND `index` = {index:UInt32}",
                {
                    "epoch": letter.epoch,
                    "partition": letter.partition,
                    "sequence": letter.sequence,
                    "index": letter.index,
                },
            )
            if not rows:
                raise NotFound(f"no dead letter {text}")
            batches = _batches(letter, base64.b64decode(rows[0][0]), catalog_revision)
            known = await self._replay_producers()
        except ClickHouseError as error:
            raise Unavailable("ClickHouse is away: it cannot be ruled out that this was replayed before") from error
        missing = [batch for batch in batches if (batch.partition, batch.producer) not in known]
        sequences = [sequence for batch in missing if (sequence := await self._append(batch)) is not None]
        return Replayed(sum(len(batch.entries) for batch in batches), not sequences, sequences)

    async def _append(self, batch: Batch) -> int | None:
        """None: it is there already."""
        try:
            ack = await self._nc.jetstream(timeout=5).publish(
                keyspace.subject(batch.partition, batch.producer),
                encode_batch(batch),
                headers={"Nats-Expected-Last-Subject-Sequence": "0"},
            )
        except BadRequestError as error:
            if js_error_code(error) == WRONG_LAST_SEQUENCE:
                return None
            raise Unavailable(f"the ledger refused: {error}") from error
        except _NATS_AWAY as error:
            raise Unavailable("the ledger is away; replaying again is harmless") from error
        return ack.seq

    async def _replay_producers(self) -> set[tuple[int, str]]:
        """(partition, producer) of every replay that has been posted."""
        found = " UNION DISTINCT ".join(
            f"SELECT DISTINCT `partition`, producer FROM {table} WHERE startsWith(producer, 'replay-')"
            for table in _TABLES
        )
        return {(row[0], row[1]) for row in await self._clickhouse.rows(found)}


def _batches(letter: LetterId, payload: bytes, catalog_revision: int) -> list[Batch]:
    """One batch per partition that the letter's entries belong to. Raises InvalidRequest."""
    by_partition: dict[int, list[Entry]] = defaultdict(list)
    for entry in _entries(payload):
        if catalog_revision and isinstance(entry, UsageEntry):
            entry = msgspec.structs.replace(entry, catalog_revision=catalog_revision)
        if (problem := entry_problem(entry)) is not None:
            raise InvalidRequest(f"the entry is still implausible: {problem}")
        by_partition[keyspace.partition_of(entry.account)].append(entry)
    return [Batch(letter.producer, partition, 1, entries) for partition, entries in sorted(by_partition.items())]


def _entries(payload: bytes) -> list[Entry]:
    """The letter is one entry, or the whole message when that could not be read or was out of place."""
    try:
        return [_entry_decoder.decode(payload)]
    except UNREADABLE as error:
        reason = str(error)
    try:
        batch = decode_batch(payload)
    except UNREADABLE:
        raise InvalidRequest(f"it still cannot be read: {reason[:300]}") from None
    if not batch.entries:
        raise InvalidRequest("it holds no entries")
    return batch.entries
