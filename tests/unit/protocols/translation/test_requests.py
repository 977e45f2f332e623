"""Requests of every client in every other dialect, as the golden files have them."""

from __future__ import annotations

import json

import pytest

from lumen.protocols.codec import LossAction
from lumen.protocols.dialects import Dialect
from lumen.protocols.losses import LOSSES
from tests.unit.protocols.translation.golden import GOLDEN, golden_path, outcome, request_cases

CASES = request_cases()

by_case = pytest.mark.parametrize(
    ("client", "behaviour", "upstream"), CASES, ids=[f"{client}-{name}-{upstream}" for client, name, upstream in CASES]
)


@by_case
def test_the_body_is_the_golden_one(client: Dialect, behaviour: str, upstream: Dialect) -> None:
    assert outcome(client, behaviour, upstream) == json.loads(golden_path(client, behaviour, upstream).read_text())


@by_case
def test_every_loss_is_declared(client: Dialect, behaviour: str, upstream: Dialect) -> None:
    result = outcome(client, behaviour, upstream)
    if "refused" in result:
        # What no provider could keep is refused when the client's request is decoded.
        losses = {**LOSSES[client], **LOSSES[upstream]}
        assert losses[result["refused"]["feature"]].action is LossAction.REFUSED
    for feature in result.get("dropped", ()):
        assert LOSSES[upstream][feature].action is LossAction.DROPPED, feature


def test_no_golden_file_is_left_over() -> None:
    expected = {golden_path(*case) for case in CASES}
    found = {path for path in GOLDEN.rglob("*.json") if path.parent.parent == GOLDEN}
    assert found == expected
