"""Times as people write them."""

from __future__ import annotations

import pytest

from services.console.times import format_time, format_time_us, parse_future, parse_past

NOW_S = 1_795_000_000


@pytest.mark.parametrize(
    ("text", "time_s"),
    [
        ("24h", NOW_S - 86_400),
        ("7d", NOW_S - 7 * 86_400),
        ("30m", NOW_S - 1_800),
        ("2026-11-25", 1_795_564_800),
        ("2026-11-25T10:00:00Z", 1_795_600_800),
        ("2026-11-25T10:00:00", 1_795_600_800),
        ("2026-11-25T12:00:00+02:00", 1_795_600_800),
    ],
)
def test_past_is_a_distance_or_an_iso_time_in_utc(text: str, time_s: int) -> None:
    assert parse_past(text, NOW_S) == time_s


@pytest.mark.parametrize("text", ["", "yesterday", "24", "-1h", "1y", "2026-13-01", "9999-01-01", "0001-01-01"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_past(text, NOW_S)


def test_future_counts_from_now_and_has_not_passed() -> None:
    assert parse_future("30d", NOW_S) == NOW_S + 30 * 86_400
    for passed in ("2020-01-01", "0s", "2101-01-01", "999999w"):
        with pytest.raises(ValueError):
            parse_future(passed, NOW_S)


def test_times_are_written_in_utc_and_zero_is_never() -> None:
    assert format_time(0) is None
    assert format_time(1_795_600_800) == "2026-11-25T10:00:00Z"
    assert format_time_us(1_795_600_800_000_042) == "2026-11-25T10:00:00.000042Z"
