"""Keepalives while a provider thinks: one ticker for all open streams, so that an open stream costs no timer.

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

    def __init__(self, interval_s: float, metrics: EdgeMetrics) -> None:
        self._interval_s = interval_s
        self._metrics = metrics
        self._open: set[ClientConnection] = set()

    def add(self, client: ClientConnection) -> None:
        client.sent_at = time.monotonic()
        self._open.add(client)

    def discard(self, client: ClientConnection) -> None:
        self._open.discard(client)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(_TICK_S, self._interval_s / 2))
            due = time.monotonic() - self._interval_s
            for client in [client for client in self._open if client.sent_at <= due and not client.is_gone]:
                if client.send_if_writable(KEEPALIVE_FRAMES[client.dialect]):
                    self._metrics.keepalives.inc()
