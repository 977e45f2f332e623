"""Runs a set of processes: in order of their dependencies, for as long as asked, with nothing left behind.

A dependency (`after`) counts at the start only: a process that is already up outlives a restart of what it needs, as it
would in production. Stopping goes the other way round: a process ends after all that use it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

from deploy.local.child import Backoff, Child, ChildState
from deploy.local.listeners import require_free
from deploy.local.process_spec import ProcessSpec

_LOG_BYTES_MAX = 10 * 1024 * 1024
_LINGER_S = 1.0  # a predecessor's processes die with it, but not in the same instant


class Supervisor:
    """`on_change` is called after every change of a child's state, from the event loop. Raises ValueError when
    processes depend on each other in a circle."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        logs: Path,
        *,
        environment: Mapping[str, str] | None = None,
        backoff: Backoff | None = None,
        on_change: Callable[[Child], None] = lambda child: None,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        TopologicalSorter({spec.name: (*spec.after, *spec.uses) for spec in specs}).prepare()
        self._logs = logs
        self._environment = dict(os.environ if environment is None else environment)
        self._backoff = backoff or Backoff()
        self._on_change = on_change
        self._runs: dict[str, asyncio.Task[None]] = {}
        self.children: dict[str, Child] = {}

    def start(self) -> None:
        """Begin; `until_ready` waits. Raises PortTaken before anything is started."""
        require_free([port for spec in self._specs.values() for port in spec.ports], wait_s=_LINGER_S)
        self._logs.mkdir(parents=True, exist_ok=True)
        for spec in self._specs.values():
            log = self._logs / f"{spec.name}.log"
            rotate(log)
            self.children[spec.name] = Child(spec, log, self._environment, self._backoff, self._on_change)
        for name, child in self.children.items():
            self._runs[name] = asyncio.create_task(self._run(child), name=f"child-{name}")

    async def until_ready(self, names: Iterable[str] | None = None) -> None:
        """Wait until these (or all) have been ready once. Raises StartFailed or PortTaken as soon as one failed."""
        waited = [self.children[name].first_ready for name in (names if names is not None else self.children)]
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_EXCEPTION)
        for future in done:
            future.result()

    async def stop(self) -> None:
        """End all: each after those that depend on it. Bounded by the specs' `stop_timeout_s`."""
        stops: dict[str, asyncio.Task[None]] = {}
        for name in self.children:
            stops[name] = asyncio.create_task(self._stop(name, stops), name=f"stop-{name}")
        if stops:
            await asyncio.wait(stops.values())
        for child in self.children.values():
            if child.first_ready.done():
                child.first_ready.exception()  # seen: whoever waited for it has been told

    def kill(self) -> None:
        """At once, without a word to them. `stop()` must still be awaited."""
        for child in self.children.values():
            child.kill()

    async def _run(self, child: Child) -> None:
        needed = [self.children[name].first_ready for name in child.spec.after if name in self.children]
        if needed:
            await asyncio.wait(needed, return_when=asyncio.FIRST_EXCEPTION)
            if any(future.exception() for future in needed if future.done()):
                return  # the start as a whole has failed; whoever waits for it is told by the needed one
        await child.run()

    async def _stop(self, name: str, stops: Mapping[str, asyncio.Task[None]]) -> None:
        users = [stops[user] for user in self.children if name in (*self._specs[user].after, *self._specs[user].uses)]
        if users:
            await asyncio.wait(users)
        child, run = self.children[name], self._runs[name]
        if child.state is ChildState.WAITING:
            run.cancel()
        child.stop()
        await asyncio.wait({run})


def rotate(log: Path, *, bytes_max: int = _LOG_BYTES_MAX) -> None:
    """Keep one older generation, so that logs of many starts stay within twice the bound and one run."""
    if log.exists() and log.stat().st_size > bytes_max:
        log.replace(log.with_suffix(".log.1"))
