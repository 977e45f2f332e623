"""Pushes what changes to every watching edge: keys, accounts, credit that arrived, recalls.

One bounded queue per edge. An edge that reads too slowly loses its stream rather than an event: it reconnects and
revalidates what it has cached, which is what a lost stream means to it anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from protos import auth_pb2
from services.auth.directory import Directory
from services.auth.errors import TooManyWatchers
from services.auth.metrics import AuthMetrics
from services.auth.records import AccountRecord, KeyRecord, key_view

WATCHERS_MAX = 1024
QUEUE_EVENTS_MAX = 10_000


class Watcher:
    """One edge's queue."""

    def __init__(self, lease: str, events_max: int) -> None:
        self.lease = lease
        self.is_dropped = False
        self._queue: asyncio.Queue[auth_pb2.WatchEvent] = asyncio.Queue(events_max)
        self._wake = asyncio.Event()

    def push(self, event: auth_pb2.WatchEvent) -> bool:
        """False: the queue is full and the stream has to end."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.is_dropped = True
        self._wake.set()
        return not self.is_dropped

    def wake(self) -> None:
        self._wake.set()

    async def next(self, timeout_s: float) -> auth_pb2.WatchEvent | None:
        """The next event, or None after a silence of `timeout_s` (or a wake-up)."""
        if self._queue.empty():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
        self._wake.clear()
        return None if self._queue.empty() else self._queue.get_nowait()


class WatchHub:
    def __init__(
        self,
        directory: Directory,
        metrics: AuthMetrics,
        *,
        watchers_max: int = WATCHERS_MAX,
        queue_events_max: int = QUEUE_EVENTS_MAX,
    ) -> None:
        self._directory = directory
        self._metrics = metrics
        self._watchers_max = watchers_max
        self._queue_events_max = queue_events_max
        self._watchers: set[Watcher] = set()
        self.is_stopping = False
        directory.on_key = self.key_changed
        directory.on_account = self.account_changed

    @contextlib.contextmanager
    def watching(self, lease: str) -> Iterator[Watcher]:
        """Raises TooManyWatchers."""
        if len(self._watchers) >= self._watchers_max:
            raise TooManyWatchers("too many edges watch this replica")
        watcher = Watcher(lease, self._queue_events_max)
        self._watchers.add(watcher)
        self._metrics.watchers.set(len(self._watchers))
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._metrics.watchers.set(len(self._watchers))

    def leases(self) -> set[str]:
        """Of the edges that watch now."""
        return {watcher.lease for watcher in self._watchers if watcher.lease}

    def stop(self) -> None:
        """End all streams, so that edges move to another replica before this one is gone."""
        self.is_stopping = True
        for watcher in self._watchers:
            watcher.wake()

    def heartbeat(self) -> auth_pb2.WatchEvent:
        return auth_pb2.WatchEvent(stamp=self._directory.stamp(), heartbeat=auth_pb2.Heartbeat())

    def key_changed(self, digest: bytes, record: KeyRecord) -> None:
        account = record.account_id
        view = key_view(
            record,
            is_suspended=self._directory.is_suspended(account),
            account_limits=self._directory.limits_of(account),
        )
        self._push(auth_pb2.WatchEvent(key_changed=auth_pb2.KeyChanged(key_sha256=digest, key=view)))

    def account_changed(self, record: AccountRecord) -> None:
        changed = auth_pb2.AccountChanged(account_id=record.id, suspended=self._directory.is_suspended(record.id))
        self._push(auth_pb2.WatchEvent(account_changed=changed))

    def credit_arrived(self, account: str) -> None:
        self._push(auth_pb2.WatchEvent(credit_arrived=auth_pb2.CreditArrived(account_id=account)))

    def recall(self, account: str) -> None:
        self._push(auth_pb2.WatchEvent(recall=auth_pb2.Recall(account_id=account)))

    def _push(self, event: auth_pb2.WatchEvent) -> None:
        if not self._watchers:
            return
        event.stamp.CopyFrom(self._directory.stamp())
        for watcher in self._watchers:
            if not watcher.is_dropped and not watcher.push(event):
                self._metrics.dropped_watchers.inc()
