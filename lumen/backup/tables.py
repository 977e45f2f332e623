"""ClickHouse's tables over its HTTP interface in format Native, streamed both ways; views by their statements.

For one server or shard. Replicated clusters restore their tables with ClickHouse's own BACKUP (the runbook says how).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx

from lumen.backup.errors import StoreAway
from lumen.backup.manifest import StoredTable, read_pieces, store_file
from lumen.platform.clickhouse import ERROR_TRAILER, parse_url

_TIMEOUT_S = 60.0  # between two pieces
# First what says how far the others are complete: rows beyond it are posted again, which does no harm.
_FIRST = "marks"


class ClickHouseTables:
    """Use as an async context manager. Raises StoreAway."""

    def __init__(self, url: str) -> None:
        self._address = address = parse_url(url)
        scheme = "https" if address.is_secure else "http"
        self.database = address.database
        self._client = httpx.AsyncClient(
            base_url=f"{scheme}://{address.host}:{address.port}/",
            headers={"X-ClickHouse-User": address.username, "X-ClickHouse-Key": address.password},
            timeout=_TIMEOUT_S,
            trust_env=False,
        )

    async def __aenter__(self) -> ClickHouseTables:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def backup(self, directory: Path) -> list[StoredTable]:
        """Tables with their rows, then views in the order in which they can be made."""
        finance = "finance" if self.database == "lumen" else f"{self.database}_finance"
        answer = await self._run(
            "SELECT database, name, engine LIKE '%MergeTree', create_table_query FROM system.tables"
            f" WHERE database IN ({_text(self.database)}, {_text(finance)}) AND NOT is_temporary"
            f" ORDER BY database != {_text(self.database)}, name != {_text(_FIRST)}, metadata_modification_time, name"
            " FORMAT JSONCompactEachRow"
        )
        stored: list[StoredTable] = []
        for line in answer.splitlines():
            database, name, has_rows, create_statement = json.loads(line)
            full_name = f"{database}.{name}"
            file = None
            if int(has_rows):
                file = await store_file(directory, f"{full_name}.native", self._rows(database, name))
            stored.append(StoredTable(full_name, create_statement, file))
        return sorted(stored, key=lambda table: table.file is None)

    async def rows_by_table(self) -> dict[str, int]:
        """Of the tables that are there and not empty."""
        answer = await self._run(
            f"SELECT name, total_rows FROM system.tables WHERE database = {_text(self.database)} AND total_rows > 0"
            " FORMAT JSONCompactEachRow"
        )
        rows = [json.loads(line) for line in answer.splitlines()]
        return {name: int(count) for name, count in rows}

    async def restore(self, tables: list[StoredTable], directory: Path) -> None:
        """Make what is missing and fill the tables, which must be empty."""
        for database in {table.name.partition(".")[0] for table in tables}:
            await self._run(f"CREATE DATABASE IF NOT EXISTS {_name(database)}")
        for table in tables:
            statement = table.create_statement
            for kind in ("TABLE", "VIEW"):
                statement = statement.replace(f"CREATE {kind} ", f"CREATE {kind} IF NOT EXISTS ", 1)
            await self._run(statement)
            if table.file is not None and table.file.size_bytes:
                database, _, name = table.name.partition(".")
                insert = f"INSERT INTO {_name(database)}.{_name(name)} FORMAT Native"
                await self._run(insert, read_pieces(directory / table.file.name))

    async def _rows(self, database: str, name: str) -> AsyncIterator[bytes]:
        query = f"SELECT * FROM {_name(database)}.{_name(name)} FORMAT Native"
        tail = b""
        try:
            async with self._client.stream("POST", "", content=query.encode()) as answer:
                await _check(answer)
                async for piece in answer.aiter_raw():
                    tail = (tail + piece)[-len(ERROR_TRAILER) :]
                    yield piece
        except httpx.HTTPError as error:
            raise StoreAway(f"ClickHouse: {database}.{name} broke off: {error!r}") from error
        if tail == ERROR_TRAILER:
            raise StoreAway(f"ClickHouse: reading {database}.{name} failed on the way")

    async def _run(self, query: str, data: Iterator[bytes] | None = None) -> bytes:
        parameters = {"query": query} if data is not None else {}
        content = _asynchronous(data) if data is not None else query.encode()
        try:
            async with self._client.stream("POST", "", params=parameters, content=content) as answer:
                await _check(answer)
                return await answer.aread()
        except httpx.HTTPError as error:
            raise StoreAway(f"ClickHouse does not answer: {error!r}") from error


async def _check(answer: httpx.Response) -> None:
    if answer.status_code != 200:
        text = (await answer.aread()).decode(errors="replace")
        raise StoreAway(f"ClickHouse refused: {text[:500]}")


async def _asynchronous(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
