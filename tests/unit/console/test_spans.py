"""Which days finance's pages are about, and how finely they are told apart."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from services.console.errors import InvalidRequest
from services.console.finance.scope import Days
from services.console.web.spans import Span, span_of, starts

NOW_S = int(datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("preset", "since", "last"),
    [
        ("7", date(2026, 2, 23), date(2026, 3, 1)),
        ("30", date(2026, 1, 31), date(2026, 3, 1)),
        ("month", date(2026, 3, 1), date(2026, 3, 1)),
        ("last-month", date(2026, 2, 1), date(2026, 2, 28)),
        ("", date(2026, 1, 31), date(2026, 3, 1)),
        ("century", date(2026, 1, 31), date(2026, 3, 1)),
    ],
)
def test_presets_end_today_or_with_the_last_month(preset: str, since: date, last: date) -> None:
    span = span_of(preset, "", "", NOW_S)
    assert (span.days.since, span.last) == (since, last)


def test_two_dates_win_and_the_last_one_is_in_it() -> None:
    span = span_of("7", "2026-01-05", "2026-01-05", NOW_S)
    assert span.days == Days(date(2026, 1, 5), date(2026, 1, 6))
    assert span.query == {"since": "2026-01-05", "to": "2026-01-05"}
    assert span_of("", "2026-02-01", "2026-02-28", NOW_S).query == {"range": "last-month"}


@pytest.mark.parametrize(("since", "to"), [("2026-01-02", "2026-01-01"), ("x", ""), ("", "2026-02-30")])
def test_what_is_no_span_is_refused(since: str, to: str) -> None:
    with pytest.raises(InvalidRequest):
        span_of("", since, to, NOW_S)


@pytest.mark.parametrize(
    ("days", "wanted", "period"),
    [(7, "day", "day"), (92, "day", "day"), (93, "day", "week"), (741, "week", "month"), (3000, "day", "month"),
     (30, "month", "month"), (30, "all", "day")],
)  # fmt: skip
def test_bars_stay_visible(days: int, wanted: str, period: str) -> None:
    until = date(2026, 1, 1)
    assert Span(Days(date.fromordinal(until.toordinal() - days), until)).period(wanted) == period


def test_periods_begin_as_clickhouse_names_them() -> None:
    days = Days(date(2026, 1, 30), date(2026, 3, 2))
    assert list(starts(days, "month")) == [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
    weeks = list(starts(days, "week"))
    assert (weeks[0], weeks[-1], len(weeks)) == (date(2026, 1, 26), date(2026, 2, 23), 5)
    assert len(list(starts(days, "day"))) == 31


@pytest.mark.parametrize(("length", "parts"), [(1, 1), (99, 99), (100, 100), (101, 51), (366, 92), (3_660, 99)])
def test_days_are_parted_without_gap_or_overlap(length: int, parts: int) -> None:
    days = Days(date(2020, 1, 1), date.fromordinal(date(2020, 1, 1).toordinal() + length))
    found = list(days.parts(100))
    assert len(found) == parts
    assert (found[0].since, found[-1].until) == (days.since, days.until)
    assert all(one.until == next_.since for one, next_ in pairwise(found))
