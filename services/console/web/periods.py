"""The time a page is about: a number of whole days up to now, in hours or days. All UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from services.console.web.queries import Step

DAYS = (1, 7, 30, 90)
_STEP_S = {"hour": 3600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Period:
    days: int
    step: Step
    since_s: int
    until_s: int

    @property
    def labels(self) -> list[str]:
        """One per step, `2026-11-25` or `2026-11-25 10:00`."""
        return [self.label(at) for at in range(self.since_s, self.until_s, _STEP_S[self.step])]

    def label(self, at_s: int) -> str:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d" if self.step == "day" else "%Y-%m-%d %H:%M")


def short_label(label: str) -> str:
    """For an axis: 11-25, or 10:00."""
    return label[11:] if len(label) > 10 else label[5:]


def period(days: int, step: str, now_s: int) -> Period:
    """Up to the end of the running hour or day. More than a week is shown by day: bars must stay visible."""
    days = days if days in DAYS else 7
    chosen: Step = "hour" if days == 1 or (step == "hour" and days <= 7) else "day"
    length_s = _STEP_S[chosen]
    until_s = (now_s // length_s + 1) * length_s
    return Period(days, chosen, until_s - days * 86_400, until_s)
