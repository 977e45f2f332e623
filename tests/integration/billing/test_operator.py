"""What an operator may ask of billing: dead letters replayed once, balances rebuilt, a trimmed ledger accepted."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from lumen.ledger import keyspace
from lumen.platform.kv_view import kv_put
from protos import billing_pb2 as pb
from services.billing.errors import Conflict, InvalidRequest, NotFound
from tests.integration.billing.conftest import RunningBilling, World, eventually, usage_entry
from tests.integration.billing.test_adoption import reconciled

Start = Callable[..., RunningBilling]
PARTITION = keyspace.partition_of("acc")


async def letters(billing: RunningBilling, *, with_replayed: bool = False) -> list[pb.DeadLetter]:
    request = pb.ListDeadLettersRequest(with_replayed=with_replayed)
    return list((await billing.parts.api.ListDeadLetters(request, None)).letters)  # type: ignore[arg-type]


async def until_listed(billing: RunningBilling) -> list[pb.DeadLetter]:
    """Dead letters move no balance: that balances agree does not say that they are there."""

    async def is_listed() -> bool:
        return bool(await letters(billing))

    await eventually(is_listed)
    return await letters(billing)


async def replay(billing: RunningBilling, id_: str, catalog_revision: int = 0) -> pb.Replayed:
    request = pb.ReplayDeadLetterRequest(id=id_, catalog_revision=catalog_revision)
    return await billing.parts.api.ReplayDeadLetter(request, None)  # type: ignore[arg-type]


async def rebuild(billing: RunningBilling, account: str = "", *, accept_trimmed: bool = False) -> pb.RebuiltBalances:
    request = pb.RebuildBalancesRequest(account_id=account, accept_trimmed=accept_trimmed)
    return await billing.parts.api.RebuildBalances(request, None)  # type: ignore[arg-type]


async def test_a_dead_letter_is_replayed_once(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await world.credit("acc", 10_000)
    # an entry that belongs to another partition: readable, and replayed where it belongs
    stranger = next(f"s-{n}" for n in range(100) if keyspace.partition_of(f"s-{n}") != PARTITION)
    await world.publish("edge-1", PARTITION, [usage_entry(stranger, "lost-one"), usage_entry("acc", "good")])
    world.expected |= {"acc": 10_000 - 105}
    await eventually(world.balances_agree)
    [letter] = await letters(billing)
    assert (letter.reason, letter.account_id, letter.request_id) == ("entry_misplaced", stranger, "lost-one")
    replayed = await replay(billing, letter.id)
    assert (replayed.entries, replayed.already_existed) == (1, False)
    world.expected[stranger] = -105
    await eventually(world.balances_agree)
    again = await replay(billing, letter.id)
    assert (again.entries, again.already_existed, list(again.stream_sequences)) == (1, True, [])
    await world.nc.jetstream().purge_stream(keyspace.STREAM, subject=f"ledger.*.replay-{letter.id.split('-', 2)[2]}")
    assert (await replay(billing, letter.id)).already_existed  # ClickHouse remembers
    assert await letters(billing) == []
    assert [found.is_replayed for found in await letters(billing, with_replayed=True)] == [True]
    await eventually(world.balances_agree)
    assert await reconciled(billing) == []


async def test_an_entry_without_a_price_is_rated_by_the_revision_an_operator_names(
    world: World, start_billing: Start
) -> None:
    billing = start_billing()
    await kv_put(world.nc, keyspace.KV_CATALOG, "rev.2", json.dumps({"price": 9, "all": True}).encode())
    await world.credit("acc", 10_000)
    await world.use("acc", model="unpriced")
    [letter] = await until_listed(billing)
    assert letter.reason == "not_ratable"
    await replay(billing, letter.id, catalog_revision=2)
    world.expected["acc"] -= 15 * 9
    await eventually(world.balances_agree)
    assert await reconciled(billing) == []


async def test_what_still_cannot_be_read_is_not_replayed(world: World, start_billing: Start) -> None:
    billing = start_billing()
    await world.credit("acc", 10_000)
    poison = msgspec.msgpack.encode(["edge-1", PARTITION, 1, [["usage", "poison", 5]], 1])
    await world.nc.jetstream().publish(keyspace.subject(PARTITION, "edge-1"), poison)
    [letter] = await until_listed(billing)
    with pytest.raises(InvalidRequest, match="still cannot be read"):
        await replay(billing, letter.id)
    with pytest.raises(NotFound):
        await replay(billing, "1-2-999999-0")
    with pytest.raises(InvalidRequest):
        await replay(billing, "nonsense")


async def test_balances_are_rebuilt_on_request(world: World, start_billing: Start) -> None:
    billing = start_billing()
    for number in range(8):
        await world.credit(f"acc-{number}", 1_000_000)
        await world.use(f"acc-{number}", count=3)
    await eventually(world.balances_agree)
    key = keyspace.account_key(keyspace.partition_of("acc-2"), "acc-2")
    await world.redis.hincrby(key, "balance", 777)
    assert len(await reconciled(billing)) == 1
    assert (await rebuild(billing, "acc-2")).partitions == 1
    await eventually(world.balances_agree)
    assert await reconciled(billing) == []
    await world.redis.flushall()
    assert (await rebuild(billing)).partitions == keyspace.PARTITIONS
    await eventually(world.balances_agree)


async def test_a_trimmed_ledger_runs_again_only_when_an_operator_accepts_it(world: World, start_billing: Start) -> None:
    await world.credit("acc", 1000)
    await world.nc.jetstream().purge_stream(keyspace.STREAM)
    world.expected.clear()  # it is gone: nobody ever posted it
    billing = start_billing()

    async def stopped() -> bool:
        return billing.metric("lumen_billing_stopped_partitions", cause="ledger_trimmed") == keyspace.PARTITIONS

    await eventually(stopped)
    with pytest.raises(Conflict, match="--accept-trimmed"):
        await rebuild(billing)
    rebuilt = await rebuild(billing, accept_trimmed=True)
    assert list(rebuilt.accepted) == list(range(keyspace.PARTITIONS))
    await world.credit("acc", 50)
    await world.use("acc")
    await eventually(world.balances_agree, timeout_s=30)
