"""CSV as ClickHouse writes it -> Parquet, block by block: one block and one row group are held, whatever the size.

Text is quoted with its quotes doubled, NULL is a bare `\\N`, so a newline ends a row exactly when the quotes before it
are even in number.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from services.console.finance.columns import Column, arrow_schema

_BLOCK_BYTES = 8 * 1024 * 1024
ROW_BYTES_MAX = 1024 * 1024


class RowTooLarge(Exception):
    """No row ends within ROW_BYTES_MAX behind a full block."""


class ParquetEncoder:
    """`feed` and `close` return what can be sent on; both may compute for tens of milliseconds."""

    def __init__(self, columns: Sequence[Column], *, block_bytes: int = _BLOCK_BYTES) -> None:
        schema = arrow_schema(columns)
        self._sink = _Sink()
        self._writer: Any = pyarrow.parquet.ParquetWriter(self._sink, schema, compression="zstd")
        self._block_bytes = block_bytes
        self._pending = bytearray()
        self._read = pyarrow.csv.ReadOptions(column_names=schema.names, use_threads=False, block_size=2**31 - 1)
        self._parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        self._convert = pyarrow.csv.ConvertOptions(
            column_types={field.name: field.type for field in schema},
            null_values=["\\N"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

    @property
    def wants(self) -> int:
        """Bytes until the next `feed` computes anything."""
        return max(0, self._block_bytes - len(self._pending))

    def feed(self, chunk: bytes) -> bytes:
        """Raises RowTooLarge."""
        self._pending += chunk
        if len(self._pending) >= self._block_bytes:
            end = _last_row_end(self._pending)
            if end == 0 and len(self._pending) > self._block_bytes + ROW_BYTES_MAX:
                raise RowTooLarge
            self._write(end)
        return self._sink.take()

    def close(self) -> bytes:
        """The rest and the foot."""
        self._write(len(self._pending))
        self._writer.close()
        return self._sink.take()

    def _write(self, end: int) -> None:
        if end == 0:
            return
        block = bytes(memoryview(self._pending)[:end])
        del self._pending[:end]
        self._writer.write_table(pyarrow.csv.read_csv(pa.BufferReader(block), self._read, self._parse, self._convert))


def _last_row_end(data: bytearray) -> int:
    """Offset behind the last newline that is outside quotes; 0: there is none."""
    end = len(data)
    while (newline := data.rfind(b"\n", 0, end)) >= 0:
        if data.count(b'"', 0, newline) % 2 == 0:
            return newline + 1
        end = newline
    return 0


class _Sink(io.RawIOBase):
    """A file that is only ever appended to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._position += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
