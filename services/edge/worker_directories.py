"""Which state directory belongs to which worker of one edge.

Worker 0 keeps the configured directory itself and the others have `workers/<index>` below it, so that an edge that
goes from one process to several and back continues every spool under the worker id that began it.
"""

from __future__ import annotations

from pathlib import Path

_BELOW = "workers"


def worker_directory(state_dir: Path, index: int) -> Path:
    return state_dir if index == 0 else state_dir / _BELOW / str(index)


def left_behind(state_dir: Path, workers: int) -> list[Path]:
    """Directories of workers above the number in use: their spools have nobody who continues them."""
    return sorted(
        found.parent
        for found in (state_dir / _BELOW).glob("*/worker_id")
        if found.parent.name.isdecimal() and int(found.parent.name) >= workers
    )
