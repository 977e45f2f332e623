"""Whatever the encoders drop or refuse is declared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from lumen.protocols import openai_responses
from lumen.protocols.canonical.request import Sampling
from lumen.protocols.codec import LossAction
from lumen.protocols.openai_responses.losses import LOSSES
from lumen.protocols.openai_responses.request_encoder import _lost_sampling

EVERYTHING = Sampling(None, None, 1, 1, 1, 1, {"1": 1}, True, 1)


def calls() -> Iterator[tuple[str, str]]:
    """(`drop` or `Unsupported`, feature) wherever the package names a feature."""
    for source in Path(str(openai_responses.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = ast.unparse(node.func).rpartition(".")[2]
                if name in ("drop", "Unsupported"):
                    yield name, str(node.args[0].value)


def test_every_drop_is_declared_as_one() -> None:
    dropped = {feature for name, feature in calls() if name == "drop"} | set(_lost_sampling(EVERYTHING))
    assert "cache_control" in dropped
    assert {feature for feature in dropped if LOSSES[feature].action is not LossAction.DROPPED} == set()


def test_every_refusal_is_declared_as_one() -> None:
    refused = {feature for name, feature in calls() if name == "Unsupported"}
    assert {feature for feature, loss in LOSSES.items() if loss.action is LossAction.REFUSED} == refused


def test_every_loss_has_a_note_for_people() -> None:
    assert all(loss.note.endswith(".") for loss in LOSSES.values())
