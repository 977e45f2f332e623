"""The one open chdb engine of this process and the one thread that may call it.

Each request gets a connection of its own (0.3 ms): its database, settings and parameters end with it. Calls are
serialised; whoever comes when too many wait is refused at once with TOO_MANY_SIMULTANEOUS_QUERIES.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from deploy.local.clickhouse_bridge.errors import (
    SYNTAX_ERROR,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    decode_error,
    own_error,
)
from deploy.local.clickhouse_bridge.statement import InsertData

T = TypeVar("T")
_WAITING_MAX = 256
_STREAMS_MAX = 32
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
# fsync: an acknowledged INSERT survives a power cut; kill -9 loses nothing either way.
_CONFIG = """<clickhouse>
    <merge_tree>
        <fsync_after_insert>1</fsync_after_insert>
        <fsync_part_directory>1</fsync_part_directory>
    </merge_tree>
    <logger><level>none</level></logger>
</clickhouse>
"""


@dataclass(frozen=True, slots=True)
class Context:
    """What applies to one request. `parameters` are query parameters in ClickHouse's escaped text form."""

    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    is_readonly: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` in the format asked for; counts as `X-ClickHouse-Summary` reports them."""

    body: bytes
    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0
    elapsed_ns: int = 0


class Engine:
    """Raises EngineError for whatever the engine refuses. `close()` at the end."""

    def __init__(self, path: Path) -> None:
        from chdb import _chdb  # loads 400 MB of engine: only in the process that runs it

        path.mkdir(parents=True, exist_ok=True)
        config = path / "bridge.xml"
        config.write_text(_CONFIG)
        store = (path / "store").resolve()
        connect: Callable[[str], Any] = _chdb.connect  # type: ignore[attr-defined]  # the extension has no stubs
        self._connect: Callable[[], Any] = lambda: connect(f"{store}?config-file={config.resolve()}")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chdb")
        self._waiting = 0
        self._streams = 0
        # Keeps the engine open between requests; all other connections share its data.
        self._keeper: Any = self._thread.submit(self._connect).result()
        version, timezone = self._thread.submit(self._query_identity).result()
        self.version: str = version
        self.timezone: str = timezone

    def close(self) -> None:
        self._thread.submit(self._keeper.close).result()
        self._thread.shutdown()

    async def run(self, sql: str, default_format: str, context: Context) -> Answer:
        """Run one statement and return its whole answer."""

        def call() -> Answer:
            with closing(self._open(context)) as connection:
                if connection.classify_query(sql)["statement_count"] > 1:  # the server's HTTP interface refuses them
                    raise own_error(SYNTAX_ERROR, "SYNTAX_ERROR", "Multi-statements are not allowed")
                started_ns = time.monotonic_ns()
                result = connection.query(sql, default_format, params=dict(context.parameters))
                return Answer(
                    body=bytes(result.bytes()),
                    rows_read=result.storage_rows_read(),
                    bytes_read=result.storage_bytes_read(),
                    rows_written=result.rows_written(),
                    bytes_written=result.bytes_written(),
                    elapsed_ns=time.monotonic_ns() - started_ns,
                )

        return await self._submit(call)

    async def insert(self, insert: InsertData, context: Context) -> Answer:
        """Return when the rows are in the table (and on disk)."""

        def call() -> Answer:
            with closing(self._open(context)) as connection:
                started_ns = time.monotonic_ns()
                if context.parameters:  # send_insert takes none
                    connection.query(f"SET {_assignments(context.parameters, prefix='param_')}", "Null")
                stream = connection.send_insert(insert.header, insert.format)
                try:
                    if insert.data:
                        connection.insert_append(stream, insert.data)
                except Exception:
                    connection.insert_cancel(stream)
                    raise
                result = connection.insert_done(stream)
                return Answer(
                    body=b"",
                    rows_written=result.rows_written(),
                    bytes_written=result.bytes_written(),
                    elapsed_ns=time.monotonic_ns() - started_ns,
                )

        return await self._submit(call)

    async def stream(self, sql: str, default_format: str, context: Context) -> AsyncIterator[bytes]:
        """Run a SELECT and yield its answer chunk by chunk, at the pace of whoever takes them."""
        if self._streams >= _STREAMS_MAX:
            raise own_error(TOO_MANY_SIMULTANEOUS_QUERIES, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many open streams")
        self._streams += 1
        stream = _Stream()
        try:
            await self._submit(lambda: stream.start(self._open(context), sql, default_format, dict(context.parameters)))
            while chunk := await self._submit(stream.fetch):
                yield chunk
        finally:
            self._streams -= 1
            # Not awaited, as this may run because the client went away; the thread takes it after what came before.
            self._thread.submit(stream.end)

    async def _submit(self, call: Callable[[], T]) -> T:
        if self._waiting >= _WAITING_MAX:
            raise own_error(TOO_MANY_SIMULTANEOUS_QUERIES, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many waiting queries")
        self._waiting += 1
        job = asyncio.wrap_future(self._thread.submit(call))
        job.add_done_callback(self._job_ended)
        try:
            return await asyncio.shield(job)  # a call that began cannot be taken back
        except RuntimeError as error:
            raise decode_error(error) from error

    def _job_ended(self, job: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not job.cancelled():
            job.exception()  # seen, even if whoever waited is gone

    def _open(self, context: Context) -> Any:
        connection = self._connect()
        try:
            if context.database:
                connection.query(f"USE `{_escape(context.database, '`')}`", "Null")
            if context.settings:
                connection.query(f"SET {_assignments(context.settings)}", "Null")
            if context.is_readonly:
                connection.query("SET readonly = 2", "Null")
        except BaseException:
            connection.close()
            raise
        return connection

    def _query_identity(self) -> list[str]:
        answer: bytes = self._keeper.query("SELECT version(), timezone()", "TabSeparated").bytes()
        return answer.decode().strip().split("\t")


class _Stream:
    """One streamed SELECT with its connection. Every method runs in the engine's thread."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._unfinished: Any = None

    def start(self, connection: Any, sql: str, default_format: str, parameters: dict[str, str]) -> None:
        self._connection = connection
        self._unfinished = connection.send_query(sql, default_format, params=parameters)

    def fetch(self) -> bytes:
        """The next chunk; empty at the end."""
        result = self._connection.streaming_fetch_result(self._unfinished)
        chunk = b"" if result is None else bytes(result.bytes())
        if not chunk:
            self._unfinished = None
        return chunk

    def end(self) -> None:
        if self._connection is None:
            return
        try:
            if self._unfinished is not None:
                self._connection.streaming_cancel_query(self._unfinished)
        finally:
            self._connection.close()


def _assignments(values: Mapping[str, str], *, prefix: str = "") -> str:
    for name in values:
        if not _NAME.fullmatch(name):
            raise own_error(SYNTAX_ERROR, "SYNTAX_ERROR", f"Not a name: {name!r}")
    return ", ".join(f"{prefix}{name} = '{_escape(value, chr(39))}'" for name, value in values.items())


def _escape(value: str, quote: str) -> str:
    return value.replace("\\", "\\\\").replace(quote, "\\" + quote)
