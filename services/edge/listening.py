"""The public port, bound by an edge or, while its workers come and go, held by their parent."""

from __future__ import annotations

import socket


def listen(host: str, port: int, *, is_port_shared: bool = False) -> socket.socket:
    """A bound socket, which does not listen yet. Raises RuntimeError naming the address when it is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_port_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise RuntimeError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
