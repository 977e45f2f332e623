"""What a catalog change does to the workers, over a real connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.edge.provider_workers.metrics import WorkerMetrics
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.transport import ConnectFailed
from services.edge.provider_workers.worker import ProviderWorker
from tests.contract.provider_workers.conftest import LOOPBACK, read_all, until
from tests.contract.provider_workers.scripted_provider import Connection, answering, scripted_provider
from tests.unit.edge_workers.conftest import ENVIRON, catalog, channel

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@pytest.fixture
async def workers() -> AsyncIterator[ProviderWorkers]:
    workers = ProviderWorkers(environ=ENVIRON, addresses=LOOPBACK)
    yield workers
    await workers.close()


def worker(workers: ProviderWorkers, name: str = "main") -> ProviderWorker:
    found = workers.get(name)
    assert found is not None
    return found


async def ask(workers: ProviderWorkers, body: bytes = b"{}") -> bytes:
    response = await worker(workers).send("openai_chat", b"/chat/completions", [(b"accept", b"*/*")], body)
    return await read_all(response)


async def test_channel_without_its_secret_is_disabled_with_the_reason(workers: ProviderWorkers) -> None:
    workers.apply(catalog(channel("good"), channel("bad", secret="env:NONE")))
    assert list(workers.states()) == [
        ("good", "ready", ""),
        ("bad", "disabled", "secret env:NONE is not set"),
    ]
    bad = worker(workers, "bad")
    assert (bad.is_ready, bad.has_slot, bad.try_acquire()) == (False, False, False)
    with pytest.raises(ConnectFailed, match="is not set"):
        await bad.send("openai_chat", b"/x", [], b"")


async def test_secret_file_is_read_again_when_the_catalog_is_applied(workers: ProviderWorkers, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    async with scripted_provider(answering(HELLO)) as provider:
        described = channel(secret=f"file:{path}", dialects={"openai_chat": provider.url + "/v1"})
        workers.apply(catalog(described))
        assert await ask(workers) == b"hello"
        path.write_text("second\n")
        workers.apply(catalog(described))
        assert await ask(workers) == b"hello"
        keys = [request.headers[b"authorization"] for request in provider.requests]
        assert keys == [b"Bearer first", b"Bearer second"]
        assert provider.connections == 1, "the connection was kept"
        path.unlink()
        workers.apply(catalog(described))
        assert not worker(workers).is_ready


@pytest.mark.parametrize("transport", ["lean", "httpx"])
async def test_request_goes_below_the_base_url_with_the_channels_key(workers: ProviderWorkers, transport: str) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        workers.apply(catalog(channel(dialects={"openai_chat": provider.url + "/v1"}, transport=transport)))
        assert await ask(workers, b'{"a":1}') == b"hello"
        (request,) = provider.requests
        assert request.line == b"POST /v1/chat/completions HTTP/1.1"
        assert request.body == b'{"a":1}'
        assert request.headers[b"authorization"] == b"Bearer s3cret"
        assert request.headers[b"content-type"] == b"application/json"
        assert request.headers[b"accept-encoding"] == b"identity"
        assert request.headers[b"user-agent"].startswith(b"lumen/")


async def test_dialect_the_channel_does_not_speak_is_a_mistake(workers: ProviderWorkers) -> None:
    workers.apply(catalog(channel()))
    with pytest.raises(KeyError):
        await worker(workers).send("gemini_generate", b"/x", [], b"")


@pytest.mark.parametrize("change", ["changed", "removed", "disabled"])
async def test_answer_under_way_survives_every_change(workers: ProviderWorkers, change: str) -> None:
    halves: list[Connection] = []

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO[:-5])
        halves.append(connection)
        await connection.gone()

    async with scripted_provider(handler) as provider:
        dialects = {"openai_chat": provider.url}
        workers.apply(catalog(channel(dialects=dialects)))
        old = worker(workers)
        assert old.try_acquire()
        response = await old.send("openai_chat", b"/x", [], b"{}")
        match change:
            case "changed":
                workers.apply(catalog(channel(dialects=dialects, timeouts={"idle_s": 7})))
            case "removed":
                workers.apply(catalog())
            case _:
                workers.apply(catalog(channel(dialects=dialects, secret="env:NONE")))
        await halves[0].send(b"hello")
        assert await read_all(response) == b"hello"
        await until(lambda: provider.open == 0)
        old.release()
        assert old.in_flight == 0


async def test_unchanged_channel_keeps_its_worker_and_connections(workers: ProviderWorkers) -> None:
    async with scripted_provider(answering(HELLO)) as provider:
        described = channel(dialects={"openai_chat": provider.url})
        workers.apply(catalog(described))
        before = worker(workers)
        await ask(workers)
        workers.apply(catalog(described.model_copy(update={"weight": 5}), channel("new")))
        await ask(workers)
        assert worker(workers) is before
        assert provider.connections == 1


async def test_closing_aborts_what_does_not_end() -> None:
    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(HELLO[:-5])
        await connection.gone()

    async with scripted_provider(handler) as provider:
        closing = ProviderWorkers(environ=ENVIRON, addresses=LOOPBACK, close_grace_s=0.01)
        closing.apply(catalog(channel(dialects={"openai_chat": provider.url})))
        await worker(closing).send("openai_chat", b"/x", [], b"{}")
        await closing.close()
        await until(lambda: provider.open == 0)
        assert closing.get("main") is None


async def test_metrics_tell_the_state_of_each_channel() -> None:
    registry = CollectorRegistry()
    workers = ProviderWorkers(WorkerMetrics(registry), environ=ENVIRON, addresses=LOOPBACK)
    async with scripted_provider(answering(HELLO)) as provider:
        workers.apply(catalog(channel(dialects={"openai_chat": provider.url}), channel("off", secret="env:NONE")))
        assert worker(workers).try_acquire()
        await ask(workers)
        await ask(workers)
        text = generate_latest(registry).decode()
        for line in (
            'lumen_edge_channel_in_flight{channel="main"} 1.0',
            'lumen_edge_channel_concurrency_max{channel="main"} 2.0',
            'lumen_edge_channel_ready{channel="main"} 1.0',
            'lumen_edge_channel_ready{channel="off"} 0.0',
            'lumen_edge_upstream_connections_open{channel="main"} 1.0',
            'lumen_edge_upstream_connections_idle{channel="main"} 1.0',
            'lumen_edge_upstream_connects_total{channel="main"} 1.0',
            'lumen_edge_upstream_connection_reuses_total{channel="main"} 1.0',
            'lumen_edge_upstream_stale_retries_total{channel="main"} 0.0',
            "lumen_edge_slot_waits_total 0.0",
        ):
            assert line in text
        assert "s3cret" not in text
        worker(workers).release()
        await workers.close()
