"""Passed through or translated, and into what."""

from __future__ import annotations

import pytest

from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect
from lumen.protocols.translation import Passthrough, Translate, plan

CHAT, RESPONSES = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES
ANTHROPIC, GEMINI = Dialect.ANTHROPIC_MESSAGES, Dialect.GEMINI_GENERATE


@pytest.mark.parametrize("client", list(CLIENT_DIALECTS.values()))
def test_a_dialect_that_is_spoken_is_passed_through(client: Dialect) -> None:
    assert plan(client, list(Dialect)) == Passthrough(client)


@pytest.mark.parametrize(
    ("client", "spoken", "upstream"),
    [
        (CHAT, {RESPONSES}, RESPONSES),
        (CHAT, {RESPONSES, ANTHROPIC, GEMINI}, GEMINI),
        (CHAT, {RESPONSES, ANTHROPIC}, ANTHROPIC),
        (RESPONSES, {CHAT}, CHAT),
        (RESPONSES, {CHAT, GEMINI}, GEMINI),
        (RESPONSES, {CHAT, ANTHROPIC}, ANTHROPIC),
        (ANTHROPIC, {CHAT, RESPONSES}, RESPONSES),
        (ANTHROPIC, {CHAT, GEMINI}, GEMINI),
    ],
)
def test_the_closest_dialect_of_the_channel_is_taken(client: Dialect, spoken: set[Dialect], upstream: Dialect) -> None:
    assert plan(client, spoken) == Translate(client, upstream)


def test_a_channels_dialects_may_be_plain_strings() -> None:
    assert plan(CHAT, {"gemini_generate": "https://a.example"}) == Translate(CHAT, GEMINI)


def test_there_is_no_plan_for_a_channel_that_speaks_nothing_known() -> None:
    assert plan(CHAT, {"cohere"}) is None
