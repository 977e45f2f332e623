"""A dead letter's name, and the subject of its replay: one of each other, for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.errors import InvalidRequest
from services.billing.replay import LetterId

_letters = st.builds(LetterId, st.integers(1, 999), st.integers(0, 63), st.integers(1, 10**15), st.integers(0, 10**6))


@given(_letters)
def test_a_letter_survives_its_name(letter: LetterId) -> None:
    assert LetterId.parse(str(letter)) == letter


@given(_letters, _letters)
def test_two_letters_of_a_partition_have_two_producers(one: LetterId, other: LetterId) -> None:
    if one.partition == other.partition:
        assert (one.producer == other.producer) == (one == other)


def test_the_first_epoch_keeps_the_short_name() -> None:
    assert LetterId(1, 5, 17, 2).producer == "replay-17-2"
    assert LetterId(2, 5, 17, 2).producer == "replay-17-2-epoch-2"


@pytest.mark.parametrize("text", ["", "1-2-3", "1-64-3-4", "1-2-3-4-5", "a-2-3-4", "1-2-3-"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        LetterId.parse(text)
