"""A whole Lumen of the bench's own, on free ports and a state directory of its own, gone when the bench ends.

It runs as a child in the foreground, so that the kernel ends all of it even when the bench is killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deploy.local.errors import LocalStackError
from deploy.local.layout import Layout
from deploy.local.probes import http_url, probe
from deploy.local.state import load_status
from lumen.platform.children import die_with_parent, signal_group
from tests.fixtures.engines import free_port
from tests.fixtures.ports import free_base_port
from tests.fixtures.stack import LUMEN, CommandFailed, Stack

SIMULATOR = "simulator"
_EDGE_OPS_OFFSET = 10  # ARCHITECTURE.md
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 90.0
_LOG_BYTES = 3000


class StackFailed(Exception):
    """The stack did not start; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class LeaseCounts:
    """What the edge has counted since it started."""

    rpcs: int  # Grant and Renew
    requests: int  # recorded

    def since(self, earlier: LeaseCounts) -> LeaseCounts:
        return LeaseCounts(self.rpcs - earlier.rpcs, self.requests - earlier.requests)

    @property
    def rpcs_per_1000(self) -> float:
        return 1000 * self.rpcs / max(1, self.requests)


class LocalStack(Stack):
    """Use as a context manager. Settings of the caller's environment, such as LUMEN_EDGE_CACHE=off, apply to it.

    `root`: of another checkout, whose code runs; `python`: an interpreter with what that code needs.
    """

    def __init__(self, directory: Path, root: Path | None = None, python: str = sys.executable) -> None:
        super().__init__(directory / "state", {k: v for k, v in os.environ.items() if k.startswith("LUMEN_")})
        self._root = root
        self._command = [python, *LUMEN[1:]]
        self.layout = Layout(self.state_dir, free_base_port())
        self._log = directory / "stack.log"
        self._process: subprocess.Popen[bytes] | None = None

    def pids(self) -> dict[str, int]:
        """All processes but the supervisor, by name."""
        return {process["name"]: process["pid"] for process in load_status(self.state_dir)["processes"]}

    def add_credit(self, amount_usd: str) -> None:
        """To the demo account. Raises CommandFailed."""
        self.lumen("account", "credit", self.env["LUMEN_ACCOUNT"], amount_usd)

    def lease_counts(self) -> LeaseCounts:
        """From the edge's /metrics."""
        text = httpx.get(http_url(self.layout.base_port + _EDGE_OPS_OFFSET, "/metrics"), timeout=10).text
        sums: dict[str, float] = defaultdict(float)
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if not line.startswith("#"):
                sums[name.partition("{")[0]] += float(value)
        rpcs = sums["lumen_edge_lease_grants_total"] + sums["lumen_edge_lease_renewals_total"]
        return LeaseCounts(int(rpcs), int(sums["lumen_edge_ledger_entries_submitted_total"]))

    def reconcile(self) -> str:
        """The verdict of `lumen reconcile`, which names what it found amiss."""
        try:
            self.run("reconcile", "--state-dir", str(self.state_dir))
        except CommandFailed as failed:
            return f"FAILED: {failed}"
        return "clean"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command, "up", "--state-dir", str(self.state_dir), "--base-port", str(self.layout.base_port)],
                cwd=self._root,
                # before the site-packages, where an editable install points to this checkout
                env=os.environ if self._root is None else {**os.environ, "PYTHONPATH": str(self._root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C reaches the bench alone, which then ends the stack in order
                preexec_fn=die_with_parent(),
            )
        try:
            self._wait_ready(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._has_started():
            if process.poll() is not None or time.monotonic() > deadline:
                log = self._log.read_text(errors="replace")[-_LOG_BYTES:]
                raise StackFailed(f"`lumen up` did not get ready:\n{log}")
            time.sleep(0.1)

    def _has_started(self) -> bool:
        try:
            return bool(load_status(self.state_dir)["phase"] == "ready")
        except (LocalStackError, json.JSONDecodeError):
            return False

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            signal_group(process.pid, signal.SIGKILL)  # the kernel ends its children with it
            process.wait(10)


class LoneSimulator:
    """Just the upstream, for a look at the yardstick alone. Use as a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", SIMULATOR],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "LUMEN_SIMULATOR_PORT": str(self.port), "LUMEN_SIMULATOR_HOST": "127.0.0.1"},
            preexec_fn=die_with_parent(),
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while (problem := probe(http_url(self.port))) is not None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise StackFailed(f"the simulator did not start: {problem}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
