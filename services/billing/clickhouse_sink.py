"""ClickHouse as billing's first sink. Every write is keyed by ledger position, so repeating any of them is harmless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lumen.platform.clickhouse import ClickHouse
from services.billing.groups import Group
from services.billing.marks import Mark
from services.billing.tables import CREDITS, DEAD_LETTERS, MARKS, USAGE, Row, Table, dead_letter_row, mark_row

USAGE_SINK = "usage"  # the mark below which usage, credits and dead letters are complete
ROLLUP_SINK = "rollup"  # the mark below which usage_hourly is


@dataclass(frozen=True, slots=True)
class StoredMark:
    """`through`: nothing of the partition lies between the mark and this stream sequence."""

    mark: Mark
    through: int


class ClickHouseSink:
    """Raises lumen.platform.clickhouse.ClickHouseError; nothing is retried here."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def load_marks(self, sink: str = USAGE_SINK) -> dict[int, StoredMark]:
        rows = await self._clickhouse.rows(
            "SELECT `partition`, epoch, sequence, digest, through_sequence FROM marks FINAL WHERE sink = {sink:String}",
            {"sink": sink},
        )
        return {row[0]: StoredMark(Mark(row[1], row[2], row[3]), row[4]) for row in rows}

    async def store_rows(self, group: Group) -> None:
        """All partitions' rows, one insert per table. The marks follow separately, when everything else is safe."""
        await self._insert_columns(USAGE, group.usage.columns())
        await self._insert(CREDITS, group.credits)
        await self._insert(DEAD_LETTERS, [dead_letter_row(place, flaw) for place, flaw in group.dead_letters])

    async def store_marks(
        self, marks: Mapping[int, Mark], *, sink: str = USAGE_SINK, through: int | None = None
    ) -> None:
        """`through`: the stream sequence up to which these partitions are known complete (None: the mark's own)."""
        rows = [mark_row(sink, partition, mark, max(mark.sequence, through or 0)) for partition, mark in marks.items()]
        await self._insert(MARKS, rows)

    async def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        await self._insert_columns(table, list(zip(*rows, strict=True)))

    async def _insert_columns(self, table: Table, columns: Sequence[Sequence[Any]]) -> None:
        if columns:
            sent = list(sent_columns(table, columns))
            names, types, values = zip(*sent, strict=True)
            await self._clickhouse.insert(table.name, values, names, types)


def sent_columns(table: Table, columns: Sequence[Sequence[Any]]) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """(name, wire type, values) of what has to be sent: a column without a value is NULL when it is left out, and one
    without a NULL goes as its plain type. Nullable columns cost the client most, and most counts are one of the two.
    """
    for name, wire_type, values in zip(table.columns, table.types, columns, strict=True):
        if wire_type.startswith("Nullable("):
            nulls = values.count(None)
            if nulls == len(values):
                continue
            if not nulls:
                wire_type = wire_type[len("Nullable(") : -1]
        yield name, wire_type, values
