"""Columns of exports: a name, a type, and the SQL that fills it. Amounts are decimals with 9 digits, never floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

Kind = Literal["string", "integer", "decimal", "time", "boolean"]

DECIMAL_PRECISION, DECIMAL_SCALE = 38, 9
_ARROW: dict[Kind, Any] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "decimal": pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
    "time": pa.timestamp("us", tz="UTC"),
    "boolean": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """`sql` is one expression per source of the export; NULL where a source has no such thing."""

    name: str
    kind: Kind
    sql: tuple[str, ...]


def arrow_schema(columns: Sequence[Column]) -> Any:
    return pa.schema([pa.field(column.name, _ARROW[column.kind]) for column in columns])


def csv_head(columns: Sequence[Column]) -> bytes:
    return (",".join(f'"{column.name}"' for column in columns) + "\n").encode()


def select_list(columns: Sequence[Column], source: int) -> str:
    return ", ".join(f"{column.sql[source]} AS `{column.name}`" for column in columns)


def usd(nanousd: str) -> str:
    """SQL of an exact decimal in USD from an integer expression in nano-USD."""
    return f"toDecimal128({nanousd}, {DECIMAL_SCALE}) / 1000000000"


def iso(time: str, *, microseconds: bool = False) -> str:
    """SQL of `2026-11-25T10:00:00Z`."""
    return f"formatDateTime({time}, '%Y-%m-%dT%H:%i:%S{'.%f' if microseconds else ''}Z', 'UTC')"


def quoted(text: str) -> str:
    """A string literal of ClickHouse's SQL, for what is too much for a bound parameter (it goes into the URL)."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
