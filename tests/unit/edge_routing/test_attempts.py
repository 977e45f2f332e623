"""How often and how long a request is tried: real workers against a small server that answers what its path says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from lumen.catalog.document import Channel
from lumen.catalog.resolve import Target
from lumen.ledger.entries import Attempt
from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError
from services.edge.attempts import Attempts
from services.edge.client_connection import ClientConnection
from services.edge.departures import Departures
from services.edge.exchanges import UpstreamMessage
from services.edge.failures import transport_failure
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse
from services.edge.routing.retry_budget import RetryBudget
from services.edge.routing.selection import Selection
from tests.unit.edge_routing.parts import Bed, channel, failure


class Provider:
    """`/<status>/...` answers that status; `requests` are the paths asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        self.requests.append(path)
        found = re.match(r"/(\d+)", path)
        assert found is not None
        writer.write(b"HTTP/1.1 %s X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}" % found[1].encode())
        writer.close()


class Client:
    is_gone = False

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        return


class Exchange:
    def __init__(self) -> None:
        self.client = cast(ClientConnection, Client())
        self.attempts: list[Attempt] = []
        self.on_first_byte: Callable[[], None] | None = None
        self.has_started: Callable[[], None] = lambda: None

    def request(self, target: Target) -> UpstreamMessage:
        return UpstreamMessage(Dialect.OPENAI_CHAT, b"/x", [], b"")

    async def receive(self, response: UpstreamResponse) -> None:
        if self.on_first_byte is not None:
            self.on_first_byte()
        self.has_started()
        await response.read()

    async def conclude(self, target: Target, response: UpstreamResponse | None, failure: Exception | None) -> str:
        if isinstance(failure, UpstreamFailure):
            raise transport_failure(failure)
        return "ok"


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Provider, int]]:
    found = Provider()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    yield found, server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def answering(status: int, port: int, name: str, **fields: Any) -> Channel:
    return channel(name, "m", dialects={"openai_chat": f"http://127.0.0.1:{port}/{status}"}, **fields)


def attempts(bed: Bed, budget: RetryBudget | None = None, **limits: Any) -> Attempts:
    metrics = EdgeMetrics(bed.registry)
    return Attempts(
        bed.workers,
        Departures(metrics, drain_s_max=1, drain_max=1),
        metrics,
        bed.selector,
        bed.health,
        budget or RetryBudget(),
        **{"attempts_max": 6, "attempts_s_max": 60.0, "channel_wait_s_max": 0.05, **limits},
    )


async def refused(it: Attempts, selection: Selection) -> tuple[int, Exchange]:
    exchange = Exchange()
    with pytest.raises(ApiError) as error:
        await it.run(exchange, selection, "m")
    return error.value.status, exchange


async def test_every_target_is_tried_once_and_the_last_status_is_told(provider: tuple[Provider, int]) -> None:
    found, port = provider
    bed = Bed(*(answering(status, port, f"c{status}", priority=status) for status in (500, 502, 529)))
    status, exchange = await refused(attempts(bed), bed.select())
    assert status == 529
    assert [(each.channel, each.status) for each in exchange.attempts] == [("c500", 500), ("c502", 502), ("c529", 529)]
    assert len(found.requests) == 3


@pytest.mark.parametrize(
    ("limits", "budget", "tries"),
    [
        ({"attempts_max": 2}, RetryBudget(), 2),
        ({"attempts_s_max": 0.0}, RetryBudget(), 1),
        ({}, RetryBudget(tokens_max=0.0), 1),
        ({}, RetryBudget(tokens_max=2.0, floor_per_s=0.0), 3),
    ],
)
async def test_attempts_are_bounded_in_number_in_time_and_by_the_budget(
    provider: tuple[Provider, int], limits: dict[str, Any], budget: RetryBudget, tries: int
) -> None:
    found, port = provider
    bed = Bed(*(answering(500, port, f"c{number}") for number in range(5)))
    status, exchange = await refused(attempts(bed, budget, **limits), bed.select())
    assert (status, len(exchange.attempts), len(found.requests)) == (500, tries, tries)


async def test_a_request_at_fault_is_tried_once(provider: tuple[Provider, int]) -> None:
    found, port = provider
    bed = Bed(answering(400, port, "a"), answering(200, port, "b", priority=1))
    assert (await refused(attempts(bed), bed.select()))[0] == 400
    assert len(found.requests) == 1


async def test_a_probe_that_begins_to_answer_closes_the_breaker(provider: tuple[Provider, int]) -> None:
    _, port = provider
    bed = Bed(answering(200, port, "a"), answering(200, port, "b"))
    bed.health.clock = clock = asyncio.get_running_loop().time
    for _ in range(5):
        bed.health.failed(bed.target("a"), "m", clock(), failure(500))
    bed.health.troubled["a"]["m"].until = clock()
    exchange = Exchange()
    seen: list[bool] = []
    exchange.has_started = lambda: seen.append(bed.health.is_probe_due("a", "m"))
    await attempts(bed).run(exchange, Selection([bed.target("a")]), "m")
    assert seen == [False]  # closed before the answer has ended


async def test_who_loses_the_probe_to_another_is_served_all_the_same(provider: tuple[Provider, int]) -> None:
    found, port = provider
    bed = Bed(answering(200, port, "a"))
    bed.fail("a", 5)
    bed.clock.now += 6
    selection = bed.select()
    assert not selection.is_last_resort
    assert bed.admit("a")  # by another request, after the selection
    await attempts(bed).run(Exchange(), selection, "m")
    assert len(found.requests) == 1


async def test_busy_channels_are_waited_for_a_bounded_time(provider: tuple[Provider, int]) -> None:
    found, port = provider
    bed = Bed(answering(200, port, "a", limits={"concurrency": 1}))
    bed.worker("a").try_acquire()
    status, _ = await refused(attempts(bed), bed.select())
    assert (status, found.requests) == (503, [])
