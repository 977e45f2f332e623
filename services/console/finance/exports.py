"""Exports of any size in constant memory: ClickHouse reads in its own order, or day by day; rows pass through.

An export that breaks off ends without its last chunk, so no client takes a part for the whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from lumen.platform.clickhouse import ClickHouse, ClickHouseUnavailable
from services.console.errors import ConsoleError, Unavailable
from services.console.finance import focus, usage_export
from services.console.finance.columns import Column, csv_head, select_list
from services.console.finance.parquet import ParquetEncoder
from services.console.finance.scope import Days
from services.console.metrics import ConsoleMetrics

Format = Literal["csv", "parquet"]
ExportName = Literal["usage", "focus"]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
}

_SORTED_BYTES_MAX = 128 * 1024 * 1024  # in memory; the rest on ClickHouse's disk
_ANSWERS_MAX = 100  # of FOCUS usage; each names every account again
_QUERY_BYTES_MAX = 64 * 1024 * 1024  # FOCUS names every account


class Statement(NamedTuple):
    sql: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Export:
    """`statements` run one after the other; their rows are the export's rows in that order."""

    name: ExportName
    columns: Sequence[Column]
    statements: Sequence[Statement]


def usage_rows(days: Days, account: str) -> Export:
    """`account` is an id; empty: all."""
    where = focus.CONDITIONS[0] + _of_account(account)
    sql = (
        f"SELECT {select_list(usage_export.USAGE_COLUMNS, 0)} FROM {usage_export.USAGE_SOURCE}"
        f" WHERE {where} ORDER BY {usage_export.USAGE_ORDER}"
    )
    return Export("usage", usage_export.USAGE_COLUMNS, [Statement(sql, _parameters(days, account))])


def focus_rows(days: Days, account: str, issuer: str, names: dict[str, str]) -> Export:
    """Usage is asked for in small answers: it comes out of a join, so ClickHouse sorts, and holds, each one whole."""
    columns = focus.focus_columns(issuer, names)
    usage, credits_ = (
        f"SELECT {select_list(columns, source)} FROM"
        f" {focus.SOURCES[source].replace('{where}', focus.CONDITIONS[source] + _of_account(account))}"
        f" ORDER BY {focus.ORDERS[source]}"
        for source in range(len(focus.SOURCES))
    )
    statements = [Statement(usage, _parameters(day, account)) for day in days.parts(_ANSWERS_MAX)]
    return Export("focus", columns, [*statements, Statement(credits_, _parameters(days, account))])


class ExportStream:
    """An export under way: an iterator that must be closed, begun or not."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> ExportStream:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return first if first is not None else await anext(self._rest)

    async def aclose(self) -> None:
        await self._rest.aclose()


class Exports:
    """`clickhouse`: with a timeout per chunk. At most `at_once_max` are under way, each for `seconds_max`."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        metrics: ConsoleMetrics,
        *,
        at_once_max: int,
        seconds_max: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clickhouse = clickhouse
        self._metrics = metrics
        self._at_once_max = at_once_max
        self._seconds_max = seconds_max
        self._now = now
        self._open = 0

    async def open(self, export: Export, format_: Format) -> ExportStream:
        """Returns when the query has begun. Raises ConsoleError (too_many_exports, unavailable)."""
        if self._open >= self._at_once_max:
            raise ConsoleError(f"{self._open} exports are under way; try again later", kind="too_many_exports")
        self._open += 1
        self._metrics.exports_open.inc()
        chunks = self._counted(export, format_)
        return ExportStream(await anext(chunks), chunks)  # there is always a head

    async def _counted(self, export: Export, format_: Format) -> AsyncGenerator[bytes, None]:
        outcome = "broken_off"
        try:
            encoded = self._csv(export) if format_ == "csv" else self._parquet(export)
            async with aclosing(encoded) as chunks:
                async for chunk in chunks:
                    self._metrics.export_bytes.labels(export.name, format_).inc(len(chunk))
                    yield chunk
            outcome = "whole"
        finally:
            self._open -= 1
            self._metrics.exports_open.dec()
            self._metrics.exports.labels(export.name, format_, outcome).inc()

    async def _csv(self, export: Export) -> AsyncGenerator[bytes, None]:
        head = csv_head(export.columns)
        async with aclosing(self._rows(export)) as chunks:
            async for chunk in chunks:
                yield head + chunk
                head = b""
        if head:
            yield head

    async def _parquet(self, export: Export) -> AsyncGenerator[bytes, None]:
        encoder = ParquetEncoder(export.columns)
        async with aclosing(self._rows(export)) as chunks:
            async for chunk in chunks:
                is_quick = len(chunk) < encoder.wants
                encoded = encoder.feed(chunk) if is_quick else await asyncio.to_thread(encoder.feed, chunk)
                if encoded:
                    yield encoded
        yield await asyncio.to_thread(encoder.close)

    async def _rows(self, export: Export) -> AsyncGenerator[bytes, None]:
        deadline = self._now() + self._seconds_max
        settings = {
            "max_execution_time": int(self._seconds_max),
            "max_query_size": _QUERY_BYTES_MAX,
            "optimize_aggregation_in_order": 1,
            "do_not_merge_across_partitions_select_final": 1,
            "output_format_decimal_trailing_zeros": 0,
            "max_bytes_before_external_sort": _SORTED_BYTES_MAX,
        }
        try:
            for statement in export.statements:
                chunks = self._clickhouse.stream_csv(statement.sql, statement.parameters, settings)
                async with aclosing(chunks):
                    async for chunk in chunks:
                        if self._now() > deadline:
                            raise Unavailable(f"an export may take {self._seconds_max:.0f} s; ask for fewer days")
                        yield chunk
        except ClickHouseUnavailable as error:
            raise Unavailable("ClickHouse cannot be reached, or failed meanwhile") from error


def _of_account(account: str) -> str:
    return " AND account = {account:String}" if account else ""


def _parameters(days: Days, account: str) -> dict[str, Any]:
    since_s, until_s = days.bounds_s
    return {"since_s": since_s, "until_s": until_s, "account": account}
