"""Batches as ClickHouse remembers them: what the ledger had, put together again from rows, entry by entry."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lumen.ledger.entries import Attempt, CreditEntry, UsageEntry
from lumen.money.usage import TokenUsage
from lumen.platform.clickhouse import ClickHouse
from services.billing.decoding import Reason
from services.billing.tables import CREDITS, DEAD_LETTERS, USAGE, Table

_BATCHES_AT_ONCE = 200
_WHOLE = -1  # in place of an index: the payload is the whole message
_WHOLE_MESSAGES = (Reason.MESSAGE_UNREADABLE, Reason.BATCH_MISPLACED, Reason.BATCH_EMPTY)
_USAGE_BUCKETS = TokenUsage.__struct_fields__
_USAGE_COLUMNS = {"server_tool_requests": "server_tool_requests"}
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class PostedBatch:
    """A numbered batch that has been posted, and where the ledger had it."""

    producer: str
    number: int
    epoch: int
    sequence: int


class PostedBatches:
    """Raises lumen.platform.clickhouse.ClickHouseError."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def highest_numbers(self, partition: int) -> dict[str, int]:
        """The last number posted, by producer."""
        rows = await self._clickhouse.rows(
            f"SELECT producer, max(batch_number) FROM ({_union('producer, batch_number')}) GROUP BY producer",
            {"partition": partition},
        )
        return {row[0]: row[1] for row in rows}

    async def since(self, partition: int, last_numbers: Mapping[str, int], epoch: int, first: int) -> list[PostedBatch]:
        """Posted, and not in a ledger that holds `last_numbers` of its producers and begins at `first`: in the order in
        which they were there. Of a producer the ledger knows nothing of, what was trimmed is not counted as lost."""
        rows = await self._clickhouse.rows(
            "SELECT producer, batch_number, min(epoch) AS epoch, min(sequence) AS sequence"
            f" FROM ({_union('producer, batch_number, epoch, sequence')})"
            " GROUP BY producer, batch_number ORDER BY epoch, sequence",
            {"partition": partition},
        )
        batches = [PostedBatch(*row) for row in rows]
        return [
            batch
            for batch in batches
            if (
                batch.number > last_numbers[batch.producer]
                if batch.producer in last_numbers
                else batch.epoch == epoch and batch.sequence >= first
            )
        ]

    async def payloads(self, partition: int, batches: Sequence[PostedBatch]) -> list[bytes]:
        """The batches in the ledger's wire format, each with the entries it had, in their order."""
        found: list[bytes] = []
        for start in range(0, len(batches), _BATCHES_AT_ONCE):
            chunk = batches[start : start + _BATCHES_AT_ONCE]
            entries: dict[tuple[int, int], dict[int, bytes]] = {(b.epoch, b.sequence): {} for b in chunk}
            for table, encode in ((USAGE, _usage), (CREDITS, _credit), (DEAD_LETTERS, _dead_letter)):
                for row in await self._rows(table, partition, chunk):
                    index = _WHOLE if row.get("reason") in _WHOLE_MESSAGES else row["index"]
                    entries[row["epoch"], row["sequence"]][index] = encode(row)
            for batch in chunk:
                by_index = entries[batch.epoch, batch.sequence]
                if _WHOLE in by_index:
                    found.append(by_index[_WHOLE])
                    continue
                raw = [msgspec.Raw(by_index[index]) for index in sorted(by_index)]
                found.append(_encode([batch.producer, partition, batch.number, raw, 1]))
        return found

    async def _rows(self, table: Table, partition: int, batches: Sequence[PostedBatch]) -> list[dict[str, Any]]:
        places = ", ".join(f"({batch.epoch}, {batch.sequence})" for batch in batches)  # integers only
        columns = ", ".join(f"`{column}`" for column in table.columns)
        rows = await self._clickhouse.rows(
            f"SELECT {columns} FROM {table.name} FINAL WHERE `partition` = {{partition:UInt8}}"
            f" AND (epoch, sequence) IN ({places})",
            {"partition": partition},
        )
        return [dict(zip(table.columns, row, strict=True)) for row in rows]


def _union(columns: str) -> str:
    return " UNION ALL ".join(
        f"SELECT {columns} FROM {table.name} WHERE `partition` = {{partition:UInt8}} AND batch_number > 0"
        for table in (USAGE, CREDITS, DEAD_LETTERS)
    )


def entry_of(row: Mapping[str, Any]) -> UsageEntry:
    """The entry that a row of `usage` was made from. `row`: its columns by name."""
    usage = TokenUsage(**{bucket: row[_USAGE_COLUMNS.get(bucket, f"{bucket}_tokens")] for bucket in _USAGE_BUCKETS})
    composed = {
        "usage": usage,
        "modifiers": json.loads(row["modifiers"]),
        "attempts": [Attempt(*attempt) for attempt in json.loads(row["attempts"])],
        "traceparent": "",  # no row has it: it is for the posting alone
    }
    plain = {name: row[name] for name in UsageEntry.__struct_fields__ if name not in composed}
    return UsageEntry(**plain, **composed)


def _usage(row: Mapping[str, Any]) -> bytes:
    return _encode(entry_of(row))


def _credit(row: Mapping[str, Any]) -> bytes:
    return _encode(CreditEntry(**{name: row[name] for name in CreditEntry.__struct_fields__}))


def _dead_letter(row: Mapping[str, Any]) -> bytes:
    return base64.b64decode(row["payload_base64"])
