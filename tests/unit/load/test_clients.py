"""Whatever a server does, the load's clients say what they saw of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from simulator.app import Simulator
from simulator.server import Server
from tests.load.calls import make_call
from tests.load.clients import Calls, Client, Target, run_load


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    simulator = Simulator()
    server = Server(simulator.handle, simulator.stats)
    await server.start("127.0.0.1", 0)
    yield Target(f"http://127.0.0.1:{server.port}", "key", is_edge=False)
    await server.stop()


async def test_every_call_has_its_outcome_over_reused_connections(target: Target) -> None:
    calls = Calls(make_call(is_stream=True, script="tokens=5"), make_call(is_stream=False, script="tokens=6"), count=40)
    outcomes = await run_load(target, calls, connections=4)
    assert len(outcomes) == 40
    assert all(outcome.is_complete and outcome.status == 200 and not outcome.error for outcome in outcomes)
    assert {outcome.usage["completion_tokens"] for outcome in outcomes} == {5, 6}
    assert {outcome.frames for outcome in outcomes if outcome.call.is_stream} == {9}
    assert all(outcome.ttft_s is not None and 0 < outcome.ttft_s <= outcome.total_s for outcome in outcomes)


@pytest.mark.parametrize("fault", ["cut_after=3", "reset_after=3", "hang_after=3"])
@pytest.mark.parametrize("is_stream", [True, False])
async def test_answer_that_breaks_off_is_incomplete_and_says_why(target: Target, fault: str, is_stream: bool) -> None:
    client = Client(target, timeout_s=0.5)
    broken = await client.send(make_call(is_stream=is_stream, script=f"tokens=9 {fault}"))
    assert not broken.is_complete
    assert broken.error
    assert broken.status == 200
    assert (await client.send(make_call(is_stream=is_stream))).is_complete, "a new connection is made"
    client.close()


async def test_refusal_keeps_status_and_text(target: Target) -> None:
    client = Client(target)
    refused = await client.send(make_call(is_stream=True, script="status=429 retry_after=3"))
    assert (refused.status, refused.is_complete) == (429, False)
    assert "error" in refused.error
    assert client.headers["retry-after"] == "3"
    client.close()


async def test_server_that_is_not_there_is_an_outcome_without_status() -> None:
    nobody = Target("http://127.0.0.1:1", "key")
    [outcome] = await run_load(nobody, Calls(make_call(is_stream=False), count=1), connections=2)
    assert outcome.status == 0
    assert outcome.error.startswith("connect")


async def test_stopped_calls_end_the_load(target: Target) -> None:
    calls = Calls(make_call(is_stream=False))
    seen = 0

    def count(outcome: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 10:
            calls.stop()

    assert 10 <= len(await run_load(target, calls, connections=3, on_outcome=count)) < 20
