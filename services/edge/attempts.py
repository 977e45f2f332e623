"""Finding a provider that answers: targets in order, each tried once, before the client has seen a byte.

What a failed attempt means: a connection that did not come about, 408, 429, 5xx and a broken first frame are the
provider's trouble, 401, 402, 403 and 404 our account's; both go on to the next target where the channel allows it. Any
other status is about the request itself and goes to the client at once. When all targets have failed the client gets
the most telling failure (`services.edge.failures`). A client that has gone is worth no further attempt.

Bounded in number (`attempts_max` per model), in time (none begins after `attempts_s_max`) and, over all requests, by
the retry budget. Every outcome is told to the breakers (`services.edge.routing.health`); a channel without trouble
costs them one lookup.
"""

from __future__ import annotations

import time
from functools import partial

from lumen.catalog.resolve import Resolution, Target
from lumen.ledger.entries import Attempt
from lumen.protocols.errors import ApiError, ErrorKind
from lumen.protocols.estimate import prompt_tokens_typical
from lumen.protocols.peek import Peek
from lumen.protocols.stream_reader import UpstreamProtocolError
from services.edge.client_connection import ClientGone
from services.edge.departures import Abandoned, Departures
from services.edge.exchanges import AttemptFailed, Exchange
from services.edge.failures import more_telling, refused, transport_failure
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.transport import UpstreamFailure, UpstreamResponse
from services.edge.provider_workers.worker import ProviderWorker
from services.edge.routing.affinity import conversation_key
from services.edge.routing.health import Health
from services.edge.routing.retry_budget import RetryBudget
from services.edge.routing.selection import Needs, Selection, Selector

# How `Exchange.conclude` says that the provider did its part.
_GOOD = frozenset({"ok", "unrecorded"})
_NO_TOOLS = frozenset({b"", b"null", b"[]"})


