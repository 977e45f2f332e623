"""Finding a provider that answers: targets in order, each tried once, before the client has seen a byte.

What a failed attempt means: a connection that did not come about, 408, 429, 5xx and a broken first frame are the
provider's trouble, 401, 402, 403 and 404 our account's; both go on to the next target where the channel allows it. Any
other status is about the request itself and goes to the client at once. When all targets have failed the client gets
the last status a provider gave (an account's trouble only when there was nothing else).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from random import Random

from lumen.catalog.document import Channel
from lumen.catalog.resolve import Target, select
from lumen.ledger.entries import Attempt
from lumen.protocols.dialects import upstream_path
from lumen.protocols.errors import ApiError, ErrorKind, read_upstream_error
from lumen.protocols.passthrough import rewrite
from services.edge.calls import Call
from services.edge.forwarded_headers import forwarded
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse, UpstreamTimeout
from services.edge.provider_workers.worker import ProviderWorker
from services.edge.upstream_body import read_error_body

logger = logging.getLogger(__name__)

_NEXT_STATUSES = frozenset({401, 402, 403, 404, 408, 409, 425, 429})


class AttemptFailed(Exception):
    """This target will not answer; nothing has reached the client. `error` is what it would be told."""

    def __init__(
        self, reason: str, error: ApiError, *, status: int = 0, is_account_fault: bool = False, may_retry: bool = True
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error
        self.status = status
        self.is_account_fault = is_account_fault
        self.may_retry = may_retry


# Relays the answer whose head says 200. Raises AttemptFailed while nothing has reached the client.
Relay = Callable[[Call, Target, UpstreamResponse], Awaitable[None]]


class Attempts:
    def __init__(
        self, workers: ProviderWorkers, metrics: EdgeMetrics, *, attempts_max: int, channel_wait_s_max: float
    ) -> None:
        self._workers = workers
        self._metrics = metrics
        self._attempts_max = attempts_max
        self._channel_wait_s_max = channel_wait_s_max
        self._random = Random()  # spreads load

    def _is_usable(self, channel: Channel) -> bool:
        worker = self._workers.get(channel.name)
        return worker is not None and worker.is_ready

    def targets(self, call: Call) -> list[Target]:
        """Raises ApiError: 400 when no channel speaks the dialect, 503 when none of them is ready."""
        targets = select(call.resolution, call.dialect.value, self._random, is_usable=self._is_usable)
        if targets:
            return targets
        if any(call.dialect.value in target.channel.dialects for target in call.resolution.targets):
            raise ApiError(ErrorKind.OVERLOADED, "No provider of this model is ready at the moment.", retry_after_s=5)
        raise ApiError(
            ErrorKind.INVALID_REQUEST,
            f"The model `{call.resolution.model.code}` cannot be reached through this API yet: translation between "
            "dialects is not supported.",
            param="model",
            code="unsupported_dialect",
        )

    async def run(self, call: Call, relay: Relay) -> None:
        """Try targets until one answers and has been relayed. Raises ApiError; `call.attempts` tells the story."""
        remaining = self.targets(call)
        failure: AttemptFailed | None = None
        while remaining and len(call.attempts) < self._attempts_max:
            acquired = await self._acquire(remaining)
            if acquired is None:
                break
            target, worker = acquired
            remaining.remove(target)
            try:
                await self._attempt(call, target, worker, relay)
                return
            except AttemptFailed as failed:
                if failure is None or not failed.is_account_fault:
                    failure = failed
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

    async def _attempt(self, call: Call, target: Target, worker: ProviderWorker, relay: Relay) -> None:
        started = time.monotonic()
        reason, status = "ok", 0
        try:
            response = await self._send(call, target, worker)
            status = response.status
            if status != 200:
                raise await refused(response)
            await relay(call, target, response)
        except AttemptFailed as failed:
            reason = failed.reason
            raise
        except BaseException:
            reason = "aborted"
            raise
        finally:
            worker.release()
            duration_us = int((time.monotonic() - started) * 1_000_000)
            if reason != "ok":  # the relay has noted its own, so that the entry holds it
                call.attempts.append(Attempt(target.channel.name, status, reason, duration_us))
            self._metrics.requests.attempted(target.channel.name, reason)

    async def _send(self, call: Call, target: Target, worker: ProviderWorker) -> UpstreamResponse:
        body = rewrite(
            call.peek, call.body, model=target.upstream_model, stream=call.is_stream, output_cap=call.output_cap
        )
        try:
            return await worker.send(
                call.dialect.value,
                upstream_path(call.dialect).encode(),
                forwarded(call.headers, call.dialect, is_stream=call.is_stream),
                body,
            )
        except UpstreamFailure as error:
            raise transport_failure(error) from error


def transport_failure(error: UpstreamFailure) -> AttemptFailed:
    if isinstance(error, UpstreamTimeout):
        return AttemptFailed(error.reason, ApiError(ErrorKind.UPSTREAM_TIMEOUT, "The provider did not answer in time."))
    return AttemptFailed(error.reason, ApiError(ErrorKind.UPSTREAM_FAILED, "The provider could not be reached."))


async def refused(response: UpstreamResponse) -> AttemptFailed:
    """The provider's own refusal, with its status and retry-after."""
    body = await read_error_body(response)
    status = response.status
    fault = read_upstream_error(status if status >= 400 else 502, body)
    retry_after = response.headers.get(b"retry-after", b"")
    if retry_after.isdigit():
        fault.error.retry_after_s = int(retry_after)
    if fault.is_account_fault:
        logger.error("provider refuses our account", extra={"status": status})
    may_retry = fault.is_account_fault or status in _NEXT_STATUSES or status >= 500 or status < 400
    return AttemptFailed(
        "account" if fault.is_account_fault else "status",
        fault.error,
        status=status,
        is_account_fault=fault.is_account_fault or status == 404,
        may_retry=may_retry,
    )
