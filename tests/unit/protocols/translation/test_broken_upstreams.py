"""Providers that send anything: decoders and encoders take it, and nothing but UpstreamProtocolError comes out."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from lumen.protocols.dialects import Dialect
from lumen.protocols.stream_reader import UpstreamProtocolError
from lumen.protocols.translation import decode_answer, encode_answer
from tests.unit.protocols.frames import payloads
from tests.unit.protocols.translation import answers
from tests.unit.protocols.translation.answers import CLIENTS, ISSUERS

VARIANTS = 30
VALUES: list[Any] = [None, True, 0, -1, 7, 1.5, 10**30, "", "x", "STOP", [], [None], [{}], {}, {"x": None}, ["x"]]
CASES = answers.answer_cases()

by_case = pytest.mark.parametrize(("upstream", "behaviour"), CASES, ids=map("-".join, CASES))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside, the containers themselves too."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


def spoilt(value: Any, random: Random) -> Any:
    """`value` with one to three of its places deleted or replaced by anything."""
    value = copy.deepcopy(value)
    for _ in range(random.randint(1, 3)):
        *way, last = random.choice(list(places(value)))
        holder = value
        for key in way:
            holder = holder[key]
        if isinstance(holder, dict) and random.random() < 0.4:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(random.choice(VALUES))
    return value


@by_case
def test_a_spoilt_stream_never_raises_and_its_frames_stay_whole(upstream: Dialect, behaviour: str) -> None:
    stream = answers.case(upstream, behaviour)["stream"]
    for seed in range(VARIANTS):
        reads = [f"data: {json.dumps(payload)}\n\n".encode() for payload in spoilt(stream, Random(seed))]
        try:
            answers.events_of(upstream, reads)
            for client in CLIENTS:
                tap, relayed = answers.run(upstream, client, reads)
                assert tap.is_ended
                payloads(relayed + tap.held)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


@by_case
def test_a_spoilt_single_answer_is_read_or_refused(upstream: Dialect, behaviour: str) -> None:
    single = answers.case(upstream, behaviour)["single"]
    for seed in range(VARIANTS):
        body = json.dumps(spoilt(single, Random(seed))).encode()
        for client in CLIENTS:
            try:
                response = decode_answer(upstream, body, ISSUERS[upstream])
                encoded = encode_answer(client, response, answers.reply(client))
            except UpstreamProtocolError:
                continue
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error
            assert isinstance(json.loads(encoded), dict)
