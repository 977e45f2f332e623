from __future__ import annotations

import pytest

from tests.load.soak import growth, theil_sen


def test_a_slope_is_not_moved_by_single_outliers() -> None:
    points = [(float(x), 2.0 * x) for x in range(20)]
    points[7] = (7.0, 1000.0)
    assert theil_sen(points) == pytest.approx(2.0)


def test_growth_leaves_the_warm_up_out() -> None:
    points = [(float(x), 10.0 * x if x < 6 else 60.0) for x in range(21)]
    assert growth(points) == (0.0, 60.0)


def test_growth_is_that_of_the_whole_time_after_the_warm_up() -> None:
    assert growth([(float(x), float(x)) for x in range(11)])[0] == pytest.approx(7.0)
