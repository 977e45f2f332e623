from __future__ import annotations

from tests.load.goals import Verdict


def test_a_limit_is_met_when_it_is_reached_from_its_side() -> None:
    assert Verdict("ratio", 4.5, 4.5).is_met
    assert not Verdict("ratio", 4.51, 4.5).is_met
    assert Verdict("scaling", 0.85, 0.85, is_floor=True).is_met
    assert not Verdict("scaling", 0.84, 0.85, is_floor=True).is_met
    assert Verdict("scaling", 0.84, 0.85, is_floor=True).row()[-1] == "MISSED"
