"""Exact fractions as text, and the bounds of a month."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.errors import InvalidRequest
from services.console.explanations import exact_decimal
from services.console.statements import month_bounds_s


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [(0, 1, "0"), (7, 1, "7"), (5, 10, "0.5"), (50, 100, "0.5"), (1, 10**6, "0.000001"), (12_345_000, 1000, "12345")],
)
def test_every_digit_there_is_and_no_other(numerator: int, denominator: int, text: str) -> None:
    assert exact_decimal(numerator, denominator) == text


@given(st.integers(0, 10**30), st.integers(0, 24))
def test_the_text_is_the_fraction(numerator: int, digits: int) -> None:
    whole, _, fraction = exact_decimal(numerator, 10**digits).partition(".")
    assert int(whole) * 10**digits + int((fraction or "0").ljust(digits, "0")[:digits] or 0) == numerator
    assert not fraction.endswith("0")


def test_months_meet_without_a_gap() -> None:
    months = [f"{year}-{month:02d}" for year in (2026, 2027, 2028) for month in range(1, 13)]
    bounds = [month_bounds_s(month) for month in months]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))
    assert month_bounds_s("2026-12")[1] == 1_798_761_600  # 2027-01-01


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "2026-00", "2026-11-01", ""])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        month_bounds_s(text)
