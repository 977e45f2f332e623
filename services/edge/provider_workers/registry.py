"""The workers of one edge process, one per channel of the catalog in use."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata

from lumen.catalog.document import Catalog, Channel
from lumen.platform.addresses import PUBLIC_ONLY, AddressPolicy
from services.edge.provider_workers.lean.transport import LeanTransport
from services.edge.provider_workers.metrics import ChannelStats, WorkerMetrics
from services.edge.provider_workers.slots import SlotWaiters
from services.edge.provider_workers.transport import TransportOptions, UpstreamTransport
from services.edge.provider_workers.worker import ProviderWorker, Rates, TransportKey, Wiring

_SLOT_WAITERS_MAX = 4096
_CLOSE_GRACE_S = 2.0


class ProviderWorkers:
    """`environ` is where `env:` secrets are read; `ssl_context` makes the trust for TLS, `addresses` says what may be
    connected to."""

    def __init__(
        self,
        metrics: WorkerMetrics | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        ssl_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        addresses: AddressPolicy = PUBLIC_ONLY,
        slot_waiters_max: int = _SLOT_WAITERS_MAX,
        close_grace_s: float = _CLOSE_GRACE_S,
        rates_of: Callable[[Channel], Rates | None] = lambda channel: None,
    ) -> None:
        self._metrics = metrics or WorkerMetrics()
        self._ssl_context = ssl_context
        self._addresses = addresses
        self._close_grace_s = close_grace_s
        self._waiters = SlotWaiters(slot_waiters_max)
        self._workers: dict[str, ProviderWorker] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        user_agent = f"lumen/{metadata.version('lumen')}".encode()
        self._wiring = Wiring(user_agent, self._new_transport, self._retire, self._slot_freed, environ, rates_of)

    def apply(self, catalog: Catalog) -> None:
        """Create, update and retire workers, reading every secret again. A bad secret disables its channel."""
        channels = {channel.name: channel for channel in catalog.channels}
        for name in self._workers.keys() - channels.keys():
            self._workers.pop(name).close()
        for name, channel in channels.items():
            worker = self._workers.get(name)
            if worker is None:
                self._workers[name] = ProviderWorker(channel, self._metrics.channel(name), self._wiring)
            else:
                worker.update(channel)
                self._slot_freed(worker)  # there may be more of them, or a secret at last

    def has_room(self, name: str) -> None:
        """A channel's rates allow another request: wake whoever waits for it."""
        worker = self._workers.get(name)
        if worker is not None:
            self._slot_freed(worker)

    def reread_secret(self, name: str) -> None:
        """A file's secret may have been put right without a new catalog."""
        worker = self._workers.get(name)
        if worker is not None:
            worker.update(worker.channel)

    def states(self) -> Iterable[tuple[str, str, str]]:
        """(channel, ready | disabled, reason)"""
        for name, worker in self._workers.items():
            yield name, "ready" if worker.is_ready else "disabled", worker.disabled_reason

    def __iter__(self) -> Iterator[ProviderWorker]:
        return iter(self._workers.values())

    def get(self, name: str) -> ProviderWorker | None:
        return self._workers.get(name)

    async def wait_for_slot(self, names: Iterable[str], timeout_s: float) -> bool:
        """True when one of these channels has a slot; take it at once, without awaiting anything in between.

        False: not within `timeout_s`, none of them is usable, or too many wait already.
        """
        candidates = frozenset(name for name in names if (worker := self.get(name)) is not None and worker.is_ready)
        if not candidates:
            return False
        if any(self._workers[name].has_slot for name in candidates):
            return True
        if self._waiters.is_full:
            self._metrics.slot_waits_refused += 1
            return False
        self._metrics.slot_waits += 1
        return await self._waiters.wait(candidates, timeout_s)

    async def close(self) -> None:
        """No new requests. What is still open after a short grace is aborted: the relays have drained before."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        if self._retiring:
            _, late = await asyncio.wait(self._retiring, timeout=self._close_grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _new_transport(self, key: TransportKey, stats: ChannelStats) -> UpstreamTransport:
        options = TransportOptions(
            timeouts=key.timeouts,
            idle_connections_max=key.concurrency,
            ssl_context=self._ssl_context,
            addresses=self._addresses,
        )
        if key.kind == "lean":
            return LeanTransport(key.origin, options, stats)
        # most edges never need it, and it takes 8 MB
        from services.edge.provider_workers.httpx_transport import HttpxTransport

        return HttpxTransport(key.origin, options, stats)

    def _retire(self, transport: UpstreamTransport) -> None:
        task = asyncio.get_running_loop().create_task(transport.close())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _slot_freed(self, worker: ProviderWorker) -> None:
        if not self._waiters.is_empty:
            self._waiters.slot_freed(worker.channel.name, worker)
