"""A selector over real workers, with a clock and a random generator of the test's own."""

from __future__ import annotations

from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from lumen.catalog.document import Catalog, Channel
from lumen.catalog.resolve import Resolution, RouteTable, Target
from lumen.platform.addresses import AddressPolicy
from lumen.protocols.errors import ApiError, ErrorKind
from services.edge.exchanges import AttemptFailed
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.worker import ProviderWorker
from services.edge.routing.health import Health
from services.edge.routing.metrics import RoutingMetrics
from services.edge.routing.selection import NO_NEEDS, Needs, Selection, Selector
from tests.unit.catalog.catalogs import catalog, channel, group, model

__all__ = ["Bed", "channel", "failure"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bed:
    """Channels `channels`, of which each serves what it names of the models m and n."""

    def __init__(self, *channels: Channel, seed: int = 1, environ: dict[str, str] | None = None, **of_m: Any) -> None:
        self.environ = {"K": "secret"} if environ is None else environ
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.metrics = RoutingMetrics(self.registry)
        self.workers = ProviderWorkers(environ=self.environ, addresses=AddressPolicy.parse("127.0.0.0/8"))
        self.health = Health(self.workers, self.metrics, clock=self.clock)
        self.selector = Selector(self.workers, self.health, self.metrics, Random(seed))
        self.changes: list[tuple[str, str, str]] = []
        self.health.on_change = lambda name, code, change: self.changes.append((name, code, change.value))
        self._of_m = of_m
        self.revision = 0
        self.apply(*channels)

    def apply(self, *channels: Channel) -> None:
        self.revision += 1
        self.document: Catalog = catalog([model("m", **self._of_m), model("n")], [group("g")], list(channels))
        self.workers.apply(self.document)
        self.table = RouteTable(self.document, self.revision)

    def resolution(self, code: str = "m") -> Resolution:
        found = self.table.resolve("g", code)
        assert found is not None
        return found

    def target(self, name: str, code: str = "m") -> Target:
        return next(target for target in self.resolution(code).targets if target.channel.name == name)

    def worker(self, name: str) -> ProviderWorker:
        found = self.workers.get(name)
        assert found is not None
        return found

    def select(self, key: int = 0, needs: Needs = NO_NEEDS, code: str = "m") -> Selection:
        return self.selector.select(self.selector.plan(self.resolution(code)), lambda: key, lambda: needs)

    def names(self, key: int = 0, needs: Needs = NO_NEEDS, code: str = "m") -> list[str]:
        return [target.channel.name for target in self.select(key, needs, code).targets]

    def explain(self, key: int = 0, needs: Needs = NO_NEEDS) -> dict[str, str]:
        return {target.channel.name: why for target, why in self.selector.explain(self.resolution(), key, needs)}

    def fail(self, name: str, times: int = 1, code: str = "m", failed: AttemptFailed | None = None) -> None:
        for _ in range(times):
            self.health.failed(self.target(name, code), code, self.clock.now, failed or failure(500))

    def succeed(self, name: str, code: str = "m") -> None:
        self.health.succeeded(self.target(name, code), code, self.clock.now)

    def admit(self, name: str, code: str = "m") -> bool:
        return self.health.admit(self.target(name, code), code, self.clock.now)

    def problem(self, name: str, code: str = "m") -> str:
        return self.health.problem(self.target(name, code), code, self.clock.now)


def failure(
    status: int = 0, reason: str = "status", *, retry_after_s: int | None = None, is_account: bool = False,
    may_retry: bool = True,
) -> AttemptFailed:  # fmt: skip
    error = ApiError(ErrorKind.UPSTREAM_FAILED, "x", retry_after_s=retry_after_s)
    return AttemptFailed(reason, error, status=status, is_account_fault=is_account, may_retry=may_retry)
