"""Active health probes, for channels whose catalog entry asks for them (`resilience: {probe: {interval_s: 30}}`).

A probe lists the provider's models: free of charge, and it shows whether the provider can be reached and knows our
account, nothing about one model. So it counts for the whole channel's circuit only: what cannot be reached is found out
before a client meets it, and is in use again without a client's request being risked. A refusal of our account disables
the channel as a request's would; that it is over only requests can show (listing is allowed to accounts in arrears).

One edge at a time: time is cut into intervals, of each of which one turn is shared out through auth; without auth
nobody probes. As the next turn is probably another edge's, whoever finds a failure looks again at once: what fails
`_TRIES` times in a row opens the circuit. Bounded: `_AT_ONCE_MAX` turns at once per edge, `timeout_s` per try.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from random import Random

from lumen.catalog.document import Channel, Dialect
from lumen.catalog.document import Probe as ProbePolicy
from lumen.protocols.errors import ApiError, ErrorKind
from protos import auth_pb2
from services.edge.exchanges import AttemptFailed
from services.edge.failures import refused, transport_failure
from services.edge.limits.client import LimitClient
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.transport import UpstreamFailure
from services.edge.provider_workers.worker import ProviderWorker
from services.edge.routing.health import Health
from services.edge.routing.metrics import RoutingMetrics

_TICK_S = 0.25
_AT_ONCE_MAX = 8
_TRIES = 3
_TRY_SPACING_S = 1.0
_WINDOWS = 10**8  # a window's name has eight digits
_PATHS: dict[Dialect, bytes] = {
    "anthropic_messages": b"/v1/models",
    "openai_chat": b"/models",
    "openai_responses": b"/models",
    "gemini_generate": b"/v1beta/models",
}
# Anything else is an answer: a provider that lists no models is alive all the same.
_FAILED_FROM = 500
_ACCOUNT_STATUSES = frozenset({401, 402, 403})


class Prober:
    """`await run()` in a supervised task."""

    def __init__(
        self,
        workers: ProviderWorkers,
        health: Health,
        turns: LimitClient,
        metrics: RoutingMetrics,
        random: Random,
        *,
        now: Callable[[], float] = time.monotonic,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._workers = workers
        self._health = health
        self._turns = turns
        self._metrics = metrics
        self._random = random
        self._now = now
        self._unix_s = unix_s
        self._due_at: dict[str, float] = {}  # of channels with probes
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            while True:
                self.step()
                await asyncio.sleep(_TICK_S)
        finally:
            for task in self._under_way.values():
                task.cancel()

    def step(self) -> None:
        """Start what is due."""
        now = self._now()
        wanted = {
            worker.channel.name: (worker, worker.channel.resilience.probe)
            for worker in self._workers
            if worker.is_ready and worker.channel.resilience.probe is not None and worker.channel.resilience.breaker
        }
        for name in self._due_at.keys() - wanted.keys():
            del self._due_at[name]
        for name, (worker, policy) in wanted.items():
            assert policy is not None
            # The first one early, all spread: edges that start together shall not probe together.
            due_at = self._due_at.setdefault(name, now + self._random.random() * min(1.0, policy.interval_s))
            if now < due_at or name in self._under_way or len(self._under_way) >= _AT_ONCE_MAX:
                continue
            self._due_at[name] = now + policy.interval_s * self._random.uniform(0.9, 1.1)
            task = asyncio.create_task(self._probe(worker, policy))
            self._under_way[name] = task
            task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, _: asyncio.Task[None]) -> None:
        self._under_way.pop(name, None)

    async def _probe(self, worker: ProviderWorker, policy: ProbePolicy) -> None:
        channel = worker.channel
        if not await self._has_turn(channel.name, policy):
            return  # another edge's
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(min(_TRY_SPACING_S, policy.interval_s / _TRIES))
            started = self._now()
            failure = await _try(worker, channel, policy.timeout_s)
            self._metrics.active_probes.labels(channel.name, "ok" if failure is None else failure.reason).inc()
            if failure is None or failure.is_account_fault:
                break
        if self._workers.get(channel.name) is worker and worker.channel is channel:  # else it judges what is gone
            self._health.probed(channel, started, failure)

    async def _has_turn(self, name: str, policy: ProbePolicy) -> bool:
        interval = str(int(self._unix_s() / policy.interval_s) % _WINDOWS)
        turn = self._turns.share(f"probe:{name}", auth_pb2.LIMIT_CONCURRENCY, interval, 1)
        if await self._turns.take(turn, 1) is not None:
            return False
        turn.settle(1, 1)  # used up: it does not come back
        self._turns.touched(turn)
        return True


async def _try(worker: ProviderWorker, channel: Channel, timeout_s: float) -> AttemptFailed | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(worker, channel)
    except UpstreamFailure as error:
        return transport_failure(error)
    except TimeoutError:
        return _too_slow()


async def _ask(worker: ProviderWorker, channel: Channel) -> AttemptFailed | None:
    """Raises UpstreamFailure."""
    dialect = next(iter(channel.dialects))
    response = await worker.send(dialect, _PATHS[dialect], [(b"accept", b"application/json")], b"", method=b"GET")
    try:
        if response.status >= _FAILED_FROM or response.status in _ACCOUNT_STATUSES:
            return await refused(response)
        return None
    finally:
        response.abort()  # the list itself is of no interest


def _too_slow() -> AttemptFailed:
    return AttemptFailed("timeout", ApiError(ErrorKind.UPSTREAM_TIMEOUT, "The provider did not answer in time."))
