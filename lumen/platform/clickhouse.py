"""ClickHouse as every service uses it: one HTTP client per process, connected on first use, bounded waits, two errors.

ClickHouseError
+-- ClickHouseUnavailable   not reached, too slow or too busy: try again later
+-- ClickHouseRejected      the server understood and refused: trying again gives the same answer
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError as DriverError

ERROR_TRAILER = b"\r\n__exception__\r\n"  # ends a body whose query failed after its head was sent (ClickHouse 25.11)
# Server error codes that pass by themselves: too many simultaneous queries, timeouts, memory, too many parts, read-only
# replica, keeper trouble (ClickHouse src/Common/ErrorCodes.cpp).
_TRANSIENT_CODES = frozenset({159, 160, 202, 203, 209, 210, 225, 241, 242, 252, 319, 394, 425, 999})


class ClickHouseError(Exception):
    """The root of what this module raises."""


class ClickHouseUnavailable(ClickHouseError):
    """Not reached, too slow or too busy."""


class ClickHouseRejected(ClickHouseError):
    """The server refused the statement."""


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    host: str
    port: int
    username: str
    password: str
    database: str
    is_secure: bool


def parse_url(url: str) -> ClickHouseAddress:
    """`http[s]://user:password@host:port/database`; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a ClickHouse URL looks like http://user:password@host:8123/database")
    is_secure = parts.scheme == "https"
    return ClickHouseAddress(
        host=parts.hostname,
        port=parts.port or (8443 if is_secure else 8123),
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=parts.path.strip("/") or "default",
        is_secure=is_secure,
    )


class ClickHouse:
    """A lazily connected client of one database. Safe to share between tasks; `close()` at the end.

    `use_database=False` connects to the server's default database: the one case is creating ours.
    """

    def __init__(
        self, url: str, *, connect_timeout_s: float = 2.0, timeout_s: float = 30.0, use_database: bool = True
    ) -> None:
        self._address = parse_url(url)
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._use_database = use_database
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()

    @property
    def database(self) -> str:
        return self._address.database

    async def insert(
        self, table: str, columns: Sequence[Sequence[Any]], names: Sequence[str], types: Sequence[str]
    ) -> None:
        """Insert columns (all of one length, at least one row) in one INSERT; `types` as sent on the wire."""
        await self._call(
            "insert",
            table,
            columns,
            column_names=names,
            column_type_names=types,
            column_oriented=True,
        )

    async def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a SELECT. `parameters` are bound by the server: `{name:Type}` in the text."""
        result = await self._call("query", sql, parameters=dict(parameters or {}))
        return [tuple(row) for row in result.result_rows]

    async def stream_csv(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """A SELECT's answer as FORMAT CSV in chunks cut anywhere, at the pace of whoever takes them: nothing is kept.

        The client's timeout is for each chunk. An answer that broke off raises; closing the iterator ends the query.
        """
        sent = dict(settings or {}) | {"cancel_http_readonly_queries_on_client_close": 1}
        stream = await self._call("raw_stream", sql, parameters=dict(parameters or {}), settings=sent, fmt="CSV")
        tail = b""
        try:
            async with stream as chunks:
                while (chunk := await self._await(anext(chunks, None))) is not None:
                    tail = (tail + chunk)[-len(ERROR_TRAILER) :]
                    yield chunk
        finally:
            stream.source.close()
        # Not to be mistaken for data: rows end with a bare newline, and text is quoted.
        if tail == ERROR_TRAILER:
            raise ClickHouseUnavailable("the query failed while its answer was being sent")

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """A statement without an answer: DDL, INSERT SELECT."""
        await self._call("command", sql, parameters=dict(parameters or {}))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        async def call() -> Any:
            client = self._client or await self._connect()
            return await getattr(client, method)(*args, **kwargs)

        return await self._await(call())

    async def _await(self, answer: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise ClickHouseUnavailable(repr(error)) from error
        except DriverError as error:
            code = getattr(error, "code", None)
            if code is None or code in _TRANSIENT_CODES:
                raise ClickHouseUnavailable(str(error)) from error
            raise ClickHouseRejected(str(error)) from error

    async def _connect(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                address = self._address
                self._client = await clickhouse_connect.get_async_client(
                    host=address.host,
                    port=address.port,
                    username=address.username,
                    password=address.password,
                    database=address.database if self._use_database else "default",
                    secure=address.is_secure,
                    compress=False,
                    connect_timeout=self._connect_timeout_s,
                    send_receive_timeout=self._timeout_s,
                    query_retries=0,
                    autogenerate_session_id=False,
                )
            return self._client
