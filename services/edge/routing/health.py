"""What this edge knows of its channels' health: a circuit per channel, and one per (channel, model), where there was
trouble. A channel without circuits is healthy, so that health costs a healthy channel's requests nothing.

What trips what
* A failed connection, or a refusal of our account, is the channel's: all its models.
* Any other failure is the model's on this channel. It also counts for the channel, whose circuit opens by such failures
  only when two models or more fail with no success between them: where one model fails, the others go on.
* 429, 503 and 529 that say retry-after set the (channel, model) aside for that long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from lumen.catalog.document import Channel
from lumen.catalog.resolve import Target
from services.edge.exchanges import AttemptFailed
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.routing.circuit import BreakerPolicy, Circuit, State
from services.edge.routing.metrics import RoutingMetrics

logger = logging.getLogger(__name__)

CHANNEL = ""  # in place of a model: the whole channel
_ACCOUNT_STATUSES = frozenset({401, 402, 403})
_ASIDE_STATUSES = frozenset({429, 503, 529})


class Change(Enum):
    OPENED = "opened"
    CLOSED = "closed"


class Trouble(NamedTuple):
    """One circuit that is not closed."""

    channel: str
    model: str  # CHANNEL: all of them
    state: State
    reason: str
    remaining_s: float  # until it is half-open
    is_remote: bool
    is_account: bool
    is_aside: bool  # for a time that the provider named


class Health:
    """`on_change` hears what this edge found out itself: (channel, model or CHANNEL, change)."""

    def __init__(
        self,
        workers: ProviderWorkers,
        metrics: RoutingMetrics,
        policy: BreakerPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._metrics = metrics
        self.policy = policy or BreakerPolicy()
        self.clock = clock
        self.troubled: dict[str, dict[str, Circuit]] = {}  # channel -> model -> circuit
        self.on_change: Callable[[str, str, Change], None] = lambda channel, model, change: None
        metrics.read_health(self.troubles)

    # --- asked before an attempt

    def problem(self, target: Target, model: str, now: float) -> str:
        """Why the target is to be left alone; empty: nothing is against it."""
        for circuit in self._circuits(target.channel, model):
            if circuit.is_blocking(now):
                return _explained(circuit, now)
        return ""

    def gravity(self, channel: str, model: str, now: float) -> tuple[bool, float]:
        """For choosing among what is open: how unlikely an attempt is to succeed. Less is better."""
        circuits = self.troubled.get(channel, {})
        opened = [each for key in (CHANNEL, model) if (each := circuits.get(key)) and each.opened_at is not None]
        is_account = any(each.is_account for each in opened)
        return is_account, max((each.until - now for each in opened), default=0.0)

    def is_degraded(self, channel: str, model: str, now: float) -> bool:
        """Usable, but failing now and then: no place for a conversation to stay."""
        circuit = self.troubled.get(channel, {}).get(model)
        return (
            circuit is not None
            and (circuit.failures > 1 or circuit.failure_share > self.policy.share_max / 2)
            and now - circuit.last_failure_at <= self.policy.memory_s
        )

    def is_probe_due(self, channel: str, model: str) -> bool:
        """Of a target without `problem`: the next attempt decides whether it is well again."""
        circuits = self.troubled.get(channel, {})
        return any(key in circuits and circuits[key].opened_at is not None for key in (CHANNEL, model))

    def admit(self, target: Target, model: str, now: float) -> bool:
        """Whether an attempt may start. Where a probe is due this attempt becomes it."""
        circuits = self._circuits(target.channel, model)
        if any(circuit.is_blocking(now) for circuit in circuits):
            return False
        for circuit in circuits:
            if circuit.opened_at is not None:
                self._metrics.probes.labels(target.channel.name).inc()
                if circuit.is_account:
                    self._workers.reread_secret(target.channel.name)
            circuit.lend_probe(now)
        return True

    def _circuits(self, channel: Channel, model: str) -> list[Circuit]:
        circuits = self.troubled.get(channel.name)
        if circuits is None:
            return []
        worker = self._workers.get(channel.name)
        generation = 0 if worker is None else worker.generation
        found = []
        for key in (CHANNEL, model):
            circuit = circuits.get(key)
            if circuit is None:
                continue
            if circuit.generation != generation or not channel.resilience.breaker:
                # The operator has changed the channel or its secret: what was found before says nothing.
                self._drop(channel.name, key)
            else:
                found.append(circuit)
        return found

    # --- told after an attempt

    def succeeded(self, target: Target, model: str, started: float) -> None:
        """Only to be called when there are circuits; `started`: when the attempt was begun."""
        channel = target.channel.name
        now = self.clock()
        for key, circuit in list(self.troubled.get(channel, {}).items()):
            if key not in (CHANNEL, model):
                continue
            if circuit.succeeded(started):
                self._changed(channel, key, Change.CLOSED, "a request succeeded")
            if circuit.is_forgettable(now):
                self._drop(channel, key, is_told=False)

    def told_nothing(self, target: Target, model: str) -> None:
        """The client left, or its request was at fault before anything was sent."""
        circuits = self.troubled.get(target.channel.name, {})
        for key in (CHANNEL, model):
            if key in circuits:
                circuits[key].return_probe()

    def failed(self, target: Target, model: str, started: float, failure: AttemptFailed) -> None:
        """An attempt that failed before its first byte."""
        if not target.channel.resilience.breaker or failure.reason == "unsupported":
            return
        if not failure.may_retry:  # about the request: the channel is alive
            self.succeeded(target, model, started)
            return
        now = self.clock()
        channel, status = target.channel.name, failure.status
        reason = f"{failure.reason} {status}" if status else failure.reason
        if failure.is_account_fault and status != 404:
            self._account_failed(channel, status, now, started, reason)
            return
        retry_after_s = failure.error.retry_after_s or 0
        if status in _ASIDE_STATUSES and retry_after_s > 0:
            if self._circuit(channel, model).set_aside(now, retry_after_s, f"{reason}, retry-after {retry_after_s} s"):
                self._changed(channel, model, Change.OPENED, reason)
            whole = self.troubled[channel].get(CHANNEL)
            if whole is not None and whole.succeeded(started):  # it speaks to us
                self._changed(channel, CHANNEL, Change.CLOSED, reason)
            return
        self.broke(target, model, started, reason, is_connect=failure.reason == "connect")

    def broke(self, target: Target, model: str, started: float, reason: str, *, is_connect: bool = False) -> None:
        """Any failure that is the channel's fault, after the first byte too."""
        if not target.channel.resilience.breaker:
            return
        now, channel = self.clock(), target.channel.name
        whole = self._circuit(channel, CHANNEL)
        may_open = is_connect or whole.opened_at is not None or bool(whole.models - {model})
        if whole.failed(now, started, reason, model, may_open=may_open):
            self._changed(channel, CHANNEL, Change.OPENED, reason)
        own = self.troubled[channel].get(model)
        if is_connect and (own is None or own.opened_at is None):
            return
        if (own or self._circuit(channel, model)).failed(now, started, reason, model):
            self._changed(channel, model, Change.OPENED, reason)

    def probed(self, channel: Channel, started: float, failure: AttemptFailed | None) -> None:
        """What an active probe found, and found again; it speaks for the whole channel and for no model."""
        name = channel.name
        if failure is None:
            whole = self.troubled.get(name, {}).get(CHANNEL)
            if whole is not None and not whole.is_account and whole.succeeded(started):
                self._changed(name, CHANNEL, Change.CLOSED, "a probe succeeded")
            return
        reason = f"{failure.reason} {failure.status}" if failure.status else failure.reason
        if failure.is_account_fault and failure.status != 404:
            self._account_failed(name, failure.status, self.clock(), started, reason)
        elif self._circuit(name, CHANNEL).condemned(self.clock(), started, f"probe: {reason}"):
            self._changed(name, CHANNEL, Change.OPENED, reason)

    def _account_failed(self, channel: str, status: int, now: float, started: float, reason: str) -> None:
        policy = self.policy
        is_certain = status in _ACCOUNT_STATUSES - {403}
        seconds = policy.account_open_s if is_certain else policy.forbidden_open_s
        if self._circuit(channel, CHANNEL).disable(now, started, seconds, f"our account is refused: {reason}"):
            self._metrics.account_faults.labels(channel).inc()
            logger.error(
                "channel disabled: the provider refuses our account",
                extra={"channel": channel, "status": status, "seconds": seconds},
            )
            self._changed(channel, CHANNEL, Change.OPENED, reason)

    # --- told by router

    def opened_elsewhere(self, channel: str, model: str, seconds: float, reason: str) -> None:
        worker = self._workers.get(channel)
        if worker is not None and worker.channel.resilience.breaker:
            self._circuit(channel, model).opened_elsewhere(self.clock(), seconds, reason)

    def closed_elsewhere(self, channel: str, model: str) -> None:
        circuit = self.troubled.get(channel, {}).get(model)
        if circuit is not None and circuit.closed_elsewhere():
            self._drop(channel, model, is_told=False)

    # --- for metrics, explanations and reports

    def troubles(self) -> Iterator[Trouble]:
        """Every circuit that is not closed."""
        now = self.clock()
        for channel, circuits in self.troubled.items():
            for model, circuit in circuits.items():
                if circuit.opened_at is not None:
                    yield Trouble(
                        channel,
                        model,
                        circuit.state(now),
                        circuit.reason,
                        max(0.0, circuit.until - now),
                        circuit.is_remote,
                        circuit.is_account,
                        circuit.open_s == 0.0,
                    )

    def prune(self) -> None:
        """Forget circuits that say nothing any more; to be called now and then."""
        now = self.clock()
        for channel, circuits in list(self.troubled.items()):
            worker = self._workers.get(channel)
            for key, circuit in list(circuits.items()):
                if worker is None or circuit.generation != worker.generation:
                    self._drop(channel, key)
                elif circuit.is_forgettable(now):
                    self._drop(channel, key, is_told=False)

    def _circuit(self, channel: str, model: str) -> Circuit:
        circuits = self.troubled.setdefault(channel, {})
        circuit = circuits.get(model)
        if circuit is None:
            worker = self._workers.get(channel)
            circuit = circuits[model] = Circuit(self.policy, 0 if worker is None else worker.generation)
        return circuit

    def _drop(self, channel: str, model: str, *, is_told: bool = True) -> None:
        circuit = self.troubled[channel].pop(model)
        if not self.troubled[channel]:
            del self.troubled[channel]
        if is_told and circuit.opened_at is not None:
            self._changed(channel, model, Change.CLOSED, "the channel has changed")

    def _changed(self, channel: str, model: str, change: Change, reason: str) -> None:
        self._metrics.transitions.labels(channel, change.value).inc()
        logger.warning(
            "breaker %s", change.value, extra={"channel": channel, "model": model or "all", "reason": reason}
        )
        self.on_change(channel, model, change)


def _explained(circuit: Circuit, now: float) -> str:
    whose = ", found by another edge" if circuit.is_remote else ""
    if now < circuit.until:
        return f"breaker open for another {circuit.until - now:.1f} s ({circuit.reason}{whose})"
    return f"breaker half-open, its probe is under way ({circuit.reason}{whose})"
