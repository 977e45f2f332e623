"""Breaker findings shared through router (`services/router/verdicts.py`): ours told to all edges, theirs obeyed here.

A finding goes out at once, again every `renewal_s` while its breaker is open, and its end as soon as it closes. Others'
findings open circuits that count for as long as router says, after which this edge's own probe decides. While router is
away nothing is lost but the sharing: each edge finds out by itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc

from protos import router_pb2
from services.edge.routing.circuit import State
from services.edge.routing.health import Change, Health, Trouble

if TYPE_CHECKING:
    from protos.router_pb2_grpc import RouterAsyncStub

logger = logging.getLogger(__name__)

_EXPIRY_S = 30.0
_RPC_S_MAX = 2.0
_BACKOFF_S = 0.5


class VerdictSharing:
    """`await run()` in a supervised task; `on_verdicts` is for the watch stream."""

    def __init__(self, stub: RouterAsyncStub, worker_id: str, health: Health, *, renewal_s: float) -> None:
        self._stub = stub
        self._worker_id = worker_id
        self._health = health
        self._renewal_s = renewal_s
        self._closed: set[tuple[str, str]] = set()  # not told yet; at most one per breaker
        self._woken = asyncio.Event()
        self._remote: set[tuple[str, str]] = set()  # what other edges hold open
        health.on_change = self._on_change

    def _on_change(self, channel: str, model: str, change: Change) -> None:
        if change is Change.CLOSED:
            self._closed.add((channel, model))
        else:
            self._closed.discard((channel, model))
        self._woken.set()

    def on_catalog(self) -> None:
        """Another catalog is in use: what was found of channels that are gone or changed is void."""
        self._health.prune()

    def renew(self) -> None:
        """Tell everything again: the router may be another one."""
        self._woken.set()

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._renewal_s):
                    await self._woken.wait()
            except TimeoutError:
                self._health.prune()
            self._woken.clear()
            if not await self._tell():
                await asyncio.sleep(_BACKOFF_S)
                self._woken.set()

    async def _tell(self) -> bool:
        closed = set(self._closed)
        verdicts = [self._open_verdict(trouble) for trouble in self._health.troubles() if _is_ours(trouble)]
        verdicts += [
            router_pb2.Verdict(channel=channel, model=model, worker_id=self._worker_id) for channel, model in closed
        ]
        if not verdicts:
            return True
        try:
            await self._stub.ReportVerdicts(router_pb2.ReportVerdictsRequest(verdicts=verdicts), timeout=_RPC_S_MAX)
        except grpc.aio.AioRpcError as error:
            logger.info("breaker verdicts not delivered", extra={"reason": error.details()})
            return False
        self._closed -= closed
        return True

    def _open_verdict(self, trouble: Trouble) -> router_pb2.Verdict:
        # A provider that named a time named it for all; else the others wait for our probe.
        expires_in_s = min(trouble.remaining_s, _EXPIRY_S) if trouble.is_aside else _EXPIRY_S
        return router_pb2.Verdict(
            channel=trouble.channel,
            model=trouble.model,
            is_open=True,
            reason=trouble.reason,
            worker_id=self._worker_id,
            expires_in_ms=int(expires_in_s * 1000),
        )

    def on_verdicts(self, verdicts: router_pb2.Verdicts, *, is_first: bool) -> None:
        """All that hold now. `is_first`: of a new stream; a router that has just started may know none yet, so what is
        missing then is left to expire."""
        held: set[tuple[str, str]] = set()
        for verdict in verdicts.items:
            if verdict.worker_id == self._worker_id:
                continue
            held.add((verdict.channel, verdict.model))
            self._health.opened_elsewhere(verdict.channel, verdict.model, verdict.expires_in_ms / 1000, verdict.reason)
        if not is_first:
            for channel, model in self._remote - held:
                self._health.closed_elsewhere(channel, model)
            self._remote = held
        else:
            self._remote |= held


def _is_ours(trouble: Trouble) -> bool:
    return not trouble.is_remote and trouble.state is State.OPEN
