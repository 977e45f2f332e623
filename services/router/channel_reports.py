"""What edges say about the channels: kept in memory, the newest report per worker, forgotten when it grows old.

A report reaches one replica of router. Edges repeat theirs well within the expiry and balance over the replicas, so
each replica's picture fills up within a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

WORKERS_MAX = 4096
CHANNELS_MAX = 4096
_REASON_CHARS_MAX = 500
_READY = "ready"


@dataclass(frozen=True, slots=True)
class ChannelState:
    channel: str
    state: str  # ready | disabled | unknown
    reason: str


@dataclass(frozen=True, slots=True)
class _Report:
    received_at: float
    states: dict[str, ChannelState]


class ChannelReports:
    def __init__(self, *, expiry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._expiry_s = expiry_s
        self._clock = clock
        self._reports: dict[str, _Report] = {}  # by worker, oldest first

    def record(self, worker_id: str, states: Sequence[ChannelState]) -> None:
        """Replace the worker's report. Over the limits the oldest workers and the last channels are dropped."""
        self._reports.pop(worker_id, None)
        self._forget_expired()
        while len(self._reports) >= WORKERS_MAX:
            del self._reports[next(iter(self._reports))]
        self._reports[worker_id] = _Report(
            self._clock(),
            {
                state.channel: ChannelState(state.channel, state.state, state.reason[:_REASON_CHARS_MAX])
                for state in states[:CHANNELS_MAX]
            },
        )

    def worst(self, channels: Iterable[str]) -> list[ChannelState]:
        """One state per channel: that of a worker which cannot use it, else ready, else unknown."""
        self._forget_expired()
        return [self._worst(channel) for channel in channels]

    def _worst(self, channel: str) -> ChannelState:
        states = [report.states[channel] for report in reversed(self._reports.values()) if channel in report.states]
        if not states:
            return ChannelState(channel, "unknown", "no edge has reported on this channel")
        return next((state for state in states if state.state != _READY), states[0])

    def _forget_expired(self) -> None:
        oldest = self._clock() - self._expiry_s
        for worker_id in [worker for worker, report in self._reports.items() if report.received_at < oldest]:
            del self._reports[worker_id]
