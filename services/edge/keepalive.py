"""Keepalives while a provider thinks, and the end of clients that stopped reading: one ticker for all open streams, so
that an open stream costs no timer.

Only a stream whose provider has already answered 200 gets them; before that the status is not known. A keepalive is a
whole frame and the tap hands on only whole frames, so the two never mix.
"""

from __future__ import annotations

import asyncio
import time

from lumen.protocols.dialects import Dialect
from services.edge.client_connection import ClientConnection
from services.edge.metrics import EdgeMetrics

# Anthropic sends `ping` events; OpenAI's SDKs skip SSE comments.
KEEPALIVE_FRAMES: dict[Dialect, bytes] = {
    Dialect.ANTHROPIC_MESSAGES: b'event: ping\ndata: {"type": "ping"}\n\n',
    Dialect.OPENAI_CHAT: b": keepalive\n\n",
    Dialect.OPENAI_RESPONSES: b": keepalive\n\n",
}

_TICK_S = 1.0


class Keepalives:
    """`await run()` in a supervised task; relays add and discard their clients."""

    def __init__(self, interval_s: float, stalled_s_max: float, metrics: EdgeMetrics) -> None:
        self._interval_s = interval_s
        self._stalled_s_max = stalled_s_max
        self._metrics = metrics
        self._open: dict[ClientConnection, Dialect] = {}

    def add(self, client: ClientConnection, dialect: Dialect) -> None:
        client.sent_at = time.monotonic()
        self._open[client] = dialect

    def discard(self, client: ClientConnection) -> None:
        self._open.pop(client, None)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(_TICK_S, self._interval_s / 2))
            now = time.monotonic()
            for client, dialect in list(self._open.items()):
                if client.is_stalled:
                    # Bytes are waiting already: a keepalive would only add to them.
                    if now - client.sent_at >= self._stalled_s_max:
                        self._metrics.stalled_clients.inc()
                        client.abort()
                elif client in self._open and now - client.sent_at >= self._interval_s and not client.is_gone:
                    await client.start_stream()
                    await client.send(KEEPALIVE_FRAMES[dialect])
                    self._metrics.keepalives.inc()
