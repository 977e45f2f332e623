"""Clients of a gateway: so many connections, each firing one request after the other, and what became of every one.

For chaos and load tests, on a protocol of its own (asyncio and httptools): a client must report what it saw whatever
happens to the server, and thousands of open streams must fit into one process. Nothing here raises for what the server
does; a request that failed is an Outcome with `error`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.load.answers import Answer, read_single, read_stream
from tests.load.calls import Call
from tests.load.http_exchange import HttpExchange

_CONNECT_TIMEOUT_S = 5.0
_PAUSE_AFTER_FAILURE_S = 0.05


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `is_edge` decides between the edge's paths and the simulator's."""

    base_url: str
    api_key: str
    is_edge: bool = True
    prefix: str = ""

    def path(self, call: Call) -> str:
        return self.prefix + (call.path if self.is_edge else call.upstream_path)

    def request(self, call: Call) -> bytes:
        """HTTP/1.1, with keep-alive."""
        headers = [("host", urlsplit(self.base_url).netloc), *call.headers(self.api_key)]
        headers.append(("content-length", str(len(call.body))))
        lines = [f"POST {self.path(call)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + call.body


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request as its client saw it. `is_complete`: the end of the answer was seen, so it must be charged, once.

    `status` is 0 when no status line came. `usage` is the reported object as it came. `error` says why the answer is
    not complete, "" when it is. Times are in seconds since the request was written; `ttft_s` counts to the first byte
    of the body, `gap_s_max` is the longest silence after it; None and 0 when no byte came.
    """

    call: Call
    status: int = 0
    request_id: str = ""
    is_complete: bool = False
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    frames: int = 0
    body_bytes: int = 0
    ttft_s: float | None = None
    gap_s_max: float = 0.0
    total_s: float = 0.0


class Client:
    """One keep-alive connection, opened when needed. `headers` of the last answer are kept for tests to look at."""

    def __init__(self, target: Target, *, timeout_s: float = 60.0) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._connection: HttpExchange | None = None
        self.headers: dict[str, str] = {}

    async def send(self, call: Call) -> Outcome:
        """Always returns; a silent server costs `timeout_s`."""
        connection = self._connection
        if connection is None or not connection.is_reusable:
            try:
                connection = await self._connect()
            except (OSError, TimeoutError) as error:
                return Outcome(call, error=f"connect: {error!r}")
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.exchange(self._target.request(call))
        except TimeoutError:
            connection.fail(f"no end within {self._timeout_s:g} s")
        self.headers = connection.headers
        return _outcome(call, connection, started, time.perf_counter())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _connect(self) -> HttpExchange:
        self.close()
        url = urlsplit(self._target.base_url)
        host, port = url.hostname or "", url.port or 80
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(lambda: HttpExchange(loop), host, port)
        self._connection = connection
        return connection


async def run_load(
    target: Target,
    next_call: Callable[[], Call | None],
    *,
    connections: int,
    timeout_s: float = 60.0,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Every connection sends what `next_call` gives it until that gives None. `on_outcome` is told of each as it ends.

    After a request without an answer a connection pauses for a moment: a server that is down is not hammered.
    """
    outcomes: list[Outcome] = []

    async def work() -> None:
        client = Client(target, timeout_s=timeout_s)
        try:
            while (call := next_call()) is not None:
                outcome = await client.send(call)
                outcomes.append(outcome)
                if on_outcome is not None:
                    on_outcome(outcome)
                if outcome.status == 0:
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
        finally:
            client.close()

    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(work(), name=f"load-{number}")
    return outcomes


class Calls:
    """A `next_call` for `run_load`: the given calls in turn, until `count` were handed out or `stop()`."""

    def __init__(self, *calls: Call, count: int | None = None) -> None:
        self._calls = calls
        self._left = count
        self._next = 0
        self._is_stopped = False

    def stop(self) -> None:
        """Let what is under way end, and begin nothing more."""
        self._is_stopped = True

    def __call__(self) -> Call | None:
        if self._is_stopped or self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        call = self._calls[self._next % len(self._calls)]
        self._next += 1
        return call


def _outcome(call: Call, exchange: HttpExchange, started: float, ended: float) -> Outcome:
    body = bytes(exchange.body)
    answer = _read(call, exchange.status, body, is_whole=exchange.is_whole)
    error = "" if answer.is_complete else answer.error or exchange.failure
    if not answer.is_complete and not error:
        error = "the answer ended before its end"
    return Outcome(
        call,
        status=exchange.status,
        request_id=exchange.headers.get("x-request-id", ""),
        is_complete=answer.is_complete,
        usage=answer.usage,
        error=error,
        frames=answer.frames,
        body_bytes=len(body),
        ttft_s=exchange.first_byte_at - started if exchange.first_byte_at else None,
        gap_s_max=exchange.gap_s_max,
        total_s=ended - started,
    )


def _read(call: Call, status: int, body: bytes, *, is_whole: bool) -> Answer:
    if status != 200:
        return Answer(error=body[:300].decode("utf-8", "replace"))
    if call.is_stream:
        return read_stream(call.dialect, body)
    return read_single(body) if is_whole else Answer()


def run(main: Any) -> Any:
    """Run a coroutine on uvloop where it is installed."""
    with suppress(ImportError):
        import uvloop

        return uvloop.run(main)
    return asyncio.run(main)
