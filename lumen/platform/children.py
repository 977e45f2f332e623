"""How children are started so that none outlives its parent, and how a whole family is ended.

Each child leads a session and process group of its own: a Ctrl-C at the terminal reaches only the supervisor, and one
signal to the group reaches the child's own children. On Linux the kernel also kills the child when the thread that
started it dies, which covers `kill -9` of the parent; start children from the main thread only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn`, or None where the platform has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: the child must not load anything after fork
    parent_pid = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # the parent died between fork and prctl
            os._exit(1)

    return in_child


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the group that `pid` leads; one that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        os.killpg(pid, number)
