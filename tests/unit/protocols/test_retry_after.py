"""How long a provider asks to wait, in every form it may be said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lumen.protocols.retry_after import SECONDS_MAX, retry_after_s

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({b"retry-after": b"7"}, 7),
        ({b"retry-after": b"0"}, 0),
        ({b"retry-after": b"1.2"}, 2),
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, 2),
        ({b"retry-after": b"Wed, 25 Nov 2026 12:00:30 GMT"}, 30),
        ({b"retry-after": b"Wed, 25 Nov 2026 11:00:00 GMT"}, 0),
        ({b"retry-after": b"Wed, 25 Nov 2026 12:00:30 GMT", b"date": b"Wed, 25 Nov 2026 12:00:20 GMT"}, 10),
        ({b"retry-after": b"Fri, 31 Dec 9999 23:59:59 GMT"}, SECONDS_MAX),
        ({b"retry-after": b"9" * 5000}, None),
        ({b"retry-after": b"1e300"}, SECONDS_MAX),
        ({b"retry-after": b"1e999"}, None),
        ({b"retry-after": b"-5"}, None),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b""}, None),
        ({b"retry-after": b"nan"}, None),
    ],
)
def test_it_is_whole_seconds_within_limits(headers: dict[bytes, bytes], expected: int | None) -> None:
    assert retry_after_s(headers, NOW) == expected
