"""Readiness probes over plain sockets: no client library, so that the supervisor starts in milliseconds.

A process says how it is probed by a URL: `http://127.0.0.1:7090/readyz` answers 200, `redis://127.0.0.1:7085` answers
PONG, `nats://127.0.0.1:7083` greets with JetStream on.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

_TIMEOUT_S = 1.0
_ANSWER_BYTES_MAX = 64 * 1024


def probe(ready_url: str) -> str | None:
    """None when the process answers as a ready one does, else why not, in words for the operator. Blocks, for a second
    or two at most; never raises for what the process does."""
    url = urlsplit(ready_url)
    return _PROBES[url.scheme](url)


def http_url(port: int, path: str = "/readyz") -> str:
    return f"http://127.0.0.1:{port}{path}"


def _probe_http(url: SplitResult) -> str | None:
    def problem_of(answer: bytes) -> str | None:
        head, _, body = answer.partition(b"\r\n\r\n")
        status_line = head.split(b"\r\n", 1)[0]
        if status_line.split(b" ")[1:2] == [b"200"]:
            return None
        return f"{url.path}: {status_line.decode('latin-1')} {body[:500].decode('utf-8', 'replace')}".strip()

    request = f"GET {url.path} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode()
    return _ask(url, request, lambda answer: False, problem_of)


def _probe_redis(url: SplitResult) -> str | None:
    """A server that still loads its data answers -LOADING."""

    def problem_of(answer: bytes) -> str | None:
        return None if answer.startswith(b"+PONG") else f"PING: {answer[:200].decode('utf-8', 'replace').strip()}"

    return _ask(url, b"*1\r\n$4\r\nPING\r\n", _is_line, problem_of)


def _probe_nats(url: SplitResult) -> str | None:
    """The port opens only after the store was recovered."""

    def problem_of(answer: bytes) -> str | None:
        return None if b'"jetstream":true' in answer else "the server runs without JetStream"

    return _ask(url, b"", _is_line, problem_of)


_PROBES = {"http": _probe_http, "redis": _probe_redis, "nats": _probe_nats}


def _is_line(answer: bytes) -> bool:
    return b"\r\n" in answer


def _ask(
    url: SplitResult,
    request: bytes,
    is_complete: Callable[[bytes], bool],
    problem_of: Callable[[bytes], str | None],
) -> str | None:
    answer = b""
    try:
        with socket.create_connection((url.hostname, url.port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(request)
            while not is_complete(answer) and len(answer) < _ANSWER_BYTES_MAX:
                received = connection.recv(8192)
                if not received:
                    break
                answer += received
    except OSError as error:
        return f"port {url.port}: {error.strerror or error}"
    return problem_of(answer) if answer else f"port {url.port}: closed without an answer"
