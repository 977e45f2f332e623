"""Redis (or Valkey) as every service uses it: bounded waits, no hidden retries of scripts that move money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer


class _PackedInC:
    """redis-py's asyncio connections read with hiredis and still write in Python: a microsecond per argument, of which
    billing's script has two per account. This is what its synchronous connections write with."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        packed: Sequence[bytes] = self._serializer.pack(*args)
        return list(packed)


class _Connection(_PackedInC, Connection):
    pass


class _TlsConnection(_PackedInC, SSLConnection):
    pass


_CONNECTION_CLASSES: dict[type, type] = {Connection: _Connection, SSLConnection: _TlsConnection}


def connect(url: str, *, timeout_s: float = 2.0, connections_max: int = 32) -> Redis:
    """A client; it connects on first use. Errors are redis.exceptions.RedisError, raised to the caller at once."""
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "max_connections": connections_max,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 10,
        **parse_url(url),
    }
    connection_class = options.pop("connection_class", Connection)
    return Redis.from_pool(ConnectionPool(_CONNECTION_CLASSES.get(connection_class, connection_class), **options))
