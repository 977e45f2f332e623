"""What a running stack writes down: who supervises it (a locked pid file), how its processes are (`status.json`)."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.child import Child
from deploy.local.errors import AlreadyRunning, NotRunning
from deploy.local.layout import Layout

_LOCK_ATTEMPTS_MAX = 5
_LOCK_INTERVAL_S = 0.02


@contextmanager
def supervisor_lock(layout: Layout) -> Iterator[None]:
    """Held for the supervisor's whole life; the kernel frees it however that ends. Raises AlreadyRunning."""
    layout.state_dir.mkdir(parents=True, exist_ok=True)
    with layout.pid_file.open("a+") as file:
        attempts = 0
        while not _try_lock(file.fileno()):  # `lumen status` holds it for an instant
            attempts += 1
            if attempts < _LOCK_ATTEMPTS_MAX:
                time.sleep(_LOCK_INTERVAL_S)
                continue
            raise AlreadyRunning(
                f"Lumen already runs on {layout.state_dir} (supervisor {_read_pid(layout.pid_file)}). "
                "`lumen status` shows it, `lumen down` stops it; "
                "another stack needs its own --state-dir and --base-port."
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def running_supervisor(state_dir: Path) -> int:
    """The pid of the supervisor. Raises NotRunning."""
    pid_file = Layout(state_dir).pid_file
    try:
        with pid_file.open("r+") as file:
            is_held = not _try_lock(file.fileno())
    except FileNotFoundError:
        is_held = False
    pid = _read_pid(pid_file) if is_held else None
    if pid is None:
        raise NotRunning(f"no Lumen runs on {state_dir}; `lumen up` starts one")
    return pid


def store_status(layout: Layout, phase: str, children: Iterable[Child]) -> None:
    """`phase`: starting, ready or stopping."""
    document = {
        "supervisor_pid": os.getpid(),
        "base_port": layout.base_port,
        "phase": phase,
        "processes": [
            {
                "name": child.spec.name,
                "state": str(child.state),
                "pid": child.pid,
                "ports": list(child.spec.ports),
                "ready_url": child.spec.ready_url,
                "started_at": child.started_at,
                "restarts": child.restarts,
                "problem": child.problem,
                "log": str(child.log_path),
            }
            for child in children
        ],
    }
    partial = layout.status_file.with_suffix(".partial")
    partial.write_text(json.dumps(document))
    partial.replace(layout.status_file)


def load_status(state_dir: Path) -> dict[str, Any]:
    """What `store_status` wrote, with `uptime_s` per process. Raises NotRunning."""
    running_supervisor(state_dir)
    try:
        document: dict[str, Any] = json.loads(Layout(state_dir).status_file.read_text())
    except FileNotFoundError as error:
        raise NotRunning(f"the Lumen on {state_dir} is only just starting, or ending") from error
    now = time.time()
    for process in document["processes"]:
        is_up = process["pid"] is not None and process["started_at"] is not None
        process["uptime_s"] = round(now - process["started_at"], 1) if is_up else None
    return document


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(pid_file: Path) -> int | None:
    text = pid_file.read_text().strip()
    return int(text) if text.isdigit() else None
