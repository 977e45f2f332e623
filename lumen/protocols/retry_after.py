"""How long a provider asks to wait: `retry-after-ms` (OpenAI), `retry-after` in seconds or as an HTTP date (RFC 9110,
10.2.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Nobody waits longer for an answer; it also keeps figures of thousands of digits from being parsed.
SECONDS_MAX = 86_400
_CHARS_MAX = 40


def retry_after_s(headers: Mapping[bytes, bytes], now: datetime) -> int | None:
    """Whole seconds, rounded up, within 0 and SECONDS_MAX; None when nothing sensible is said. Names in lower case.

    A date is counted from the answer's own `date` header, so that two clocks need not agree; else from `now`.
    """
    milliseconds = _number(headers.get(b"retry-after-ms"))
    if milliseconds is not None:
        return min(math.ceil(milliseconds / 1000), SECONDS_MAX)
    said = headers.get(b"retry-after")
    seconds = _number(said)
    if seconds is not None:
        return min(math.ceil(seconds), SECONDS_MAX)
    until = _date(said)
    if until is None:
        return None
    start = _date(headers.get(b"date")) or now
    return max(0, min(math.ceil((until - start).total_seconds()), SECONDS_MAX))


def _number(text: bytes | None) -> float | None:
    if not text or len(text) > _CHARS_MAX or not text[:1].isdigit():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _date(text: bytes | None) -> datetime | None:
    if not text or len(text) > _CHARS_MAX:
        return None
    try:
        parsed = parsedate_to_datetime(text.decode("latin-1"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
