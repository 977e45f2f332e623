"""A ledger message taken apart: its good entries, and what is wrong with the others.

One bad entry never costs its batch the rest: a batch that does not decode as a whole is decoded entry by entry. What an
entry says must fit the tables (ranges, times) before it is rated, so no row can be refused by ClickHouse later and hold
up the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from lumen.ledger import keyspace
from lumen.ledger.entries import (
    AMOUNT_NANOUSD_MAX,
    CREDIT_KINDS,
    Batch,
    CreditEntry,
    Entry,
    UsageEntry,
    decode_batch,
    decode_batch_head,
)

_TIME_US_MIN = 1_577_836_800_000_000  # 2020-01-01
_TIME_US_MAX = 4_102_444_800_000_000  # 2100-01-01
_COUNT_MAX = 1 << 62
_STATUS_MAX = 0xFFFF


# What msgspec raises for bytes that are not what they should be: its own errors, UnicodeDecodeError for text not in
# UTF-8, RecursionError for nesting without end.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Reason(StrEnum):
    """Why an entry became a dead letter."""

    MESSAGE_UNREADABLE = "message_unreadable"
    BATCH_MISPLACED = "batch_misplaced"  # partition or producer differ from the subject's
    BATCH_EMPTY = "batch_empty"
    ENTRY_UNREADABLE = "entry_unreadable"
    ENTRY_MISPLACED = "entry_misplaced"  # the account belongs to another partition
    ENTRY_IMPLAUSIBLE = "entry_implausible"  # a figure no honest producer writes
    NOT_RATABLE = "not_ratable"  # the catalog revision has no price for it


@dataclass(frozen=True, slots=True)
class Flaw:
    """One dead letter in the making. `payload`: the entry's (or the whole message's) bytes as found."""

    index: int
    reason: Reason
    detail: str
    payload: bytes
    account: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class DecodedMessage:
    producer: str
    batch_number: int
    entries: list[tuple[int, Entry]]  # (index in the batch, entry)
    flaws: list[Flaw]


class _RawBatch(msgspec.Struct, frozen=True, array_like=True):
    producer: str
    partition: int
    number: int
    entries: list[msgspec.Raw]
    version: int = 1


_raw_batch_decoder = msgspec.msgpack.Decoder(_RawBatch)
_entry_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def decode_message(partition: int, producer: str, payload: bytes) -> DecodedMessage:
    """Never raises: what cannot be used is in `flaws`."""
    try:
        batch = decode_batch(payload)
    except UNREADABLE as error:
        return _decode_loosely(partition, producer, payload, str(error))
    if (flaw := _batch_flaw(partition, producer, batch.partition, batch.producer, batch.number, payload)) is not None:
        return DecodedMessage(producer, 0, [], [flaw])
    return _checked(partition, batch, payload)


def _checked(partition: int, batch: Batch, payload: bytes) -> DecodedMessage:
    if not batch.entries:
        flaw = Flaw(0, Reason.BATCH_EMPTY, "the batch has no entries", payload)
        return DecodedMessage(batch.producer, batch.number, [], [flaw])
    entries: list[tuple[int, Entry]] = []
    flaws: list[Flaw] = []
    for index, entry in enumerate(batch.entries):
        flaw_found = _entry_flaw(partition, index, entry)
        if flaw_found is None:
            entries.append((index, entry))
        else:
            flaws.append(flaw_found)
    return DecodedMessage(batch.producer, batch.number, entries, flaws)


def _decode_loosely(partition: int, producer: str, payload: bytes, problem: str) -> DecodedMessage:
    try:
        batch = _raw_batch_decoder.decode(payload)
    except UNREADABLE:
        return DecodedMessage(producer, _number_of(payload), [], [Flaw(0, Reason.MESSAGE_UNREADABLE, problem, payload)])
    if (flaw := _batch_flaw(partition, producer, batch.partition, batch.producer, batch.number, payload)) is not None:
        return DecodedMessage(producer, 0, [], [flaw])
    entries: list[tuple[int, Entry]] = []
    flaws: list[Flaw] = []
    for index, raw in enumerate(batch.entries):
        try:
            entry = _entry_decoder.decode(raw)
        except UNREADABLE as error:
            flaws.append(Flaw(index, Reason.ENTRY_UNREADABLE, str(error), bytes(raw)))
            continue
        flaw_found = _entry_flaw(partition, index, entry)
        if flaw_found is None:
            entries.append((index, entry))
        else:
            flaws.append(flaw_found)
    return DecodedMessage(producer, batch.number, entries, flaws)


def _number_of(payload: bytes) -> int:
    """The batch number of a message of which only the head can be read; 0: not even that."""
    try:
        number = decode_batch_head(payload).number
    except UNREADABLE:
        return 0
    return number if 0 < number < _COUNT_MAX else 0


def _batch_flaw(
    partition: int, producer: str, batch_partition: int, batch_producer: str, number: int, payload: bytes
) -> Flaw | None:
    if batch_partition == partition and batch_producer == producer and 0 < number < _COUNT_MAX:
        return None
    detail = f"batch {number} of {batch_producer!r} in partition {batch_partition}, found under {partition}.{producer}"
    return Flaw(0, Reason.BATCH_MISPLACED, detail, payload)


def _entry_flaw(partition: int, index: int, entry: Entry) -> Flaw | None:
    request_id = entry.request_id if isinstance(entry, UsageEntry) else ""
    if keyspace.partition_of(entry.account) != partition:
        detail = f"the account belongs to partition {keyspace.partition_of(entry.account)}"
        return Flaw(index, Reason.ENTRY_MISPLACED, detail, msgspec.msgpack.encode(entry), entry.account, request_id)
    problem = entry_problem(entry)
    if problem is None:
        return None
    return Flaw(index, Reason.ENTRY_IMPLAUSIBLE, problem, msgspec.msgpack.encode(entry), entry.account, request_id)


def entry_problem(entry: Entry) -> str | None:
    """What no honest producer writes, or None."""
    return _usage_problem(entry) if isinstance(entry, UsageEntry) else _credit_problem(entry)


def _usage_problem(entry: UsageEntry) -> str | None:
    if not _TIME_US_MIN <= entry.started_at_us < _TIME_US_MAX:
        return f"started_at_us {entry.started_at_us}"
    if not 0 <= entry.status <= _STATUS_MAX:
        return f"status {entry.status}"
    if not (
        0 <= entry.duration_us < _COUNT_MAX
        and 0 <= entry.ttft_us < _COUNT_MAX
        and 0 <= entry.lease_boot < _COUNT_MAX
        and 0 < entry.catalog_revision < _COUNT_MAX
        and -AMOUNT_NANOUSD_MAX < entry.hold_nanousd < AMOUNT_NANOUSD_MAX
    ):
        return "a duration, boot, revision or hold out of range"
    counts = list(filter(None, msgspec.structs.astuple(entry.usage)))  # neither unreported nor zero
    if counts and not (min(counts) > 0 and max(counts) < _COUNT_MAX):
        return f"usage counts from {min(counts)} to {max(counts)}"
    return None


def _credit_problem(entry: CreditEntry) -> str | None:
    if entry.kind not in CREDIT_KINDS:
        return f"kind {entry.kind!r}"
    if entry.source not in ("paid", "grant"):
        return f"source {entry.source!r}"
    if not -AMOUNT_NANOUSD_MAX < entry.amount_nanousd < AMOUNT_NANOUSD_MAX:
        return f"amount {entry.amount_nanousd}"
    if not _TIME_US_MIN <= entry.created_at_us < _TIME_US_MAX:
        return f"created_at_us {entry.created_at_us}"
    if not 0 <= entry.expires_at_s < _TIME_US_MAX // 1_000_000:
        return f"expires_at_s {entry.expires_at_s}"
    return None
