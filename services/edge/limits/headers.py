"""The vendors' official headers of rate limits, for answers to limited keys.

https://platform.openai.com/docs/guides/rate-limits (reset: a duration such as 1s or 6m0s),
https://docs.claude.com/en/api/rate-limits#response-headers (reset: RFC 3339, when all of it will be back).
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import NamedTuple

from lumen.protocols.dialects import Dialect
from services.edge.http_protocol import Headers

_MINUTE_MS = 60_000
_OPENAI = tuple(
    (
        f"x-ratelimit-limit-{what}".encode(),
        f"x-ratelimit-remaining-{what}".encode(),
        f"x-ratelimit-reset-{what}".encode(),
    )
    for what in ("requests", "tokens")
)
_ANTHROPIC = tuple(
    (
        f"anthropic-ratelimit-{what}-limit".encode(),
        f"anthropic-ratelimit-{what}-remaining".encode(),
        f"anthropic-ratelimit-{what}-reset".encode(),
    )
    for what in ("requests", "tokens")
)


class Figures(NamedTuple):
    """Per minute."""

    limit: int
    remaining: int


def limit_headers(dialect: Dialect, requests: Figures | None, tokens: Figures | None, unix_s: float) -> Headers:
    """Only of what is limited."""
    headers: Headers = []
    is_anthropic = dialect is Dialect.ANTHROPIC_MESSAGES
    names = _ANTHROPIC if is_anthropic else _OPENAI
    for (limit_name, remaining_name, reset_name), figures in ((names[0], requests), (names[1], tokens)):
        if figures is None:
            continue
        limit, remaining = figures
        reset_ms = -((remaining - limit) * _MINUTE_MS // limit)  # until all of it is back, rounded up
        headers.append((limit_name, b"%d" % limit))
        headers.append((remaining_name, b"%d" % remaining))
        headers.append((reset_name, _time(unix_s, reset_ms) if is_anthropic else _duration(reset_ms)))
    return headers


def _duration(ms: int) -> bytes:
    """As Go prints durations, which OpenAI's are: 0s, 120ms, 1s, 6m0s, 1h0m0s."""
    if 0 < ms < 1000:
        return b"%dms" % ms
    minutes, seconds = divmod(-(-ms // 1000), 60)
    if minutes < 60:
        return b"%dm%ds" % (minutes, seconds) if minutes else b"%ds" % seconds
    return b"%dh%dm%ds" % (minutes // 60, minutes % 60, seconds)


def _time(unix_s: float, ms: int) -> bytes:
    return _rfc3339(-(-(int(unix_s * 1000) + ms) // 1000))


@lru_cache(maxsize=256)  # requests of the same second say the same
def _rfc3339(unix_s: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s)).encode()
