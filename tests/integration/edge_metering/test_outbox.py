"""Entries reach the ledger once, in order, and their futures say so, whatever happens to acks and broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from nats.js.api import StreamConfig

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, decode_batch, encode_batch
from services.edge.metering.ledger_client import LedgerClient
from tests.fixtures.engines import NatsServer
from tests.integration.billing.tcp_proxy import TcpProxy
from tests.integration.edge_metering.conftest import (
    WORKER,
    Start,
    create_ledger,
    eventually,
    ledger_batches,
    request_ids,
    usage_entry,
)

Connect = Callable[[str], Awaitable[LedgerClient]]
ACCOUNT = "acc"
PARTITION = keyspace.partition_of(ACCOUNT)
SUBJECT = keyspace.subject(PARTITION, WORKER)


async def load(running: object, ids: list[str], stop: asyncio.Event, recorded: list[str], name: str) -> None:
    """One client: an entry after the other, each awaited, over many accounts."""
    number = 0
    while not stop.is_set():
        entry = usage_entry(f"acc-{name}-{number % 7}", f"{name}-{number}")
        ids.append(entry.request_id)
        await running.outbox.submit(entry)  # type: ignore[attr-defined]
        recorded.append(entry.request_id)
        number += 1


async def test_batches_are_numbered_contiguously_and_in_order(ledger: NatsServer, start_outbox: Start) -> None:
    running = await start_outbox(ledger.url)
    sent = []
    for number in range(200):
        entry = usage_entry(f"acc-{number % 9}")
        sent.append(entry.request_id)
        await running.outbox.submit(entry)
    assert sorted(request_ids(await ledger_batches(ledger.url))) == sorted(sent)


async def test_what_arrives_while_a_batch_is_in_flight_is_the_next_batch(
    ledger: NatsServer, start_outbox: Start
) -> None:
    running = await start_outbox(ledger.url)
    entries = [usage_entry(ACCOUNT) for _ in range(2500)]
    await asyncio.gather(*(running.outbox.submit(entry) for entry in entries))
    batches = await ledger_batches(ledger.url)
    assert request_ids(batches) == [entry.request_id for entry in entries]
    assert [len(batch.entries) for batch in batches] == [1000, 1000, 500]


async def test_a_restarted_worker_continues_its_numbers(ledger: NatsServer, start_outbox: Start) -> None:
    for _ in range(3):
        running = await start_outbox(ledger.url)
        await running.outbox.submit(usage_entry(ACCOUNT))
        await running.kill()
    assert [batch.number for batch in await ledger_batches(ledger.url)] == [1, 2, 3]


async def test_a_lost_ack_leads_to_one_copy(ledger: NatsServer, start_outbox: Start) -> None:
    async with TcpProxy(ledger.url) as proxy:
        running = await start_outbox(proxy.url)
        stop, ids, recorded = asyncio.Event(), list[str](), list[str]()
        clients = [asyncio.create_task(load(running, ids, stop, recorded, f"c{n}")) for n in range(8)]
        for _ in range(5):
            before = len(recorded)
            await eventually(lambda before=before: len(recorded) > before + 50)  # type: ignore[misc]
            proxy.cut()
            proxy.mend()
        stop.set()
        await asyncio.gather(*clients)
        await eventually(lambda: running.metric("spool_batches") == 0)
        await running.outbox.close()
    assert sorted(request_ids(await ledger_batches(ledger.url))) == sorted(ids)


async def test_the_broker_killed_under_load_loses_and_repeats_nothing(ledger: NatsServer, start_outbox: Start) -> None:
    running = await start_outbox(ledger.url)
    stop, ids, recorded = asyncio.Event(), list[str](), list[str]()
    clients = [asyncio.create_task(load(running, ids, stop, recorded, f"c{n}")) for n in range(8)]
    for _ in range(2):
        before = len(recorded)
        await eventually(lambda before=before: len(recorded) > before + 100)  # type: ignore[misc]
        await asyncio.to_thread(ledger.kill)
        away = len(recorded)
        await eventually(lambda away=away: len(recorded) > away + 40)  # type: ignore[misc]  # by the spool
        assert running.metric("spool_batches") > 0
        await asyncio.to_thread(ledger.start)
        await eventually(lambda: running.metric("spool_batches") == 0)
    stop.set()
    await asyncio.gather(*clients)
    await running.outbox.close()
    await eventually(lambda: running.metric("spool_batches") == 0)
    assert sorted(request_ids(await ledger_batches(ledger.url))) == sorted(ids)


async def test_a_full_ledger_is_spooled_and_drained_once_there_is_room(
    new_nats: Callable[..., NatsServer], connect: Connect, start_outbox: Start
) -> None:
    server = new_nats()
    nc = await connect(server.url)
    await create_ledger(nc, max_msgs=3)
    running = await start_outbox(server.url)
    entries = [usage_entry(ACCOUNT) for _ in range(6)]
    for entry in entries:
        await running.outbox.submit(entry)
    assert running.metric("ledger_entries_spooled_total") == 3
    config: StreamConfig = (await nc.jetstream().stream_info(keyspace.STREAM)).config
    await nc.jetstream().update_stream(config.evolve(max_msgs=-1))
    await eventually(lambda: running.metric("spool_batches") == 0)
    assert request_ids(await ledger_batches(server.url)) == [entry.request_id for entry in entries]


async def test_a_trimmed_subject_restarts_at_sequence_0_and_keeps_its_numbers(
    ledger: NatsServer, start_outbox: Start, connect: Connect
) -> None:
    nc = await connect(ledger.url)
    running = await start_outbox(ledger.url)
    await running.outbox.submit(usage_entry(ACCOUNT))
    await nc.jetstream().purge_stream(keyspace.STREAM)
    await running.outbox.submit(usage_entry(ACCOUNT))
    assert running.metric("ledger_unclear_acks_total", settled="restarted_at_0") == 1
    await running.outbox.close()
    await running.kill()
    await nc.jetstream().purge_stream(keyspace.STREAM)
    running = await start_outbox(ledger.url)  # only the file remembers
    await running.outbox.submit(usage_entry(ACCOUNT))
    assert [batch.number for batch in await ledger_batches(ledger.url)] == [3]


async def test_a_stranger_under_our_name_stops_the_worker(
    ledger: NatsServer, start_outbox: Start, connect: Connect
) -> None:
    nc = await connect(ledger.url)
    running = await start_outbox(ledger.url)
    await running.outbox.submit(usage_entry(ACCOUNT))
    for number in (2, 3):
        stranger = Batch(WORKER, PARTITION, number, [usage_entry(ACCOUNT)])
        await nc.jetstream().publish(SUBJECT, encode_batch(stranger))
    await running.outbox.submit(usage_entry(ACCOUNT))  # safe all the same: in the spool, for an operator
    await eventually(lambda: running.outbox.problem() is not None)
    assert "contradicts" in str(running.outbox.problem())
    assert len(await ledger_batches(ledger.url)) == 3


async def test_an_earlier_process_late_batch_moves_ours_up(
    ledger: NatsServer, start_outbox: Start, connect: Connect
) -> None:
    nc = await connect(ledger.url)
    running = await start_outbox(ledger.url)  # has asked: nothing there yet
    late = Batch(WORKER, PARTITION, 1, [usage_entry(ACCOUNT, "late")])
    await nc.jetstream().publish(SUBJECT, encode_batch(late))
    await running.outbox.submit(usage_entry(ACCOUNT, "ours"))
    assert request_ids(await ledger_batches(ledger.url)) == ["late", "ours"]


async def test_a_restarted_worker_drains_what_it_spooled_first(
    ledger: NatsServer, start_outbox: Start, tmp_path: Path
) -> None:
    running = await start_outbox(ledger.url)
    await running.outbox.submit(usage_entry(ACCOUNT, "before"))
    await asyncio.to_thread(ledger.kill)
    for number in range(5):
        await running.outbox.submit(usage_entry(ACCOUNT, f"away-{number}"))
    await running.kill()
    await asyncio.to_thread(ledger.start)
    running = await start_outbox(ledger.url)
    await running.outbox.submit(usage_entry(ACCOUNT, "after"))
    await asyncio.wait_for(running.outbox.recovered.wait(), 10)
    found = request_ids(await ledger_batches(ledger.url))
    assert found == ["before", *(f"away-{number}" for number in range(5)), "after"]
    await eventually(lambda: not list((tmp_path / "state" / "spool").glob("*.spool")))


async def test_without_a_spool_entries_wait_and_nothing_is_admitted(ledger: NatsServer, start_outbox: Start) -> None:
    running = await start_outbox(ledger.url, has_spool=False)
    await running.outbox.submit(usage_entry(ACCOUNT, "before"))
    await asyncio.to_thread(ledger.kill)
    await eventually(lambda: running.outbox.problem() is not None)
    waiting = running.outbox.submit(usage_entry(ACCOUNT, "away"))
    await asyncio.to_thread(ledger.start)
    await asyncio.wait_for(waiting, 20)
    await eventually(lambda: running.outbox.problem() is None)
    assert request_ids(await ledger_batches(ledger.url)) == ["before", "away"]


async def test_a_full_spool_refuses_requests_and_keeps_room_for_those_in_flight(
    ledger: NatsServer, start_outbox: Start
) -> None:
    running = await start_outbox(ledger.url, spool_bytes_max=8_000)
    await asyncio.to_thread(ledger.kill)
    sent = []
    while running.outbox.problem() is None:
        entry = usage_entry(ACCOUNT)
        sent.append(entry.request_id)
        await running.outbox.submit(entry)
    assert "full" in str(running.outbox.problem())
    last = usage_entry(ACCOUNT)
    await running.outbox.submit(last)  # of a request in flight
    await asyncio.to_thread(ledger.start)
    await eventually(lambda: running.outbox.problem() is None)
    await eventually(lambda: running.metric("spool_batches") == 0)
    assert request_ids(await ledger_batches(ledger.url)) == [*sent, last.request_id]


async def test_the_batch_on_the_wire_is_what_the_codec_writes(ledger: NatsServer, start_outbox: Start) -> None:
    running = await start_outbox(ledger.url)
    entries = [usage_entry(ACCOUNT) for _ in range(20)]
    await asyncio.gather(*(running.outbox.submit(entry) for entry in entries))
    batches = await ledger_batches(ledger.url)
    assert [entry for batch in batches for entry in batch.entries] == entries
    assert decode_batch(encode_batch(batches[0])) == batches[0]
