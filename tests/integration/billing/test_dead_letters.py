"""Entries that cannot be used are kept, named and not charged; the rest of their batch is posted."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, encode_batch
from services.billing.dead_letters import POSITION_HEADER, PRODUCER_HEADER, REASON_HEADER
from tests.integration.billing.conftest import RunningBilling, World, eventually, usage_entry

Start = Callable[..., RunningBilling]
PARTITION = keyspace.partition_of("acc")


async def dead_letters_published(world: World) -> int:
    return (await world.nc.jetstream().stream_info(keyspace.DEAD_LETTER_STREAM)).state.messages


async def test_the_rest_of_the_batch_is_posted(world: World, start_billing: Start) -> None:
    start_billing()
    await world.credit("acc", 10_000)
    good = msgspec.msgpack.encode(usage_entry("acc", "good"))
    poison = msgspec.msgpack.encode(["usage", "poison", 5])
    unpriced = msgspec.msgpack.encode(usage_entry("acc", "no-price", model="unpriced"))
    entries = [msgspec.Raw(good), msgspec.Raw(poison), msgspec.Raw(unpriced)]
    payload = msgspec.msgpack.encode(["edge-1", PARTITION, 1, entries, 1])
    await world.nc.jetstream().publish(keyspace.subject(PARTITION, "edge-1"), payload)
    world.expected["acc"] -= 105
    await eventually(world.balances_agree)
    rows = await world.rows("SELECT `index`, reason, batch_number, account FROM dead_letters FINAL ORDER BY `index`")
    assert rows == [(1, "entry_unreadable", 1, ""), (2, "not_ratable", 1, "acc")]
    message = await world.nc.jetstream().get_last_msg(
        keyspace.DEAD_LETTER_STREAM, keyspace.dead_letter_subject(PARTITION)
    )
    assert message.data == unpriced
    assert message.headers is not None
    assert message.headers[REASON_HEADER] == "not_ratable"
    assert message.headers[PRODUCER_HEADER] == "edge-1"
    assert message.headers[POSITION_HEADER] == "1:2:2"


async def test_messages_that_are_no_batches_do_not_stop_the_partition(world: World, start_billing: Start) -> None:
    js = world.nc.jetstream()
    await world.credit("acc", 10_000)
    await js.publish(keyspace.subject(PARTITION, "edge-1"), b"\xff\x00 not a batch")
    misplaced = Batch("edge-1", PARTITION, 1, [usage_entry("acc", "x")])
    await js.publish(keyspace.subject(PARTITION, "edge-2"), encode_batch(misplaced))
    await js.publish("ledger.999.edge-1", b"nobody's partition")
    await js.publish("ledger.abc.edge-1", b"no partition")
    start_billing()
    await world.use("acc")
    await eventually(world.balances_agree)
    rows = await world.rows("SELECT reason FROM dead_letters FINAL ORDER BY sequence")
    assert rows == [("message_unreadable",), ("batch_misplaced",)]


async def test_a_replayed_range_does_not_publish_them_twice(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await world.credit("acc", 10_000)
    for _ in range(3):
        await world.use("acc", model="unpriced")

    async def are_published() -> bool:
        return await dead_letters_published(world) == 3

    await eventually(are_published)
    await billing.kill()
    await world.clickhouse.command("TRUNCATE TABLE marks")
    await world.redis.flushall()
    start_billing()
    await world.use("acc", model="unpriced")
    await world.use("acc")
    await eventually(world.balances_agree)
    assert await dead_letters_published(world) == 4
    assert await world.rows("SELECT count() FROM dead_letters FINAL") == [(4,)]
