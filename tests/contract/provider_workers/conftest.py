"""Both transports, on the event loop that the edge runs on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import pytest
import uvloop

from lumen.catalog.document import Timeouts
from lumen.platform.addresses import AddressPolicy
from services.edge.provider_workers.httpx_transport import HttpxTransport
from services.edge.provider_workers.lean.transport import LeanTransport
from services.edge.provider_workers.transport import (
    ConnectionStats,
    Headers,
    Sink,
    TransportOptions,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTransport,
)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["lean", "lean_pumped", "httpx"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Pumped:
    """A response whose bytes come through `pump` wherever they can: it has to keep every promise of `read`."""

    def __init__(self, response: UpstreamResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.response = response
        self._pieces: list[bytes] = []

    def _take(self, piece: bytes) -> bool:
        self._pieces.append(piece)
        return len(self._pieces) < 3

    async def read(self) -> bytes:
        if not self._pieces:
            await self.response.pump(self._take)
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            return data
        return await self.response.read()

    async def pump(self, sink: Sink) -> None:
        await self.response.pump(sink)

    def abort(self) -> None:
        self.response.abort()


class PumpingTransport:
    def __init__(self, transport: UpstreamTransport) -> None:
        self._transport = transport

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        return Pumped(await self._transport.send(request))

    async def close(self) -> None:
        await self._transport.close()


LOOPBACK = AddressPolicy.parse("127.0.0.0/8, ::1")


class NewTransport(Protocol):
    def __call__(
        self, origin: str, *, timeouts: dict[str, float] | None = None, **options: Any
    ) -> UpstreamTransport: ...


@pytest.fixture
def stats() -> ConnectionStats:
    return ConnectionStats()


@pytest.fixture
async def new_transport(
    kind: str, stats: ConnectionStats, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[NewTransport]:
    """Make a transport; all are closed, and their connections must be gone, at the end of the test."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    made: list[UpstreamTransport] = []

    def make(origin: str, *, timeouts: dict[str, float] | None = None, **options: Any) -> UpstreamTransport:
        chosen = TransportOptions(
            timeouts=Timeouts(**{"connect_s": 5, **(timeouts or {})}), **{"addresses": LOOPBACK, **options}
        )
        transport = HttpxTransport if kind == "httpx" else LeanTransport
        made.append(transport(origin, chosen, stats))
        return PumpingTransport(made[-1]) if kind == "lean_pumped" else made[-1]

    yield make
    for transport in made:
        async with asyncio.timeout(5):
            await transport.close()
    assert stats.connections_open == stats.connections_idle == 0


def post(body: bytes = b"{}", headers: Headers | None = None, target: bytes = b"/v1/x") -> UpstreamRequest:
    return UpstreamRequest(b"POST", target, headers or [(b"content-type", b"application/json")], body)


async def read_all(response: UpstreamResponse) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


async def ask(transport: UpstreamTransport, request: UpstreamRequest | None = None) -> bytes:
    """The whole body of an answer."""
    return await read_all(await transport.send(request or post()))


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def cancel(awaiting: asyncio.Task[Any] | asyncio.Future[Any]) -> None:
    awaiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await awaiting
