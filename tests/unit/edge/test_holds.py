"""Holds: an upper bound where the group is strict, a typical figure elsewhere; what has no price is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lumen.protocols.dialects import Dialect
from lumen.protocols.errors import ApiError
from lumen.protocols.estimate import HIDDEN_PROMPT_TOKENS_MAX
from lumen.protocols.peek import peek
from services.edge.holds import HoldPlan, plan_hold
from tests.unit.edge.catalogs import resolution


def plan(group: str = "default", model: str = "m", dialect: Dialect = Dialect.OPENAI_CHAT, **more: Any) -> HoldPlan:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x" * 400}], **more}).encode()
    return plan_hold(peek(dialect, body), len(body), resolution(group, model))


def test_an_estimate_reckons_with_typical_output_and_leaves_the_cap_alone() -> None:
    planned = plan()
    # dearest prompt bucket: cache_write_5m at 1.25 USD per million = 1250 nano-USD per token
    assert planned.amount_nanousd == planned.prompt_tokens_typical * 1250 + 100 * 2000
    assert planned.output_cap is None


def test_a_lower_cap_of_the_client_lowers_the_estimate() -> None:
    planned = plan(max_tokens=10)
    assert planned.amount_nanousd == planned.prompt_tokens_typical * 1250 + 10 * 2000


def test_choices_multiply_the_output() -> None:
    assert plan(n=3).amount_nanousd - plan(n=1).amount_nanousd >= 2 * 100 * 2000


def test_a_strict_hold_bounds_prompt_and_output() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}).encode()
    planned = plan_hold(peek(Dialect.OPENAI_CHAT, body), len(body), resolution("strict"))
    prompt = len(body) + HIDDEN_PROMPT_TOKENS_MAX
    assert planned.amount_nanousd == (prompt * 1250 + 1000 * 2000) // 2
    assert planned.output_cap == 1000


def test_a_strict_hold_never_raises_the_clients_own_cap() -> None:
    assert plan("strict", max_tokens=7).output_cap == 7


def test_a_strict_group_refuses_what_bytes_do_not_bound() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}
    with pytest.raises(ApiError) as refused:
        plan("strict", messages=[{"role": "user", "content": [part]}])
    assert refused.value.status == 400
    assert refused.value.param == "image_url"


def test_a_priced_modifier_scales_the_hold() -> None:
    base = plan(dialect=Dialect.ANTHROPIC_MESSAGES, max_tokens=50)
    fast = plan(dialect=Dialect.ANTHROPIC_MESSAGES, max_tokens=50, speed="fast")
    assert fast.amount_nanousd > 5 * base.amount_nanousd


def test_an_unpriced_modifier_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        plan(service_tier="priority")
    assert (refused.value.status, refused.value.param) == (400, "service_tier")


def test_server_tools_are_refused_where_they_have_no_price_and_held_where_they_have() -> None:
    tools = [{"type": "web_search_20260101", "name": "web_search"}]
    with pytest.raises(ApiError) as refused:
        plan(dialect=Dialect.ANTHROPIC_MESSAGES, max_tokens=5, tools=tools)
    assert refused.value.param == "tools"
    with_tools = plan(model="tools", dialect=Dialect.ANTHROPIC_MESSAGES, max_tokens=5, tools=tools)
    assert with_tools.amount_nanousd > 5 * 10_000_000


@pytest.mark.parametrize("group", ["default", "strict"])
def test_server_tools_that_translation_leaves_out_are_neither_held_nor_refused(group: str) -> None:
    def planned(tools: list[dict[str, Any]]) -> int:
        body = json.dumps({"model": "m", "input": "x", "tools": tools}).encode()
        return plan_hold(peek(Dialect.OPENAI_RESPONSES, body), 400, resolution(group)).amount_nanousd

    assert planned([{"type": "web_search", "external_web_access": True}]) == planned([])
