"""The rows billing writes: column names and wire types beside the function that fills them, in one order. Usage, of
which there is most, is filled by column (usage_rows.py).

LowCardinality columns go over the wire as plain strings; the server casts. `started_at` and `hour` are computed by
ClickHouse from `started_at_us` (deploy/clickhouse/0001_ledger.sql).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from lumen.ledger.entries import CreditEntry
from services.billing.decoding import Flaw
from services.billing.marks import Mark, position_version

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the ledger a message is, and who numbered it how."""

    partition: int
    epoch: int
    sequence: int
    producer: str
    batch_number: int
    published_at_us: int


def _table(name: str, columns: dict[str, str]) -> Table:
    return Table(name, tuple(columns), tuple(columns.values()))


_POSITION = {"partition": "UInt8", "epoch": "UInt32", "sequence": "UInt64", "index": "UInt32"}
_BATCH = {"producer": "String", "batch_number": "UInt64"}

USAGE = _table(
    "usage",
    {
        **_POSITION,
        **_BATCH,
        "request_id": "String",
        "account": "String",
        "key_id": "String",
        "group": "String",
        "model": "String",
        "channel": "String",
        "upstream_model": "String",
        "client_dialect": "String",
        "upstream_dialect": "String",
        "catalog_revision": "UInt64",
        "started_at_us": "Int64",
        "duration_us": "Int64",
        "ttft_us": "Int64",
        "status": "UInt16",
        "is_stream": "Bool",
        "finish_reason": "String",
        "input_tokens": "Nullable(Int64)",
        "cache_read_tokens": "Nullable(Int64)",
        "cache_write_5m_tokens": "Nullable(Int64)",
        "cache_write_1h_tokens": "Nullable(Int64)",
        "output_tokens": "Nullable(Int64)",
        "reasoning_tokens": "Nullable(Int64)",
        "audio_input_tokens": "Nullable(Int64)",
        "audio_output_tokens": "Nullable(Int64)",
        "image_input_tokens": "Nullable(Int64)",
        "server_tool_requests": "Nullable(Int64)",
        "is_estimated": "Bool",
        "is_billable": "Bool",
        "hold_nanousd": "Int64",
        "lease_boot": "UInt64",
        "key_has_spend_limit": "Bool",
        "modifiers": "String",
        "attempts": "String",
        "cost_nanousd": "Int64",
        "upstream_cost_nanousd": "Int64",
    },
)
CREDITS = _table(
    "credits",
    {
        **_POSITION,
        **_BATCH,
        "account": "String",
        "amount_nanousd": "Int64",
        "kind": "String",
        "source": "String",
        "reference": "String",
        "created_at_us": "Int64",
        "paid_amount": "String",
        "paid_currency": "String",
        "note": "String",
        "expires_at_s": "Int64",
    },
)
DEAD_LETTERS = _table(
    "dead_letters",
    {
        **_POSITION,
        **_BATCH,
        "account": "String",
        "request_id": "String",
        "reason": "String",
        "detail": "String",
        "published_at_us": "Int64",
        "payload_base64": "String",
    },
)
MARKS = _table(
    "marks",
    {
        "sink": "String",
        "partition": "UInt8",
        "epoch": "UInt32",
        "sequence": "UInt64",
        "digest": "String",
        "through_sequence": "UInt64",
        "version": "UInt64",
    },
)

CATALOG_REVISIONS = _table(
    "catalog_revisions",
    {"revision": "UInt64", "created_at_s": "Int64", "note": "String", "hash": "String", "catalog": "String"},
)
PRICE_BOOK = _table(
    "price_book",
    {
        "revision": "UInt64",
        "side": "String",
        "payer": "String",
        "model": "String",
        "above_prompt_tokens": "Int64",
        "bucket": "String",
        "priced_as": "String",
        "price_nanousd_per_million": "Int64",
        "multiplier_millionths": "Int64",
    },
)


def credit_row(place: Place, index: int, entry: CreditEntry) -> Row:
    return (
        place.partition,
        place.epoch,
        place.sequence,
        index,
        place.producer,
        place.batch_number,
        entry.account,
        entry.amount_nanousd,
        entry.kind,
        entry.source,
        entry.reference,
        entry.created_at_us,
        entry.paid_amount,
        entry.paid_currency,
        entry.note,
        entry.expires_at_s,
    )


def dead_letter_row(place: Place, flaw: Flaw) -> Row:
    return (
        place.partition,
        place.epoch,
        place.sequence,
        flaw.index,
        place.producer,
        place.batch_number,
        flaw.account,
        flaw.request_id,
        flaw.reason.value,
        flaw.detail,
        place.published_at_us,
        base64.b64encode(flaw.payload).decode(),
    )


def mark_row(sink: str, partition: int, mark: Mark, through_sequence: int) -> Row:
    version = position_version(mark.epoch, through_sequence)
    return (sink, partition, mark.epoch, mark.sequence, mark.digest, through_sequence, version)
