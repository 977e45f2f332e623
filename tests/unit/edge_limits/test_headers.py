"""The official headers, of what is limited and in the client's dialect."""

from __future__ import annotations

import pytest

from lumen.protocols.dialects import Dialect
from services.edge.limits.headers import Figures, limit_headers

NOW_S = 1_764_028_800.0  # 2025-11-25T00:00:00Z


@pytest.mark.parametrize("dialect", [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES])
def test_openai_names_and_durations(dialect: Dialect) -> None:
    headers = dict(limit_headers(dialect, Figures(60, 59), Figures(150_000, 149_984), NOW_S))
    assert headers == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"59",
        b"x-ratelimit-reset-requests": b"1s",
        b"x-ratelimit-limit-tokens": b"150000",
        b"x-ratelimit-remaining-tokens": b"149984",
        b"x-ratelimit-reset-tokens": b"7ms",
    }


def test_anthropic_names_and_times() -> None:
    headers = dict(limit_headers(Dialect.ANTHROPIC_MESSAGES, Figures(10, 4), Figures(100, 0), NOW_S))
    assert headers == {
        b"anthropic-ratelimit-requests-limit": b"10",
        b"anthropic-ratelimit-requests-remaining": b"4",
        b"anthropic-ratelimit-requests-reset": b"2025-11-25T00:00:36Z",
        b"anthropic-ratelimit-tokens-limit": b"100",
        b"anthropic-ratelimit-tokens-remaining": b"0",
        b"anthropic-ratelimit-tokens-reset": b"2025-11-25T00:01:00Z",
    }


def test_what_is_not_limited_is_not_spoken_of() -> None:
    assert limit_headers(Dialect.OPENAI_CHAT, None, None, NOW_S) == []
    assert [name for name, _ in limit_headers(Dialect.ANTHROPIC_MESSAGES, None, Figures(5, 5), NOW_S)] == [
        b"anthropic-ratelimit-tokens-limit",
        b"anthropic-ratelimit-tokens-remaining",
        b"anthropic-ratelimit-tokens-reset",
    ]


@pytest.mark.parametrize(
    ("remaining", "expected"), [(60, b"0s"), (59, b"1s"), (30, b"30s"), (0, b"1m0s"), (-300, b"6m0s")]
)
def test_durations_are_gos(remaining: int, expected: bytes) -> None:
    headers = dict(limit_headers(Dialect.OPENAI_CHAT, Figures(60, remaining), None, NOW_S))
    assert headers[b"x-ratelimit-reset-requests"] == expected
