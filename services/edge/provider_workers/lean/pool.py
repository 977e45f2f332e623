"""The connections to one origin. Idle ones are handed out last in, first out: a quiet time lets the rest expire.

How many are busy is the worker's to bound (`limits.concurrency`); how many may idle is bounded here.
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import SplitResult

from lumen.platform.addresses import resolve_permitted
from services.edge.provider_workers.lean.connection import LeanConnection
from services.edge.provider_workers.transport import ConnectFailed, ConnectionStats, TransportOptions

_ALPN = ["http/1.1"]
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Pool:
    def __init__(self, origin: SplitResult, options: TransportOptions, stats: ConnectionStats) -> None:
        assert origin.hostname is not None
        self._host = origin.hostname
        self._port = origin.port or _DEFAULT_PORTS[origin.scheme]
        self._is_tls = origin.scheme == "https"
        self._ssl_context: ssl.SSLContext | None = None
        self._options = options
        self._stats = stats
        self._idle: dict[LeanConnection, None] = {}  # ordered: the last is the freshest
        self._open: set[LeanConnection] = set()
        self._is_closing = False
        self._all_lost = asyncio.Event()
        self._all_lost.set()

    def take(self) -> LeanConnection | None:
        """An idle connection, if there is one."""
        if not self._idle:
            return None
        connection, _ = self._idle.popitem()
        self._stats.connections_idle -= 1
        self._stats.reuses += 1
        return connection

    async def connect(self) -> LeanConnection:
        """A new connection. Raises ConnectFailed."""
        loop = asyncio.get_running_loop()
        connect_s = self._options.timeouts.connect_s
        connection = LeanConnection(loop, self._options, self)
        is_connected = False
        try:
            async with asyncio.timeout(connect_s):
                await self._connect_to_any(loop, connection)
            is_connected = True
        except TimeoutError as error:
            raise ConnectFailed(f"no connection within {connect_s:g} s") from error
        except OSError as error:  # refused, unreachable, unknown name, forbidden address, TLS
            raise ConnectFailed(f"no connection: {error}") from error
        finally:
            if not is_connected:
                connection.abort()
        self._stats.connects += 1
        return connection

    async def _connect_to_any(self, loop: asyncio.AbstractEventLoop, connection: LeanConnection) -> None:
        """The first of the origin's permitted addresses that answers: by address, so that no name is resolved twice."""
        addresses = await resolve_permitted(self._host, self._port, self._options.addresses)
        for address in addresses:
            try:
                await loop.create_connection(
                    lambda: connection,
                    address,
                    self._port,
                    ssl=self._tls(),
                    server_hostname=self._host if self._is_tls else None,
                )
                return
            except ssl.SSLError:
                raise
            except OSError:
                if address is addresses[-1]:
                    raise

    def _tls(self) -> ssl.SSLContext | None:
        if self._is_tls and self._ssl_context is None:
            self._ssl_context = self._options.ssl_context()
            self._ssl_context.set_alpn_protocols(_ALPN)
        return self._ssl_context

    async def close(self) -> None:
        """Idle connections at once, busy ones when their answers end; when cancelled, those too at once."""
        self._is_closing = True
        for connection in list(self._idle):
            connection.close()
        try:
            await self._all_lost.wait()
        finally:
            for connection in list(self._open):
                connection.give_up()

    # --- the connections' reports

    def opened(self, connection: LeanConnection) -> None:
        self._open.add(connection)
        self._all_lost.clear()
        self._stats.connections_open += 1

    def freed(self, connection: LeanConnection) -> bool:
        if self._is_closing or len(self._idle) >= self._options.idle_connections_max:
            return False
        connection.reset_idle(self._options.keepalive_s)
        self._idle[connection] = None
        self._stats.connections_idle += 1
        return True

    def left(self, connection: LeanConnection) -> None:
        if connection in self._idle:
            del self._idle[connection]
            self._stats.connections_idle -= 1

    def lost(self, connection: LeanConnection) -> None:
        if connection in self._open:
            self._open.discard(connection)
            self._stats.connections_open -= 1
            if not self._open:
                self._all_lost.set()
