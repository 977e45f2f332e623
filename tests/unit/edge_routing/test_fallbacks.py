"""Chains of models: who is in them, in which order, and what a request holds for them."""

from __future__ import annotations

import json

import pytest

from lumen.catalog.document import Channel
from lumen.catalog.resolve import Resolution, RouteTable
from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.peek import peek
from services.edge.key_cache import ApiKey
from services.edge.routing.fallbacks import Fallbacks, Leg, dearest
from services.edge.routing.selection import Selection
from tests.unit.catalog.catalogs import catalog, channel, group, model

BODY = json.dumps({"model": "a", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}).encode()
PEEK = peek(Dialect.OPENAI_CHAT, BODY)


def key(*models: str) -> ApiKey:
    return ApiKey("k", "acct", "g", False, False, 0, frozenset(models), (), 0)


def table(*channels: Channel) -> RouteTable:
    models = [
        model("a", fallbacks=["dear", "absent", "cheap"]),
        model("dear", price={"input": "100", "output": "200"}),
        model("absent"),
        model("cheap", price={"input": "0.1", "output": "0.1"}),
    ]
    return RouteTable(catalog(models, [group("g")], list(channels)), 1)


async def legs(routes: RouteTable, who: ApiKey, ailing: set[str], failing: set[str]) -> list[Leg]:
    async def resolve(asker: ApiKey, code: str) -> Resolution:
        found = routes.resolve(asker.group, code)
        if found is None or (asker.models and code not in asker.models):
            raise ApiError(ErrorKind.NOT_FOUND, "x")
        return found

    def select(resolution: Resolution) -> Selection:
        if resolution.model.code in failing:
            raise ApiError(ErrorKind.OVERLOADED, resolution.model.code)
        return Selection(list(resolution.targets), resolution.model.code in ailing)

    return await Fallbacks(resolve).legs(who, PEEK, len(BODY), await resolve(who, "a"), select)


@pytest.mark.parametrize(
    ("who", "ailing", "failing", "expected"),
    [
        (key(), set(), set(), ["a", "dear", "cheap"]),
        (key("a", "cheap"), set(), set(), ["a", "cheap"]),
        (key(), {"a"}, set(), ["dear", "cheap", "a"]),  # the well ones before a last resort
        (key(), set(), {"a"}, ["dear", "cheap"]),
        (key(), {"a", "dear", "cheap"}, set(), ["a", "dear", "cheap"]),
    ],
)
async def test_a_chain_has_what_this_key_may_use_the_well_ones_first(
    who: ApiKey, ailing: set[str], failing: set[str], expected: list[str]
) -> None:
    routes = table(channel("c", "a", "dear", "cheap"))
    found = await legs(routes, who, ailing, failing)
    assert [leg.resolution.model.code for leg in found] == expected


async def test_the_dearest_of_the_chain_is_held() -> None:
    found = await legs(table(channel("c", "a", "dear", "cheap")), key(), set(), set())
    held = {leg.resolution.model.code: leg.plan.amount_nanousd for leg in found}
    assert held["dear"] == max(held.values()) > 50 * held["a"]
    assert dearest(found) == (held["dear"], held["dear"])


async def test_with_nobody_ready_the_client_is_told_of_the_model_it_asked_for() -> None:
    with pytest.raises(ApiError) as refused:
        await legs(table(channel("c", "a", "dear")), key(), set(), {"a", "dear"})
    assert refused.value.message == "a"
