"""What the simulator was sent and how its answers ended, for tests to look at."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec

from simulator.http import Ending, Request

_REQUESTS_MAX = 1000
_REQUEST_BYTES_MAX = 64 * 1024**2
_TAGS_MAX = 1000
OVERFLOW_TAG = "(other tags)"


@dataclass(slots=True)
class Counts:
    """`started` = the sum of the others + answers still under way."""

    started: int = 0
    finished: int = 0
    cut: int = 0
    disconnected: int = 0


class Requests:
    """The latest requests, bounded in number and bytes."""

    def __init__(self) -> None:
        self._requests: deque[tuple[int, Request]] = deque()
        self._bytes = 0
        self._total = 0

    def add(self, request: Request) -> None:
        self._total += 1
        self._requests.append((self._total, request))
        self._bytes += len(request.body)
        while len(self._requests) > _REQUESTS_MAX or (self._bytes > _REQUEST_BYTES_MAX and len(self._requests) > 1):
            self._bytes -= len(self._requests.popleft()[1].body)

    def clear(self) -> None:
        self._requests.clear()
        self._bytes = 0

    def encode(self, last: int) -> bytes:
        """The last so many, oldest first. `body` is the text as it came, `json` its value or null."""
        chosen = list(self._requests)[-last:] if last > 0 else []
        return msgspec.json.encode(
            {"total": self._total, "requests": [_members(number, request) for number, request in chosen]}
        )


class Stats:
    """Answers by tag (`tag=` in their script, "" without), bounded in tags."""

    def __init__(self) -> None:
        self._by_tag: dict[str, Counts] = {}

    def counts(self, tag: str) -> Counts:
        counts = self._by_tag.get(tag)
        if counts is None:
            if len(self._by_tag) >= _TAGS_MAX:
                tag = OVERFLOW_TAG
            counts = self._by_tag.setdefault(tag, Counts())
        return counts

    def started(self, tag: str) -> None:
        self.counts(tag).started += 1

    def ended(self, tag: str, ending: Ending) -> None:
        counts = self.counts(tag)
        if ending is Ending.COMPLETE:
            counts.finished += 1
        else:
            counts.cut += 1

    def disconnected(self, tag: str) -> None:
        self.counts(tag).disconnected += 1

    def encode(self) -> bytes:
        return msgspec.json.encode({"tags": self._by_tag})


def _members(number: int, request: Request) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        value = None
    return {
        "number": number,
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "body": request.body.decode("utf-8", "replace"),
        "json": value,
    }
