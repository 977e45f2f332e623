"""USD texts <-> nano-USD: exact, or refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumen.ledger.entries import AMOUNT_NANOUSD_MAX
from lumen.money.amounts import format_usd
from services.console.amounts import parse_usd


@pytest.mark.parametrize(
    ("text", "nanousd"),
    [
        ("25", 25_000_000_000),
        ("12.50", 12_500_000_000),
        ("0.000000001", 1),
        ("-0.5", -500_000_000),
        ("+1", 1_000_000_000),
        ("8999999.999999999", AMOUNT_NANOUSD_MAX - 1),
    ],
)
def test_amount_is_read_exactly(text: str, nanousd: int) -> None:
    assert parse_usd(text) == nanousd


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "1e3", "1,5", " 1", "1 ", "--1", "NaN", "0.0000000001", "1.0000000000", "٣", "9000000"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_usd(text)


@given(st.integers(-AMOUNT_NANOUSD_MAX + 1, AMOUNT_NANOUSD_MAX - 1))
def test_written_amount_is_read_back_and_equals_the_decimal(nanousd: int) -> None:
    text = format_usd(nanousd)
    assert parse_usd(text) == nanousd
    assert Decimal(text) * 10**9 == nanousd


def test_written_amount_has_no_needless_digits() -> None:
    assert [format_usd(value) for value in (0, 10**9, -(10**8), 12_500_000_000)] == ["0", "1", "-0.1", "12.5"]
