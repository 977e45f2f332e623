"""Times as people write them: ISO 8601 (UTC unless it says otherwise), or a distance from now such as 24h, 7d, 30m."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_RELATIVE = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_END_S = 4_102_444_800  # 2100-01-01, as in the ledger
_FORMS = "write an ISO date or time such as 2026-11-25 or 2026-11-25T10:00:00Z, or a distance such as 24h, 7d, 30m"


def parse_past(text: str, now_s: int) -> int:
    """Unix seconds; `24h` is 24 hours ago. Raises ValueError."""
    distance_s = _distance_s(text)
    return _absolute_s(text) if distance_s is None else max(0, now_s - distance_s)


def parse_future(text: str, now_s: int) -> int:
    """Unix seconds, after now; `30d` is in 30 days. Raises ValueError."""
    distance_s = _distance_s(text)
    time_s = _absolute_s(text) if distance_s is None else now_s + distance_s
    if time_s <= now_s:
        raise ValueError("this time has passed")
    if time_s >= _END_S:
        raise ValueError("must be before 2100")
    return time_s


def format_time(time_s: int) -> str | None:
    """`2026-11-25T10:00:00Z`; None for 0, which means never."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time_s else None


def format_time_us(time_us: int) -> str:
    """With microseconds."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{time_us % 1_000_000:06d}Z"
    )


def _distance_s(text: str) -> int | None:
    match = _RELATIVE.fullmatch(text)
    return int(match.group(1)) * _SECONDS[match.group(2)] if match else None


def _absolute_s(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(_FORMS) from error
    time_s = int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp())
    if not 0 <= time_s <= _END_S:
        raise ValueError("must be between 1970 and 2100")
    return time_s
