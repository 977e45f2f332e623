"""What processes cost: CPU time with all their threads and children, and memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

_QUIET_STEP_S = 0.5
_QUIET_FACTOR = 1.5
_QUIET_MARGIN = 0.02  # of a core
_QUIET_WAIT_S_MAX = 20.0


class ProcessGone(Exception):
    """A process under measurement ended, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """Named processes; the children of each count as its own."""

    pids: Mapping[str, int]

    def cpu_s(self) -> dict[str, float]:
        """User and system time so far, by name. Resolution: a clock tick, 10 ms. Raises ProcessGone."""
        return {name: _cpu_s(name, pid) for name, pid in self.pids.items()}

    def rss_bytes(self, name: str) -> int:
        """Raises ProcessGone."""
        return sum(process.memory_info().rss for process in _family(name, self.pids[name]))

    def idle_cores(self, duration_s: float = 2.0) -> float:
        """What it uses while nothing is asked of it."""
        before, started = sum(self.cpu_s().values()), time.monotonic()
        time.sleep(duration_s)
        return (sum(self.cpu_s().values()) - before) / (time.monotonic() - started)

    def wait_quiet(self, idle_cores: float) -> float:
        """Until it uses little more than when idle: what was queued has been worked off. Returns the seconds waited."""
        started = time.monotonic()
        while time.monotonic() - started < _QUIET_WAIT_S_MAX:
            if self.idle_cores(_QUIET_STEP_S) <= idle_cores * _QUIET_FACTOR + _QUIET_MARGIN:
                break
        return time.monotonic() - started


def others_cpu_s() -> float:
    """What the machine's processes used so far, this one and all its children (ended ones too) left out."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system) - _cpu_s("bench", os.getpid())


def spent(before: Mapping[str, float], after: Mapping[str, float], names: Iterable[str]) -> float:
    return sum(after[name] - before[name] for name in names)


def _cpu_s(name: str, pid: int) -> float:
    root, *children = _family(name, pid)
    times = root.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in children:
        times = child.cpu_times()
        total += times.user + times.system
    return float(total)


def _family(name: str, pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess as error:
        raise ProcessGone(f"{name} (process {pid}) ended during the bench") from error
