"""Answers of every provider for every client: golden files, and streams that say what single answers say."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lumen.protocols.canonical.response import Response, fold
from lumen.protocols.dialects import Dialect
from lumen.protocols.translation import decode_answer
from tests.unit.protocols.translation import answers
from tests.unit.protocols.translation.answers import CLIENTS, GOLDEN, ISSUERS

CASES = answers.answer_cases()
CLIENT_CASES = [(upstream, behaviour, client) for upstream, behaviour in CASES for client in CLIENTS]
TRANSLATED = [case for case in CLIENT_CASES if case[0] is not case[2]]

by_case = pytest.mark.parametrize(("upstream", "behaviour"), CASES, ids=map("-".join, CASES))
by_client = pytest.mark.parametrize(
    ("upstream", "behaviour", "client"), CLIENT_CASES, ids=["-".join(case) for case in CLIENT_CASES]
)


def without_ids(response: Response) -> Response:
    """Ids of answers are made anew for each."""
    return msgspec.structs.replace(response, response_id=None)


@by_case
def test_a_providers_stream_folds_into_its_single_answer(upstream: Dialect, behaviour: str) -> None:
    events = answers.events_of(upstream, answers.stream(upstream, behaviour))
    response, _ = answers.client_single(upstream, behaviour, Dialect.OPENAI_CHAT)
    assert fold(events) == response


@by_client
def test_a_clients_stream_says_what_its_single_answer_says(upstream: Dialect, behaviour: str, client: Dialect) -> None:
    streamed = answers.client_stream(upstream, behaviour, client)
    _, single = answers.client_single(upstream, behaviour, client)
    decoded = decode_answer(client, single, ISSUERS[client])
    assert without_ids(fold(answers.events_of(client, [streamed]))) == without_ids(decoded)


@pytest.mark.parametrize(("upstream", "behaviour", "client"), TRANSLATED, ids=["-".join(case) for case in TRANSLATED])
def test_the_answer_is_the_golden_one(upstream: Dialect, behaviour: str, client: Dialect) -> None:
    expected: dict[str, Any] = json.loads(answers.golden_path(upstream, behaviour, client).read_text())
    assert answers.outcome(upstream, behaviour, client) == expected


def test_no_golden_file_is_left_over() -> None:
    assert set(GOLDEN.rglob("*.json")) == {answers.golden_path(*case) for case in TRANSLATED}


@by_client
def test_usage_reaches_the_client_whole(upstream: Dialect, behaviour: str, client: Dialect) -> None:
    response, single = answers.client_single(upstream, behaviour, client)
    decoded = decode_answer(client, single, ISSUERS[client])
    assert response.usage is not None
    assert decoded.usage is not None
    assert decoded.usage.prompt_tokens() == response.usage.prompt_tokens()
    assert decoded.usage.output == response.usage.output
