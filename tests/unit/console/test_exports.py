"""Exports' limits: how many, how long, and what becomes of a query whose reader has gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import date
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lumen.platform.clickhouse import ClickHouse, ClickHouseUnavailable
from services.console.errors import ConsoleError, Unavailable
from services.console.finance.columns import csv_head
from services.console.finance.exports import Exports, usage_rows
from services.console.finance.scope import Days
from services.console.metrics import ConsoleMetrics

EXPORT = usage_rows(Days(date(2026, 11, 1), date(2026, 11, 2)), "")
HEAD = csv_head(EXPORT.columns)


class Rows(ClickHouse):
    """Chunks without an engine; `is_closed` once the query was ended."""

    def __init__(self, chunks: list[bytes], failure: Exception | None = None) -> None:
        super().__init__("http://nowhere")
        self._chunks, self._failure = chunks, failure
        self.is_closed = False

    async def stream_csv(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[bytes, None]:
        try:
            for chunk in self._chunks:
                yield chunk
            if self._failure is not None:
                raise self._failure
        finally:
            self.is_closed = True


def exports_of(rows: Rows, now: float = 0.0, step_s: float = 0.0) -> tuple[Exports, CollectorRegistry]:
    registry = CollectorRegistry()
    clock = iter(now + step_s * tick for tick in range(1000))
    return Exports(rows, ConsoleMetrics(registry), at_once_max=2, seconds_max=10, now=lambda: next(clock)), registry


def ended(registry: CollectorRegistry, outcome: str) -> float | None:
    labels = {"export": "usage", "format": "csv", "outcome": outcome}
    return registry.get_sample_value("lumen_console_exports_total", labels)


async def test_more_than_the_limit_are_refused_until_one_ends() -> None:
    exports, registry = exports_of(Rows([b"1\n", b"2\n"]))
    first, second = await exports.open(EXPORT, "csv"), await exports.open(EXPORT, "csv")
    with pytest.raises(ConsoleError) as refused:
        await exports.open(EXPORT, "csv")
    assert (refused.value.kind, refused.value.row.http_status) == ("too_many_exports", 503)
    assert [chunk async for chunk in first] == [HEAD + b"1\n", b"2\n"]
    assert ended(registry, "whole") == 1
    third = await exports.open(EXPORT, "csv")
    await second.aclose()
    await third.aclose()
    assert registry.get_sample_value("lumen_console_exports_open") == 0


async def test_a_reader_that_leaves_ends_the_query() -> None:
    rows = Rows([b"1\n"] * 100)
    exports, registry = exports_of(rows)
    chunks = await exports.open(EXPORT, "csv")
    assert await anext(chunks) == HEAD + b"1\n"
    await chunks.aclose()
    assert rows.is_closed
    assert ended(registry, "broken_off") == 1


async def test_clickhouse_away_is_told_before_anything_is_sent() -> None:
    exports, registry = exports_of(Rows([], ClickHouseUnavailable("away")))
    with pytest.raises(Unavailable):
        await exports.open(EXPORT, "csv")
    assert registry.get_sample_value("lumen_console_exports_open") == 0


async def test_one_that_takes_too_long_breaks_off() -> None:
    exports, registry = exports_of(Rows([b"1\n"] * 100), step_s=4.0)
    chunks = await exports.open(EXPORT, "csv")
    with pytest.raises(Unavailable, match="10 s"):
        _ = [chunk async for chunk in chunks]
    assert ended(registry, "broken_off") == 1


async def test_nothing_found_is_a_head_alone() -> None:
    exports, _ = exports_of(Rows([]))
    assert [chunk async for chunk in await exports.open(EXPORT, "csv")] == [HEAD]
