"""A ledger that fell back to an older copy is adopted: nothing is lost, doubled or skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from nats.js.api import StreamConfig

from lumen.ledger import keyspace
from lumen.ledger.entries import Attempt, decode_batch
from lumen.money.usage import TokenUsage
from lumen.platform.ordered_reader import OrderedReader, StreamMessage
from protos import billing_pb2 as pb
from services.billing.errors import Conflict
from services.billing.marks import parse_mark
from tests.integration.billing.conftest import RunningBilling, World, eventually

pytestmark = pytest.mark.slow

Start = Callable[..., RunningBilling]
ACCOUNTS = [f"acc-{number}" for number in range(6)]
STOPPED = "lumen_billing_stopped_partitions"


async def ledger(world: World) -> list[StreamMessage]:
    """All that the ledger holds."""
    last = (await world.nc.jetstream().stream_info(keyspace.STREAM)).state.last_seq
    reader = OrderedReader(world.nc, keyspace.STREAM, [keyspace.STREAM_SUBJECTS], start_sequence=1)
    await reader.start()
    messages: list[StreamMessage] = []
    while not messages or messages[-1].sequence < last:
        messages += await reader.read(timeout_s=5)
    await reader.stop()
    return messages


async def fall_back(world: World, kept: list[StreamMessage]) -> None:
    """The ledger as it was after `kept`, sequences and all."""
    js = world.nc.jetstream()
    config = (await js.stream_info(keyspace.STREAM)).config
    await js.delete_stream(keyspace.STREAM)
    await js.add_stream(StreamConfig(name=config.name, subjects=config.subjects, allow_direct=True))
    for message in kept:
        await js.publish(message.subject, message.data)


async def use_all(world: World, rounds: int) -> None:
    for _ in range(rounds):
        for account in ACCOUNTS:
            await world.use(
                account,
                count=3,
                usage=TokenUsage(input=10, cache_read=None, output=5, reasoning=2),
                modifiers={"speed": "fast"},
                attempts=[Attempt("c0", 503, "status", 10), Attempt("c", 200, "ok", 20, 5)],
                key_has_spend_limit=True,
            )


async def posted_then_fallen_back(world: World, start_billing: Start, *, kept: int) -> list[StreamMessage]:
    """Everything is posted, then the ledger falls back to its first `kept` messages. What it was before."""
    billing = start_billing()
    for account in ACCOUNTS:
        await world.credit(account, 1_000_000)
    await use_all(world, rounds=6)
    await world.use("acc-0", model="unpriced")
    before = await ledger(world)

    async def is_posted() -> bool:  # the last entry moves no balance, but the mark
        stored: Any = await world.redis.get(keyspace.mark_key(keyspace.partition_of("acc-0")))
        mark = parse_mark(stored)
        return mark is not None and mark.sequence == before[-1].sequence

    await eventually(is_posted)
    await eventually(world.balances_agree)
    await billing.kill()
    await fall_back(world, before[:kept])
    return before


async def has_stopped(billing: RunningBilling) -> bool:
    return billing.metric(STOPPED, cause="ledger_regressed") > 0


async def adopt(billing: RunningBilling, *, is_dry: bool = False) -> pb.AdoptedLedger:
    return await billing.parts.api.AdoptLedger(pb.AdoptLedgerRequest(dry_run=is_dry), None)  # type: ignore[arg-type]


async def reconciled(billing: RunningBilling) -> list[str]:
    report = await billing.parts.api.Reconcile(pb.ReconcileRequest(), None)  # type: ignore[arg-type]
    return [f"{check.name}: {check.drifts}" for check in report.checks if not check.is_ok]


async def test_what_was_posted_stays_and_what_is_new_is_posted(world: World, start_billing: Start) -> None:
    before = await posted_then_fallen_back(world, start_billing, kept=15)
    for account in ACCOUNTS[:3]:  # appended to the older copy before anyone noticed; old sequences, new messages
        await world.use(account, producer="edge-new", count=2)
    billing = start_billing()
    await eventually(lambda: has_stopped(billing))
    dry = await adopt(billing, is_dry=True)
    assert len(await ledger(world)) == 15 + 3
    adopted = await adopt(billing)
    assert adopted == dry
    assert sum(each.batches_restored for each in adopted.partitions) == len(before) - 15
    assert sum(each.batches_unposted for each in adopted.partitions) == 3
    await eventually(world.balances_agree, timeout_s=30)
    assert billing.metric(STOPPED, cause="ledger_regressed") == 0
    assert await reconciled(billing) == []
    entries = len(ACCOUNTS) * 6 * 3 + 6
    assert await world.rows("SELECT count(), uniqExact(request_id) FROM usage FINAL") == [(entries, entries)]
    assert await world.rows("SELECT count() FROM dead_letters FINAL") == [(1,)]
    assert not (await adopt(billing)).partitions


async def test_producers_find_their_batches_where_they_left_them(world: World, start_billing: Start) -> None:
    before = await posted_then_fallen_back(world, start_billing, kept=15)
    billing = start_billing()
    await eventually(lambda: has_stopped(billing))
    await adopt(billing)
    after = await ledger(world)
    assert sorted(_decoded(after)) == sorted(_decoded(before))
    await use_all(world, rounds=1)  # the next numbers
    await eventually(world.balances_agree, timeout_s=30)
    assert await reconciled(billing) == []


def _decoded(messages: list[StreamMessage]) -> list[str]:
    return [f"{message.subject} {decode_batch(message.data)}" for message in messages]


async def test_an_adopted_ledger_survives_a_restart_and_an_emptied_redis(world: World, start_billing: Start) -> None:
    await posted_then_fallen_back(world, start_billing, kept=10)
    billing = start_billing()
    await eventually(lambda: has_stopped(billing))
    await adopt(billing)
    await eventually(world.balances_agree, timeout_s=30)
    await billing.kill()
    await world.redis.flushall()
    await world.use("acc-1")
    billing = start_billing()
    await eventually(world.balances_agree, timeout_s=30)
    assert await reconciled(billing) == []


async def test_a_healthy_ledger_is_left_alone(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await world.credit("acc", 5)
    await eventually(world.balances_agree)
    assert not (await adopt(billing)).partitions


async def test_a_posted_batch_behind_an_unposted_one_is_for_an_operator(world: World, start_billing: Start) -> None:
    before = await posted_then_fallen_back(world, start_billing, kept=15)
    lost = before[20]
    account = next(a for a in ACCOUNTS if keyspace.partition_of(a) == int(lost.subject.split(".")[1]))
    await world.use(account, producer="edge-new")
    await world.nc.jetstream().publish(lost.subject, lost.data)
    billing = start_billing()
    await eventually(lambda: has_stopped(billing))
    with pytest.raises(Conflict, match="has been posted"):
        await adopt(billing)
