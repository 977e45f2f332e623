"""Finding a provider that answers: targets in order, each tried once, before the client has seen a byte.

What a failed attempt means: a connection that did not come about, 408, 429, 5xx and a broken first frame are the
provider's trouble, 401, 402, 403 and 404 our account's; both go on to the next target where the channel allows it. Any
other status is about the request itself and goes to the client at once. When all targets have failed the client gets
the most telling failure (`services.edge.failures`). A client that has gone is worth no further attempt.
"""

from __future__ import annotations

import time
from random import Random

from lumen.catalog.document import Channel
from lumen.catalog.resolve import Resolution, Target, select
from lumen.ledger.entries import Attempt
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.stream_reader import UpstreamProtocolError
from services.edge.client_connection import ClientGone
from services.edge.departures import Abandoned, Departures
from services.edge.exchanges import AttemptFailed, Exchange
from services.edge.failures import more_telling, refused, transport_failure
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse
from services.edge.provider_workers.worker import ProviderWorker


class Attempts:
    def __init__(
        self,
        workers: ProviderWorkers,
        departures: Departures,
        metrics: EdgeMetrics,
        *,
        attempts_max: int,
        channel_wait_s_max: float,
    ) -> None:
        self._workers = workers
        self._departures = departures
        self._metrics = metrics
        self._attempts_max = attempts_max
        self._channel_wait_s_max = channel_wait_s_max
        self._random = Random()  # spreads load

    def _is_usable(self, channel: Channel) -> bool:
        worker = self._workers.get(channel.name)
        return worker is not None and worker.is_ready

    def targets(self, resolution: Resolution) -> list[Target]:
        """In the order to try them. Raises ApiError 503 when none is ready."""
        targets = select(resolution, self._random, is_usable=self._is_usable)
        if not targets:
            raise ApiError(ErrorKind.OVERLOADED, "No provider of this model is ready at the moment.", retry_after_s=5)
        return targets

    async def run(self, exchange: Exchange, targets: list[Target]) -> None:
        """Try targets until one answers and has been relayed. Raises ApiError and, when the client left before any
        target answered, ClientGone; `exchange.attempts` tells the story."""
        remaining = list(targets)
        failure: AttemptFailed | None = None
        while remaining and len(exchange.attempts) < self._attempts_max:
            acquired = await self._acquire(remaining)
            if exchange.client.is_gone:
                if acquired is not None:
                    acquired[1].release()
                raise ClientGone
            if acquired is None:
                break
            target, worker = acquired
            remaining.remove(target)
            try:
                await self._attempt(exchange, target, worker)
                return
            except AttemptFailed as failed:
                failure = more_telling(failure, failed)
                if not (failed.may_retry and target.channel.resilience.retry):
                    break
        if failure is not None:
            raise failure.error
        raise ApiError(ErrorKind.OVERLOADED, "All providers of this model are busy. Please retry.", retry_after_s=1)

    async def _acquire(self, targets: list[Target]) -> tuple[Target, ProviderWorker] | None:
        """The first target with a free slot, waiting a bounded time when all are busy."""
        deadline = time.monotonic() + self._channel_wait_s_max
        while True:
            for target in targets:
                worker = self._workers.get(target.channel.name)
                if worker is not None and worker.is_ready and worker.try_acquire():
                    return target, worker
            wait_s = deadline - time.monotonic()
            if wait_s <= 0 or not await self._workers.wait_for_slot([t.channel.name for t in targets], wait_s):
                return None

    async def _attempt(self, exchange: Exchange, target: Target, worker: ProviderWorker) -> None:
        started = time.monotonic()
        reason, status = "aborted", 0
        response: UpstreamResponse | None = None
        failure: Exception | None = None
        try:
            try:
                with self._departures.watch(exchange.client, target.channel.on_disconnect):
                    response = await _send(exchange, target, worker)
                    status = response.status
                    if status != 200:
                        raise await refused(response)
                    await exchange.receive(response)
            except (UpstreamFailure, UpstreamProtocolError, Abandoned) as error:
                failure = error
                if response is not None:
                    response.abort()
            reason = await exchange.conclude(target, response, failure)
        except AttemptFailed as failed:
            reason = failed.reason
            self._note(exchange, target, status, reason, started)
            raise
        except BaseException:
            if response is not None:
                response.abort()
            self._note(exchange, target, status, reason, started)
            raise
        finally:
            worker.release()
            self._metrics.requests.attempted(target.channel.name, reason)

    def _note(self, exchange: Exchange, target: Target, status: int, reason: str, started: float) -> None:
        """An attempt that came to nothing; the one that answered is noted with its usage entry."""
        duration_us = int((time.monotonic() - started) * 1_000_000)
        exchange.attempts.append(Attempt(target.channel.name, status, reason, duration_us))


async def _send(exchange: Exchange, target: Target, worker: ProviderWorker) -> UpstreamResponse:
    message = exchange.request(target)
    try:
        return await worker.send(message.dialect.value, message.path, message.headers, message.body)
    except UpstreamFailure as error:
        raise transport_failure(error) from error
