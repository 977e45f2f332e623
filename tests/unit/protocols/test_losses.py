"""The tables of what translation loses, and the page made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumen.protocols.codec import LossAction
from lumen.protocols.dialects import CLIENT_DIALECTS, Dialect
from lumen.protocols.losses import ANSWER_PREFIX, LOSSES, document

PAGE = Path(__file__).parents[3] / "docs" / "protocol-losses.md"

by_dialect = pytest.mark.parametrize("dialect", list(Dialect))


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == document(), "run: python -m lumen.protocols.losses > docs/protocol-losses.md"


@by_dialect
def test_every_row_is_explained(dialect: Dialect) -> None:
    for feature, loss in LOSSES[dialect].items():
        assert feature == feature.lower().replace(" ", "_")
        assert loss.note.endswith("."), feature


@by_dialect
def test_answers_refuse_nothing_and_go_to_clients_only(dialect: Dialect) -> None:
    answers = {name: loss for name, loss in LOSSES[dialect].items() if name.startswith(ANSWER_PREFIX)}
    assert all(loss.action is not LossAction.REFUSED for loss in answers.values())
    assert not answers or dialect in CLIENT_DIALECTS.values()
