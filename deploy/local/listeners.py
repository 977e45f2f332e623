"""Who listens on a port of 127.0.0.1: nobody, our own child, or somebody else."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterable

import psutil

from deploy.local.errors import PortTaken

_POLL_S = 0.05


def require_free(ports: Iterable[int], *, wait_s: float = 0.0) -> None:
    """Raises PortTaken, naming the port and, where visible, its owner. `wait_s`: processes just killed may linger."""
    deadline = time.monotonic() + wait_s
    for port in ports:
        while not _is_free(port):
            if time.monotonic() >= deadline:
                raise PortTaken(_describe(port))
            time.sleep(_POLL_S)


def require_own(pid: int, ports: Iterable[int]) -> None:
    """Raises PortTaken unless the child `pid`, or a child of it, listens on all of `ports`."""
    try:
        child = psutil.Process(pid)
        own = {
            connection.laddr.port if connection.laddr else 0
            for process in (child, *child.children(recursive=True))
            for connection in process.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        }
    except psutil.NoSuchProcess:
        own = set()
    except psutil.AccessDenied:
        return  # macOS may hide even our own sockets; the port was free just before the start
    for port in ports:
        if port not in own:
            raise PortTaken(_describe(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise PortTaken(f"port {port} of 127.0.0.1 cannot be used: {error.strerror}") from error
    return True


def _describe(port: int) -> str:
    owner = _owner(port)
    return (
        f"port {port} of 127.0.0.1 is taken by {owner or 'another process'}. "
        "Stop it, or choose other ports with `lumen up --base-port N`."
    )


def _owner(port: int) -> str | None:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass  # the error message does without a name
    return None
