"""Limits as several edges keep them together: real auth, real Valkey, gRPC between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from lumen.protocols.errors import ApiError, ErrorKind
from services.edge.key_cache import ApiKey, KeyLimits
from tests.fixtures.engines import RedisServer
from tests.integration.auth.conftest import Replica, until
from tests.integration.limits.conftest import EdgeLimits, api_key, edge_limits, group

pytestmark = pytest.mark.slow

G = group()
EDGES = 4


@pytest.fixture
async def edges(auth: Replica) -> AsyncIterator[list[EdgeLimits]]:
    """Four, that auth knows of."""
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(edge_limits(auth.address, number)) for number in range(EDGES)]
        for number, edge in enumerate(started):
            await edge.admit(api_key(f"hello-{number}", requests_per_minute=10_000), G)
        assert auth.auth.workers.count() == EDGES
        yield started


class Flood:
    """More requests than get in, until `after_s` seconds after the first refusal."""

    def __init__(self, key: ApiKey, after_s: float) -> None:
        self._key = key
        self._after_s = after_s
        self._ends_at = float("inf")
        self.admitted = 0

    async def run(self, edge: EdgeLimits) -> None:
        while time.monotonic() < self._ends_at:
            if await is_refused(edge, self._key):
                self._ends_at = min(self._ends_at, time.monotonic() + self._after_s)
                await asyncio.sleep(0.002)
            else:
                self.admitted += 1
                if self.admitted % 50 == 0:
                    await asyncio.sleep(0)


async def is_refused(edge: EdgeLimits, key: ApiKey, tokens: int = 0) -> bool:
    try:
        (await edge.admit(key, G, tokens)).close()
    except ApiError as error:
        if error.kind is not ErrorKind.RATE_LIMIT or not error.retry_after_s:
            raise
        return True
    return False


@pytest.mark.parametrize("per_minute", [120, 1200, 12_000])
async def test_four_flooded_edges_admit_within_two_percent_and_never_more(
    edges: list[EdgeLimits], per_minute: int
) -> None:
    flood = Flood(api_key("flooded", requests_per_minute=per_minute), after_s=2.0)
    started = time.monotonic()
    await asyncio.gather(*(flood.run(edge) for edge in edges for _ in range(4)))
    # What drains is counted by Redis from its first answer on, in whole requests.
    allowed = per_minute * (1 + (time.monotonic() - started) / 60)
    assert 0.98 * allowed - 1 <= flood.admitted <= allowed


async def test_a_limited_key_costs_no_round_trip_per_request(edges: list[EdgeLimits]) -> None:
    edge, key = edges[0], api_key("busy", requests_per_minute=100_000)
    before = edge.calls()
    started = time.monotonic()
    for _ in range(20):
        for _ in range(25):
            (await edge.admit(key, G)).close()
        await asyncio.sleep(0.02)
    calls = edge.calls() - before
    assert calls < 60 + 10 * (time.monotonic() - started), f"{calls} calls for 500 requests"


async def test_one_account_limit_is_shared_by_its_keys_on_all_edges(edges: list[EdgeLimits]) -> None:
    of_account = KeyLimits(8, 0, 0, 0, 0)
    keys = [
        ApiKey(f"k{number}", "acct-shared", "g", False, False, 0, frozenset(), (), 0, None, of_account)
        for number in range(4)
    ]
    for edge, key in zip(edges, keys, strict=True):
        for _ in range(2):
            await edge.admit(key, G)
    with pytest.raises(ApiError, match="your account reached: 8 requests per minute"):
        await edges[0].admit(keys[3], G)


async def test_a_groups_limit_is_shared_by_its_accounts(edges: list[EdgeLimits]) -> None:
    limited = group(rpm=3)
    for edge, name in zip(edges, ("a", "b", "c"), strict=False):
        await edge.admit(api_key(name), limited)
    with pytest.raises(ApiError, match="group reached: 3 requests per minute"):
        await edges[3].admit(api_key("d"), limited)


async def test_requests_at_once_never_exceed_the_limit_and_a_slot_given_back_serves_another_edge(
    edges: list[EdgeLimits],
) -> None:
    key = api_key("slots", concurrency=6)
    tickets = [await edges[number % EDGES].admit(key, G) for number in range(6)]
    for edge in edges:
        with pytest.raises(ApiError, match="6 requests at once") as refused:
            await edge.admit(key, G)
        assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    tickets[0].close()  # of edge 0

    async def is_admitted_elsewhere() -> bool:
        try:
            await edges[1].admit(key, G)
        except ApiError:
            return False
        return True

    await until(is_admitted_elsewhere)


async def test_tokens_count_the_estimate_at_once_and_the_usage_in_the_end(edges: list[EdgeLimits]) -> None:
    key = api_key("tokens", tokens_per_minute=10_000)
    first, second = [await edge.admit(key, G, 4000) for edge in edges[:2]]
    with pytest.raises(ApiError, match="10000 tokens per minute"):
        await edges[2].admit(key, G, 4000)
    first.settle(tokens=100, cost_nanousd=0)  # far less than estimated: room for another, elsewhere

    async def has_room() -> bool:
        try:
            await edges[2].admit(key, G, 4000)
        except ApiError:
            return False
        return True

    await until(has_room)
    second.settle(tokens=30_000, cost_nanousd=0)  # far more: a debt of two minutes

    async def is_told() -> bool:
        [share] = edges[1].gate(key, G).tokens
        return share.used == share.used_known

    await until(is_told)
    with pytest.raises(ApiError) as refused:
        await edges[3].admit(key, G, 1)
    assert 120 < (refused.value.retry_after_s or 0) <= 160


async def test_a_request_larger_than_the_whole_limit_takes_all_of_it(edges: list[EdgeLimits]) -> None:
    key = api_key("large", tokens_per_minute=1000)
    ticket = await edges[0].admit(key, G, 5000)
    ticket.settle(tokens=1000, cost_nanousd=0)
    with pytest.raises(ApiError):
        await edges[1].admit(key, G, 5000)


async def test_the_days_money_is_held_then_spent_over_all_edges(edges: list[EdgeLimits]) -> None:
    key = api_key("money", spend_day_nanousd=1000, spend_month_nanousd=5000)
    tickets = []
    for edge in edges[:2]:
        ticket = await edge.admit(key, G)
        await edge.limiter.hold_spend(edge.gate(key, G), ticket, 450)
        tickets.append(ticket)
    third = await edges[2].admit(key, G)
    with pytest.raises(ApiError, match="spend limit per day") as refused:
        await edges[2].limiter.hold_spend(edges[2].gate(key, G), third, 450)
    assert refused.value.status == 402
    tickets[0].settle(tokens=0, cost_nanousd=50)  # of 450 held

    async def has_room() -> bool:
        try:
            await edges[2].limiter.hold_spend(edges[2].gate(key, G), third, 450)
        except ApiError:
            return False
        return True

    await until(has_room)
    third.settle(tokens=0, cost_nanousd=450)
    tickets[1].settle(tokens=0, cost_nanousd=450)
    last = await edges[3].admit(key, G)

    async def is_spent() -> bool:
        try:
            await edges[3].limiter.hold_spend(edges[3].gate(key, G), last, 51)
        except ApiError:
            return True
        raise AssertionError("950 of 1000 are spent")

    await until(is_spent)
    await edges[3].limiter.hold_spend(edges[3].gate(key, G), last, 1)


async def test_a_refused_request_leaves_nothing_taken(edges: list[EdgeLimits]) -> None:
    key = api_key("both", requests_per_minute=100, concurrency=1)
    edge = edges[0]
    first = await edge.admit(key, G)
    for _ in range(30):
        with pytest.raises(ApiError, match="requests at once"):
            await edge.admit(key, G)
    first.close()
    requests = edge.gate(key, G).requests[0]
    assert requests.used == 1


# ---- outages


async def test_redis_away_is_invisible_within_the_local_rule_and_told_afterwards(
    edges: list[EdgeLimits], own_redis: RedisServer
) -> None:
    key = api_key("outage", requests_per_minute=4000)
    await asyncio.gather(*(edge.admit(key, G) for edge in edges))
    own_redis.kill()

    async def is_away() -> bool:
        await edges[0].admit(key, G)
        return edges[0].calls("failed") > 0

    await until(is_away)
    admitted = 0
    while not await is_refused(edges[0], key):
        admitted += 1
        assert admitted <= 1200, "a quarter of what was left, and of what has drained since"
    assert admitted >= 800
    own_redis.start()
    calls = edges[0].calls()
    [share] = edges[0].gate(key, G).requests

    async def is_told() -> bool:
        return edges[0].calls() > calls and share.used == share.used_known

    await until(is_told)
    assert share.used >= admitted


async def test_an_edge_that_drains_gives_everything_back(edges: list[EdgeLimits], auth: Replica) -> None:
    key = api_key("drain", concurrency=1)
    ticket = await edges[0].admit(key, G)
    ticket.close()
    await edges[0].client.close()
    await edges[1].admit(key, G)


async def test_without_the_cache_every_request_asks(auth: Replica) -> None:
    async with edge_limits(auth.address, 9, is_leased=False) as edge:
        key = api_key("uncached", requests_per_minute=10_000)
        for number in range(5):
            calls = edge.calls()
            await edge.admit(key, G)
            assert edge.calls() > calls, f"request {number}"
