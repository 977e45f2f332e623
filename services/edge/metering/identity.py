"""Who this worker is: a producer id and a boot number that outlive the process, in a state directory of its own.

The id names a ledger subject, so two processes must never share it: the directory is locked (flock) for as long as the
process lives, and the kernel frees the lock however it ends. The boot counts up before anything is spent, because the
lease books are in memory: a restarted worker starts a new lease and retires the old ones.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lumen.ledger import keyspace

_WORKER_ID = re.compile(r"edge-[A-Za-z0-9_-]{1,64}")  # a NATS subject token, and no dot for the lease id


class StateDirInUse(Exception):
    """Another edge process holds the state directory."""


class StateDirDamaged(Exception):
    """The worker id or boot number cannot be read; guessing one could repeat an identity."""


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Keep it referenced for the life of the process; `close` gives the state directory up."""

    worker_id: str
    boot: int
    state_dir: Path
    _lock_fd: int

    @classmethod
    def acquire(cls, state_dir: Path) -> Self:
        """Raises StateDirInUse, StateDirDamaged, OSError. Blocks for two fsyncs; call it before serving."""
        state_dir.mkdir(parents=True, exist_ok=True)
        lock_fd = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateDirInUse(
                    f"{state_dir} is in use by another edge; give each its own LUMEN_EDGE_STATE_DIR"
                ) from error
            worker_id = _load_worker_id(state_dir / "worker_id")
            boot = _next_boot(state_dir / "boot")
        except BaseException:
            os.close(lock_fd)
            raise
        return cls(worker_id, boot, state_dir, lock_fd)

    @property
    def lease_id(self) -> str:
        return keyspace.lease_id(self.worker_id, self.boot)

    def close(self) -> None:
        os.close(self._lock_fd)


def _load_worker_id(path: Path) -> str:
    if not path.exists():
        replace_durably(path, f"edge-{secrets.token_hex(8)}\n".encode())
    worker_id = path.read_text().strip()
    if not _WORKER_ID.fullmatch(worker_id):
        raise StateDirDamaged(f"{path} holds no worker id: {worker_id!r}")
    return worker_id


def _next_boot(path: Path) -> int:
    text = path.read_text().strip() if path.exists() else "0"
    if not (text.isascii() and text.isdigit()):
        raise StateDirDamaged(f"{path} holds no boot number: {text!r}")
    boot = int(text) + 1
    replace_durably(path, f"{boot}\n".encode())
    return boot


def replace_durably(path: Path, content: bytes) -> None:
    """Either the old or the new content survives a power cut. Blocks for two fsyncs."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """A created or renamed file is only durable once its directory is."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
