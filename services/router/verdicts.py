"""What the edges' breakers found, spread to all edges: in memory, each finding for 30 s at most.

An edge that opens a breaker says so, says it again while it stays open, and says when it has closed. Whoever reported
last owns the verdict: it alone probes while the verdict holds, the others stay away (the half-open probe's token).
Nothing here outlives its expiry, so an edge that dies, or a router that loses a message, delays a recovery by no more.

Replicas tell one another over core NATS, `lumen.verdicts`; without NATS each serves its own edges.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from protos import router_pb2
from services.router.metrics import RouterMetrics

logger = logging.getLogger(__name__)

EXPIRY_S_MAX = 30.0
SUBJECT = "lumen.verdicts"
_VERDICTS_MAX = 4096
_REASON_CHARS_MAX = 500


class _Held(NamedTuple):
    worker_id: str
    reason: str
    expires_at: float


class Verdicts:
    """`await start()` once; then `report` what edges say and wait for changes."""

    def __init__(
        self, nc: Client | None, metrics: RouterMetrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._nc = nc
        self._metrics = metrics
        self._clock = clock
        self._held: dict[tuple[str, str], _Held] = {}
        self._listeners: set[asyncio.Event] = set()
        self.version = 1  # grows with every change that edges have to know

    async def start(self) -> None:
        if self._nc is not None:
            await self._nc.subscribe(SUBJECT, cb=self._on_message)

    async def report(self, verdicts: Iterable[router_pb2.Verdict]) -> None:
        """From an edge of this replica."""
        verdicts = list(verdicts)
        self._adopt(verdicts)
        if self._nc is None:
            return
        try:
            payload = router_pb2.ReportVerdictsRequest(verdicts=verdicts).SerializeToString()
            await self._nc.publish(SUBJECT, payload)
        except (NatsError, OSError) as error:
            logger.info("verdicts not told to other replicas", extra={"reason": repr(error)[:200]})

    def current(self) -> router_pb2.Verdicts:
        now = self._clock()
        for key in [key for key, held in self._held.items() if held.expires_at <= now]:
            del self._held[key]
        return router_pb2.Verdicts(
            items=[
                router_pb2.Verdict(
                    channel=channel,
                    model=model,
                    is_open=True,
                    reason=held.reason,
                    worker_id=held.worker_id,
                    expires_in_ms=int((held.expires_at - now) * 1000),
                )
                for (channel, model), held in self._held.items()
            ]
        )

    def listen(self, woken: asyncio.Event) -> None:
        """`woken` is set at every change, until `forget`."""
        self._listeners.add(woken)

    def forget(self, woken: asyncio.Event) -> None:
        self._listeners.discard(woken)

    async def _on_message(self, message: Msg) -> None:
        """Our own come back too; they change nothing."""
        try:
            request = router_pb2.ReportVerdictsRequest.FromString(message.data)
        except DecodeError:
            logger.warning("unreadable verdicts from another replica")
            return
        self._adopt(request.verdicts)

    def _adopt(self, verdicts: Iterable[router_pb2.Verdict]) -> None:
        now = self._clock()
        has_changed = False
        for verdict in verdicts:
            key = (verdict.channel, verdict.model)
            held = self._held.get(key)
            if not verdict.is_open:
                has_changed |= self._held.pop(key, None) is not None
                continue
            if held is None and len(self._held) >= _VERDICTS_MAX:
                continue
            expires_at = now + min(verdict.expires_in_ms / 1000, EXPIRY_S_MAX)
            if held is not None and held.expires_at >= now and held.worker_id != verdict.worker_id:
                # Another edge's last resort found the same. The first keeps the probe; the verdict may last longer.
                worker_id = held.worker_id
            else:
                worker_id = verdict.worker_id
            # Coming back from NATS a moment later it would last a moment longer: no news.
            has_changed |= held is None or held.worker_id != worker_id or expires_at - held.expires_at > 0.5
            self._held[key] = _Held(worker_id, verdict.reason[:_REASON_CHARS_MAX], expires_at)
        if has_changed:
            self.version += 1
            self._metrics.verdict_changes.inc()
            for woken in self._listeners:
                woken.set()
        self._metrics.verdicts.set(len(self._held))
