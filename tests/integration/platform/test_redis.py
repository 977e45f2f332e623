"""Commands reach Redis as they were meant, whoever packs them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from redis.exceptions import DataError

from lumen.platform import redis as platform_redis


async def test_arguments_of_every_kind_arrive(redis_url: str) -> None:
    redis = platform_redis.connect(redis_url)
    key = f"packed-{uuid4().hex}"
    fields: dict[bytes | bytearray | memoryview | str | int | float, Any] = {
        "text": "ü \r\n$5",
        "bytes": b"\x00\xff",
        "integer": -(1 << 62),
        "long": "x" * 100_000,
        "empty": "",
    }
    try:
        await redis.hset(key, mapping=fields)
        assert await redis.hgetall(key) == {
            b"text": "ü \r\n$5".encode(),
            b"bytes": b"\x00\xff",
            b"integer": str(-(1 << 62)).encode(),
            b"long": b"x" * 100_000,
            b"empty": b"",
        }
        assert await redis.config_get("maxmemory-policy")  # a command of two words
        with pytest.raises(DataError):
            await redis.set(key, None)  # type: ignore[arg-type]
    finally:
        await redis.delete(key)
        await redis.aclose()
