"""The vendors' official headers of rate limits, for answers to limited keys.

https://platform.openai.com/docs/guides/rate-limits (reset: a duration such as 1s or 6m0s),
https://docs.claude.com/en/api/rate-limits#response-headers (reset: RFC 3339, when all of it will be back).
"""

from __future__ import annotations

import time
from typing import NamedTuple

from lumen.protocols.dialects import Dialect
from services.edge.http_protocol import Headers

_MINUTE_MS = 60_000
_OPENAI = tuple(
    tuple(f"x-ratelimit-{figure}-{what}".encode() for figure in ("limit", "remaining", "reset"))
    for what in ("requests", "tokens")
)
_ANTHROPIC = tuple(
    tuple(f"anthropic-ratelimit-{what}-{figure}".encode() for figure in ("limit", "remaining", "reset"))
    for what in ("requests", "tokens")
)


class Figures(NamedTuple):
    """Per minute."""

    limit: int
    remaining: int

    @property
    def reset_ms(self) -> int:
        """Until all of it is back."""
        return -(-(self.limit - self.remaining) * _MINUTE_MS // self.limit)


def limit_headers(dialect: Dialect, requests: Figures | None, tokens: Figures | None, unix_s: float) -> Headers:
    """Only of what is limited."""
    headers: Headers = []
    is_anthropic = dialect is Dialect.ANTHROPIC_MESSAGES
    for names, figures in zip(_ANTHROPIC if is_anthropic else _OPENAI, (requests, tokens), strict=True):
        if figures is not None:
            reset = _time(unix_s, figures.reset_ms) if is_anthropic else _duration(figures.reset_ms)
            headers += zip(names, (b"%d" % figures.limit, b"%d" % figures.remaining, reset), strict=True)
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
    whole_s = -(-(int(unix_s * 1000) + ms) // 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(whole_s)).encode()
