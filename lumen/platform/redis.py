"""Redis (or Valkey) as every service uses it: bounded waits, no hidden retries of scripts that move money."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def connect(url: str, *, timeout_s: float = 2.0, connections_max: int = 32) -> Redis:
    """A client; it connects on first use. Errors are redis.exceptions.RedisError, raised to the caller at once."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=connections_max,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=10,
    )
