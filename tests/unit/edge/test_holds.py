"""Holds: an upper bound where the group is strict, a typical figure elsewhere; what has no price is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    held=st.integers(0, 3_000_000),
    choices=st.integers(1, 5),
    asked=st.none() | st.integers(1, 2000),
    prompt=st.integers(1, 3000),
)
def test_a_lowered_cap_costs_at_most_what_is_held_and_is_the_largest_that_does(
    held: int, choices: int, asked: int | None, prompt: int
) -> None:
    document: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x" * prompt}], "n": choices}
    body = json.dumps(document if asked is None else document | {"max_tokens": asked}).encode()
    found = resolution("strict")
    planned = plan_hold(peek(Dialect.OPENAI_CHAT, body), len(body), found)

    def worst_case(cap: int) -> int:
        return found.rates.hold_nanousd(
            prompt_tokens_max=len(body) + HIDDEN_PROMPT_TOKENS_MAX, output_tokens_max=cap * choices
        )

    assert planned.output_cap is not None
    assert planned.amount_nanousd == worst_case(planned.output_cap)
    assert planned.least_nanousd == worst_case(min(16, planned.output_cap))
    held = max(held, planned.least_nanousd)
    cap = planned.cap_within(held)
    assert cap is not None
    assert min(16, planned.output_cap) <= cap <= planned.output_cap
    assert worst_case(cap) <= held
    assert cap == planned.output_cap or worst_case(cap + 1) > held


def test_a_lowered_cap_leaves_room_to_think() -> None:
    thinking = {"type": "enabled", "budget_tokens": 400}
    planned = plan("strict", dialect=Dialect.ANTHROPIC_MESSAGES, max_tokens=900, thinking=thinking)
    assert planned.cap_within(planned.least_nanousd) == 416


def test_an_estimate_is_never_reduced() -> None:
    planned = plan()
    assert planned.least_nanousd == planned.amount_nanousd


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
