"""CSV as ClickHouse writes it becomes the same rows as Parquet, wherever it is cut."""

from __future__ import annotations

import io
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.finance.columns import Column, quoted
from services.console.finance.parquet import ROW_BYTES_MAX, ParquetEncoder, RowTooLarge

COLUMNS = (
    Column("text", "string", ("",)),
    Column("count", "integer", ("",)),
    Column("amount", "decimal", ("",)),
    Column("at", "time", ("",)),
    Column("flag", "boolean", ("",)),
)
LARGEST = Decimal(2**63 - 1).scaleb(-9)
_texts = (
    st.none()
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
    | st.sampled_from(['a"b', "line\nline", '"', "\\N", "", "=1+1", "\r\n", '","', "NULL"])
)
_rows = st.lists(
    st.tuples(
        _texts,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.decimals(-LARGEST, LARGEST, places=9),
        st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1)),
        st.booleans(),
    ),
    max_size=20,
)


def csv_row(row: Any) -> bytes:
    text, count, amount, at, flag = row
    escaped = "\\N" if text is None else '"' + text.replace('"', '""') + '"'
    cells = (
        escaped,
        "\\N" if count is None else str(count),
        f"{amount:f}",
        f'"{at:%Y-%m-%dT%H:%M:%S.%f}Z"',
        "true" if flag else "false",
    )
    return (",".join(cells) + "\n").encode()


def read(data: bytes) -> list[tuple[Any, ...]]:
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert str(table.schema.field("amount").type) == "decimal128(38, 9)"
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    return [tuple(row.values()) for row in table.to_pylist()]


@given(_rows, st.integers(1, 50), st.integers(1, 200))
def test_any_cut_gives_the_same_rows(rows: list[Any], chunk_bytes: int, block_bytes: int) -> None:
    data = b"".join(map(csv_row, rows))
    encoder = ParquetEncoder(COLUMNS, block_bytes=block_bytes)
    encoded = b"".join(encoder.feed(data[at : at + chunk_bytes]) for at in range(0, len(data), chunk_bytes))
    found = read(encoded + encoder.close())
    assert [(*row[:3], row[3].replace(tzinfo=None), row[4]) for row in found] == rows


def test_no_rows_are_a_whole_file() -> None:
    assert read(ParquetEncoder(COLUMNS).close()) == []


def test_a_row_without_end_is_refused_instead_of_kept() -> None:
    encoder = ParquetEncoder(COLUMNS, block_bytes=100)
    with pytest.raises(RowTooLarge):
        encoder.feed(b'"' + b"x" * (ROW_BYTES_MAX + 200))


@pytest.mark.parametrize(
    ("text", "literal"), [("a", "'a'"), ("o'neil", "'o\\'neil'"), ("\\", "'\\\\'"), ("\\' OR 1", "'\\\\\\' OR 1'")]
)
def test_a_name_stays_inside_its_literal(text: str, literal: str) -> None:
    assert quoted(text) == literal
