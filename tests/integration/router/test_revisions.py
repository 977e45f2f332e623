"""Catalog revisions: applied whole, numbered without gaps, never changed, written by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest

from lumen.catalog.parse import catalog_from_json
from lumen.catalog.revisions import content_hash, decode_revision, revision_key
from lumen.ledger.keyspace import KV_CATALOG
from lumen.platform.grpc import error_kind
from lumen.platform.kv_view import kv_get, kv_put
from protos import router_pb2
from tests.integration.router.catalogs import catalog_text
from tests.integration.router.conftest import NatsProcess, Replica, StartReplica, until


async def apply(replica: Replica, text: str, note: str = "") -> router_pb2.ApplyResponse:
    return await replica.admin.Apply(router_pb2.ApplyRequest(source=text, source_name="c.yaml", note=note))


async def test_first_apply_creates_revision_one_with_its_content_note_time_and_hash(replica: Replica) -> None:
    applied = await apply(replica, catalog_text(), note="first")
    assert (applied.revision, applied.unchanged, list(applied.problems)) == (1, False, [])
    found = await kv_get(replica.nc, KV_CATALOG, revision_key(1))
    assert found is not None
    stored = decode_revision(found[0])
    assert stored.note == "first"
    assert stored.created_at_s > 1_700_000_000
    assert stored.hash == content_hash(bytes(stored.catalog))
    assert stored.read_catalog().models[0].code == "m1"


async def test_same_catalog_written_differently_is_unchanged(replica: Replica) -> None:
    await apply(replica, catalog_text())
    again = await apply(replica, "# another comment\n" + catalog_text())
    assert (again.revision, again.unchanged) == (1, True)
    assert len((await replica.admin.History(router_pb2.HistoryRequest())).revisions) == 1


async def test_invalid_catalog_changes_nothing_and_names_every_line(replica: Replica) -> None:
    await apply(replica, catalog_text())
    text = catalog_text().replace("vendor: v", "vendr: v").replace("secret: env:K", "secret: oops", 1)
    answer = await apply(replica, text)
    assert answer.revision == 0
    assert [(problem.line, problem.field) for problem in answer.problems] == [
        (3, "models[0].vendor"),
        (3, "models[0].vendr"),
        (9, "channels[0].secret"),
    ]
    assert (await replica.admin.Show(router_pb2.ShowRequest())).revision == 1


async def test_dry_run_checks_and_stores_nothing(replica: Replica) -> None:
    request = router_pb2.ApplyRequest(source=catalog_text(), dry_run=True)
    answer = await replica.admin.Apply(request)
    assert (answer.revision, answer.unchanged) == (0, False)
    await apply(replica, catalog_text())
    assert (await replica.admin.Apply(request)).unchanged
    assert len((await replica.admin.History(router_pb2.HistoryRequest())).revisions) == 1


async def test_rollback_is_a_new_revision_with_the_old_content(replica: Replica) -> None:
    await apply(replica, catalog_text(output_price="2"))
    await apply(replica, catalog_text(output_price="3"))
    rolled_back = await replica.admin.Rollback(router_pb2.RollbackRequest(revision=1))
    assert (rolled_back.revision, rolled_back.unchanged) == (3, False)
    shown = await replica.admin.Show(router_pb2.ShowRequest())
    first = await replica.admin.Show(router_pb2.ShowRequest(revision=1))
    assert shown.catalog_json == first.catalog_json
    history = (await replica.admin.History(router_pb2.HistoryRequest())).revisions
    assert [(info.revision, info.note) for info in history] == [(3, "rollback to revision 1"), (2, ""), (1, "")]
    repeated = await replica.admin.Rollback(router_pb2.RollbackRequest(revision=1))
    assert (repeated.revision, repeated.unchanged) == (3, True)


async def test_unknown_revision_is_not_found(replica: Replica) -> None:
    await apply(replica, catalog_text())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await replica.admin.Rollback(router_pb2.RollbackRequest(revision=9))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert error_kind(caught.value) == "revision_not_found"


async def test_before_the_first_catalog_router_is_ready_and_says_what_to_do(replica: Replica) -> None:
    assert replica.router.store.problem() is None
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await replica.admin.Show(router_pb2.ShowRequest())
    assert error_kind(caught.value) == "no_catalog"
    assert "lumen apply" in (caught.value.details() or "")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await replica.edge.Route(router_pb2.RouteRequest(group="default", model="m1"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert not (await replica.admin.History(router_pb2.HistoryRequest())).revisions


async def test_catalog_too_large_for_the_store_is_refused(replica: Replica) -> None:
    models = "\n".join(
        f'  - {{code: m{number}, name: "{"x" * 200}", vendor: v, max_output_tokens: 1, price: {{input: 1, output: 1}}}}'
        for number in range(3000)
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await apply(replica, f"models:\n{models}\ngroups: [{{name: default}}]\nchannels: []\n")
    assert error_kind(caught.value) == "catalog_too_large"


async def test_concurrent_applies_on_two_replicas_get_contiguous_revisions(start_replica: StartReplica) -> None:
    replicas = [await start_replica(), await start_replica()]
    answers = await asyncio.gather(
        *(apply(replicas[number % 2], catalog_text(output_price=str(number + 1))) for number in range(8))
    )
    assert sorted(answer.revision for answer in answers) == list(range(1, 9))
    shown = [await replica.admin.Show(router_pb2.ShowRequest(revision=8)) for replica in replicas]
    assert shown[0].catalog_json == shown[1].catalog_json
    winner = max(answers, key=lambda answer: answer.revision)
    price = catalog_from_json(shown[0].catalog_json).models[0].price["output"]
    assert price == str(answers.index(winner) + 1)


async def test_restarted_router_finds_the_catalog_and_its_history(start_replica: StartReplica) -> None:
    first = await start_replica()
    await apply(first, catalog_text(output_price="2"), note="a")
    await apply(first, catalog_text(output_price="3"), note="b")
    second = await start_replica()
    shown = await second.admin.Show(router_pb2.ShowRequest())
    assert shown.revision == 2
    history = (await second.admin.History(router_pb2.HistoryRequest())).revisions
    assert [info.note for info in history] == ["b", "a"]


async def test_revision_that_cannot_be_read_leaves_the_last_one_in_use(replica: Replica) -> None:
    await apply(replica, catalog_text())
    await kv_put(replica.nc, KV_CATALOG, revision_key(2), b"from the future", last_revision=0)
    store = replica.router.store
    await until(lambda: store.problem() is not None)
    assert (await replica.admin.Show(router_pb2.ShowRequest())).revision == 1
    assert (await apply(replica, catalog_text())).revision == 3
    assert store.problem() is None


async def test_without_nats_apply_is_unavailable_and_routes_still_answer(
    nats_process: NatsProcess, replica: Replica
) -> None:
    await apply(replica, catalog_text())
    nats_process.kill()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await apply(replica, catalog_text(output_price="9"))
    assert error_kind(caught.value) == "unavailable"
    route = await replica.edge.Route(router_pb2.RouteRequest(group="default", model="m1"))
    assert route.catalog_revision == 1
    nats_process.start()
    answer = await until_available(lambda: apply(replica, catalog_text(output_price="9")))
    assert answer.revision == 2


async def until_available(call: Callable[[], Awaitable[router_pb2.ApplyResponse]]) -> router_pb2.ApplyResponse:
    async with asyncio.timeout(20):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error_kind(error) != "unavailable":
                    raise


async def test_apply_made_from_an_older_revision_is_refused_when_it_says_so(replica: Replica) -> None:
    first = await apply(replica, catalog_text())
    await apply(replica, catalog_text().replace("vendor: v", "vendor: w"))
    stale = router_pb2.ApplyRequest(source=catalog_text(), expected_revision=first.revision)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await replica.admin.Apply(stale)
    assert caught.value.code() is grpc.StatusCode.ABORTED
    stale.expected_revision = 2
    assert (await replica.admin.Apply(stale)).revision == 3
