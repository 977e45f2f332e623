"""What the local stack needs to know of a process in order to run it. Shared by the supervisor and the tests."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """`ports` are all on 127.0.0.1, the first is the one that clients use. `ready_url` is what
    `deploy.local.probes.probe` asks. `after` names the processes that must be ready before this one is started,
    `uses` those that must not be stopped before it. `env` is added to the environment of whoever starts it."""

    name: str
    argv: tuple[str, ...]
    ports: tuple[int, ...]
    ready_url: str
    env: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    ready_timeout_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