class Attempts:
    def __init__(
        self,
        workers: ProviderWorkers,
        departures: Departures,
        metrics: EdgeMetrics,
        selector: Selector,
        health: Health,
        budget: RetryBudget,
        *,
        attempts_max: int,
        attempts_s_max: float,
        channel_wait_s_max: float,
    ) -> None:
        self._workers = workers
        self._departures = departures
        self._metrics = metrics
        self._selector = selector
        self._health = health
        self._budget = budget
        self._attempts_max = attempts_max
        self._attempts_s_max = attempts_s_max
        self._channel_wait_s_max = channel_wait_s_max

    def select(self, resolution: Resolution, account: str, peek: Peek, body: bytes) -> Selection:
        """The targets in the order to try them. Raises ApiError 503 when none is ready, 400 when none can do it."""
        return self._selector.select(
            self._selector.plan(resolution),
            lambda: conversation_key(account, body),
            lambda: needs_of(peek, len(body), resolution),
        )

    async def run(self, exchange: Exchange, selection: Selection, model: str, *, is_evidence: bool = True) -> None:
        """Try targets until one answers and has been relayed. Raises ApiError and, when the client left before any
        target answered, ClientGone; `exchange.attempts` tells the story. `model`: its code. `is_evidence`: failures
        count against the channel."""
        failure = await self.try_all(exchange, selection, model, is_evidence=is_evidence)
        if failure is not None:
            raise failure.error

    async def try_all(
        self, exchange: Exchange, selection: Selection, model: str, *, is_evidence: bool = True
    ) -> AttemptFailed | None:
        """As `run`, but returns what the client would be told of targets that failed."""
        remaining = list(selection.targets)
        is_last_resort = selection.is_last_resort
        failure: AttemptFailed | None = None
        self._budget.requests += 1
        first_at = time.monotonic()
        attempts_max = len(exchange.attempts) + self._attempts_max
        while remaining and len(exchange.attempts) < attempts_max:
            if failure is not None and not self._may_retry(first_at):
                break
            acquired = await self._acquire(remaining, model, is_last_resort=is_last_resort)
            if exchange.client.is_gone:
                if acquired is not None:
                    acquired[1].release()
                    self._health.told_nothing(acquired[0], model)
                raise ClientGone
            if acquired is None:
                break
            target, worker = acquired
            remaining.remove(target)
            try:
                await self._attempt(exchange, target, worker, model, is_evidence)
                return None
            except AttemptFailed as failed:
                failure = more_telling(failure, failed)
                if not (failed.may_retry and target.channel.resilience.retry):
                    break
        return failure or AttemptFailed(
            "busy",
            ApiError(ErrorKind.OVERLOADED, "All providers of this model are busy. Please retry.", retry_after_s=1),
        )

    def _may_retry(self, first_at: float) -> bool:
        return time.monotonic() - first_at < self._attempts_s_max and self._budget.try_retry()

    async def _acquire(
        self, targets: list[Target], model: str, *, is_last_resort: bool
    ) -> tuple[Target, ProviderWorker] | None:
        """The first target with a free slot that its breaker admits, waiting a bounded time when all are busy."""
        deadline = 0.0
        while True:
            admitted = 0
            for target in targets:
                worker = self._workers.get(target.channel.name)
                if worker is None or worker.disabled_reason:
                    continue
                if not worker.has_slot:
                    admitted += 1
                    continue
                if self._health.troubled and not is_last_resort and not self._admit(target, model):
                    continue
                worker.try_acquire()
                return target, worker
            if not admitted and not is_last_resort:
                # Another request took the probe since the selection: as if it had found them all open.
                is_last_resort = True
                continue
            now = time.monotonic()
            deadline = deadline or now + self._channel_wait_s_max
            names = [target.channel.name for target in targets]
            if now >= deadline or not await self._workers.wait_for_slot(names, deadline - now):
                return None

    def _admit(self, target: Target, model: str) -> bool:
        return self._health.admit(target, model, self._health.clock())

    async def _attempt(
        self, exchange: Exchange, target: Target, worker: ProviderWorker, model: str, is_evidence: bool
    ) -> None:
        started = time.monotonic()
        reason, status = "aborted", 0
        response: UpstreamResponse | None = None
        failure: Exception | None = None
        exchange.on_first_byte = None
        if self._health.troubled and self._health.is_probe_due(target.channel.name, model):
            # A stream may last for minutes: its beginning is answer enough.
            exchange.on_first_byte = partial(self._health.succeeded, target, model, started)
        try:
            try:
                with self._departures.watch(exchange.client, target.channel.on_disconnect):
                    response = await _send(exchange, target, worker)
                    status = response.status
                    if status != 200:
                        raise await refused(response)
                    now = time.monotonic()
                    worker.latency.observe(now - started, now)
                    await exchange.receive(response)
            except (UpstreamFailure, UpstreamProtocolError, Abandoned) as error:
                failure = error
                if response is not None:
                    response.abort()
            reason = await exchange.conclude(target, response, failure)
            self._tell(target, model, started, reason)
        except AttemptFailed as failed:
            reason = failed.reason
            self._note(exchange, target, status, reason, started)
            if is_evidence:
                self._health.failed(target, model, started, failed)
            else:
                self._health.told_nothing(target, model)
            raise
        except BaseException:
            if response is not None:
                response.abort()
            self._note(exchange, target, status, reason, started)
            self._health.told_nothing(target, model)
            raise
        finally:
            worker.release()
            self._metrics.requests.attempted(target.channel.name, reason)

    def _tell(self, target: Target, model: str, started: float, reason: str) -> None:
        """How an answer ended that the client has had something of."""
        if reason in _GOOD:
            if target.channel.name in self._health.troubled:
                self._health.succeeded(target, model, started)
        elif reason == "client_gone":
            self._health.told_nothing(target, model)
        else:
            self._health.broke(target, model, started, reason)

    def _note(self, exchange: Exchange, target: Target, status: int, reason: str, started: float) -> None:
        """An attempt that came to nothing; the one that answered is noted with its usage entry."""
        duration_us = int((time.monotonic() - started) * 1_000_000)
        exchange.attempts.append(Attempt(target.channel.name, status, reason, duration_us))


def needs_of(peek: Peek, body_bytes: int, resolution: Resolution) -> Needs:
    attached = resolution.model.attachment_tokens
    return Needs(
        prompt_tokens_typical(peek, body_bytes, image_tokens_max=attached.image, file_tokens_max=attached.file),
        has_images=peek.attachments.images > 0,
        has_tools=bytes(peek.fields.get("tools", b"")) not in _NO_TOOLS,
    )


async def _send(exchange: Exchange, target: Target, worker: ProviderWorker) -> UpstreamResponse:
    message = exchange.request(target)
    try:
        return await worker.send(message.dialect, message.path, message.headers, message.body)
    except UpstreamFailure as error:
        raise transport_failure(error) from error
