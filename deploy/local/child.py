"""One supervised process: started, probed until ready, watched, restarted with exponential backoff, stopped.

waiting -> starting -> ready -> (dies) -> backoff -> starting ...
               \\-> (dies, or is not ready in time) -> backoff
any -> stopped
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deploy.local.errors import PortTaken, StartFailed
from deploy.local.listeners import require_free, require_own
from deploy.local.probes import probe
from deploy.local.process_spec import ProcessSpec
from lumen.platform.children import die_with_parent, signal_group

_PROBE_INTERVAL_S = 0.03
_LOG_TAIL_BYTES = 4000


class ChildState(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits of `first_s`, doubled per failure in a row up to `longest_s`; `stable_s` of readiness forgives them all."""

    first_s: float = 0.2
    longest_s: float = 10.0
    stable_s: float = 30.0
    start_attempts_max: int = 3  # before the first readiness; then the start has failed

    def wait_s(self, failures: int) -> float:
        return min(self.longest_s, self.first_s * 2.0 ** min(max(0, failures - 1), 32))


class Child:
    """`run()` is its whole life; `ready` is set while it is ready; `first_ready` fails when it never got there."""

    def __init__(
        self,
        spec: ProcessSpec,
        log_path: Path,
        environment: Mapping[str, str],
        backoff: Backoff,
        on_change: Callable[[Child], None],
    ) -> None:
        self.spec = spec
        self.log_path = log_path
        self.state = ChildState.WAITING
        self.pid: int | None = None
        self.started_at: float | None = None  # Unix time
        self.restarts = 0
        self.problem: str | None = None
        self.first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._environment = {**environment, **spec.env}
        self._backoff = backoff
        self._on_change = on_change
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until `stop()`. Failures end up in `problem`, before the first readiness also in `first_ready`."""
        failures = 0
        while not self._stopping.is_set():
            ready_at = await self._live_once()
            if self._stopping.is_set():
                break
            is_forgiven = ready_at is not None and time.monotonic() - ready_at >= self._backoff.stable_s
            failures = 1 if is_forgiven else failures + 1
            if not self.first_ready.done() and failures >= self._backoff.start_attempts_max:
                self._fail_start(StartFailed(f"{self.spec.name} did not start: {self.problem}\n{self._log_tail()}"))
            self._change(ChildState.BACKOFF)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._backoff.wait_s(failures))
                break
            self.restarts += 1
        self._change(ChildState.STOPPED)

    def stop(self) -> None:
        """Ask it to end, and kill it after `stop_timeout_s`; `run()` returns when it is gone."""
        self._stopping.set()

    def kill(self) -> None:
        """End it at once; `run()` returns when it is gone."""
        self._stopping.set()
        if self.pid is not None:
            signal_group(self.pid, signal.SIGKILL)

    async def _live_once(self) -> float | None:
        """One process from start to end. Returns when it was ready (monotonic), or None if it never was."""
        try:
            require_free(self.spec.ports)
            process = await self._spawn()
        except (PortTaken, OSError) as error:
            self.problem = str(error)
            if isinstance(error, PortTaken):
                self._fail_start(error)
            return None
        ended = asyncio.create_task(process.wait(), name=f"wait-{self.spec.name}")
        stopping = asyncio.create_task(self._stopping.wait(), name=f"stop-{self.spec.name}")
        ready_at = None
        try:
            self.problem = await self._until_ready(process.pid, ended)
            if self.problem is None:
                ready_at = time.monotonic()
                self._change(ChildState.READY)
                if not self.first_ready.done():
                    self.first_ready.set_result(None)
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set() and not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(self.spec.stop_signal)
                await asyncio.wait({ended}, timeout=self.spec.stop_timeout_s)
        finally:
            stopping.cancel()
            signal_group(process.pid, signal.SIGKILL)  # it, or what it left behind
            code = await ended
            self.pid = None
        self.problem = self.problem or _describe_end(code)
        return ready_at

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self.log_path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        self.pid = process.pid
        self.started_at = time.time()
        self._change(ChildState.STARTING)
        return process

    async def _until_ready(self, pid: int, ended: asyncio.Task[int]) -> str | None:
        """None when ready, else what went wrong."""
        deadline = time.monotonic() + self.spec.ready_timeout_s
        while not self._stopping.is_set():
            problem = await asyncio.to_thread(probe, self.spec.ready_url)
            if ended.done():
                return _describe_end(ended.result())
            if problem is None:
                try:
                    require_own(pid, self.spec.ports)
                except PortTaken as error:
                    self._fail_start(error)
                    return str(error)
                return None
            self.problem = problem
            if time.monotonic() > deadline:
                return f"not ready after {self.spec.ready_timeout_s:.0f} s: {problem}"
            await asyncio.wait({ended}, timeout=_PROBE_INTERVAL_S)
        return "stopped"

    def _fail_start(self, error: Exception) -> None:
        if not self.first_ready.done():
            self.first_ready.set_exception(error)

    def _change(self, state: ChildState) -> None:
        self.state = state
        self._on_change(self)

    def _log_tail(self) -> str:
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - _LOG_TAIL_BYTES))
            return f"The end of {self.log_path}:\n{log.read().decode(errors='replace')}"


def _describe_end(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
