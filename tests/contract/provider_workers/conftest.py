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
from services.edge.provider_workers.httpx_transport import HttpxTransport
from services.edge.provider_workers.lean.transport import LeanTransport
from services.edge.provider_workers.transport import (
    ConnectionStats,
    Headers,
    TransportOptions,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTransport,
)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["lean", "httpx"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
        chosen = TransportOptions(timeouts=Timeouts(**{"connect_s": 5, **(timeouts or {})}), **options)
        transport = LeanTransport if kind == "lean" else HttpxTransport
        made.append(transport(origin, chosen, stats))
        return made[-1]

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
