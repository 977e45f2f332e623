"""The whole days (UTC) that a finance page is about, and how finely they are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.console.errors import InvalidRequest
from services.console.finance.scope import Days, Period, days_of

PRESETS = ("7", "30", "90", "365", "month", "last-month")
_DEFAULT_PRESET = "30"
PERIODS: tuple[Period, ...] = ("day", "week", "month")
# More bars than these cannot be told apart; then the next coarser period is taken.
_DAYS_MAX = {"day": 92, "week": 740}


@dataclass(frozen=True, slots=True)
class Span:
    """`preset` is empty when it is none of them."""

    days: Days
    preset: str = ""

    @property
    def last(self) -> date:
        """The last day that is in it."""
        return self.days.until - timedelta(days=1)

    @property
    def query(self) -> dict[str, str]:
        """What asks for it again."""
        return {"range": self.preset} if self.preset else {"since": str(self.days.since), "to": str(self.last)}

    def period(self, wanted: str) -> Period:
        length = (self.days.until - self.days.since).days
        chosen = next((each for each in PERIODS if each == wanted), PERIODS[0])
        while length > _DAYS_MAX.get(chosen, length):
            chosen = PERIODS[PERIODS.index(chosen) + 1]
        return chosen


def span_of(preset: str, since: str, to: str, now_s: int) -> Span:
    """`to` is the last day, included. Two dates win over a preset. Raises InvalidRequest."""
    offered = {name: _preset(name, datetime.fromtimestamp(now_s, UTC).date()) for name in PRESETS}
    if since or to:
        first, last = _day("since", since), _day("to", to)
        days = days_of(first, last + timedelta(days=1) if last else None, now_s)
        return Span(days, next((name for name, same in offered.items() if same == days), ""))
    preset = preset if preset in PRESETS else _DEFAULT_PRESET
    return Span(offered[preset], preset)


def starts(days: Days, period: Period) -> Iterator[date]:
    """First days of the periods that hold `days`, as `scope.PERIOD_SQL` names them."""
    at = days.since
    if period == "week":
        at -= timedelta(days=at.weekday())
    elif period == "month":
        at = at.replace(day=1)
    while at < days.until:
        yield at
        at = (at.replace(day=28) + timedelta(days=4)).replace(day=1) if period == "month" else at + _STEPS[period]


_STEPS = {"day": timedelta(days=1), "week": timedelta(days=7)}


def _preset(name: str, today: date) -> Days:
    tomorrow, first_of_month = today + timedelta(days=1), today.replace(day=1)
    if name == "month":
        return Days(first_of_month, tomorrow)
    if name == "last-month":
        return Days((first_of_month - timedelta(days=1)).replace(day=1), first_of_month)
    return Days(tomorrow - timedelta(days=int(name)), tomorrow)


def _day(field: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(field, "write a day such as 2026-11-25") from error
