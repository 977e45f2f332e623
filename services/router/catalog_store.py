"""The catalog's revisions in KV bucket `catalog`: followed in memory, extended by compare-and-set.

Invariants. A revision is one key, `rev.<n>`, created once and never changed; numbers are contiguous from 1, since n+1
is only tried by somebody who has seen n and is only created where it is absent. So the current catalog is simply the
highest number, no second key can disagree with it, and concurrent writers cannot both win. Decisions read the
stream's leader first: the followed view may be a moment behind.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from lumen.catalog.parse import catalog_from_json
from lumen.catalog.resolve import RouteTable
from lumen.catalog.revisions import (
    StoredRevision,
    content_hash,
    decode_revision,
    encode_revision,
    revision_key,
    revision_number,
)
from lumen.ledger.keyspace import KV_CATALOG
from lumen.platform.kv_view import KvView, RevisionConflict, kv_get, kv_put
from lumen.platform.nats import ensure_bucket
from services.router.errors import CatalogTooLarge, Conflict, RevisionNotFound, StoreUnavailable
from services.router.metrics import RouterMetrics

logger = logging.getLogger(__name__)

_NATS_AWAY = (NatsError, JetStreamError, OSError, TimeoutError)
_WRITE_ATTEMPTS_MAX = 8
_BACKOFF_S_MAX = 2.0
_ENVELOPE_BYTES = 4096  # subject, headers and protocol around a stored value


@dataclass(frozen=True)
class Current:
    """The newest readable revision, ready to be pushed and asked."""

    number: int
    catalog_json: bytes
    hash: str

    @cached_property
    def table(self) -> RouteTable:

        return RouteTable(catalog_from_json(self.catalog_json), self.number)


@dataclass(frozen=True, slots=True)
class RevisionInfo:
    number: int
    created_at_s: int
    note: str


class CatalogStore:
    """`await run()` in a supervised task; `await ready.wait()` for the first full view."""

    def __init__(
        self,
        nc: Client,
        metrics: RouterMetrics,
        *,
        kv_replicas: int = 1,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._nc = nc
        self._metrics = metrics
        self._kv_replicas = kv_replicas
        self._now_s = now_s
        self._view = KvView(nc, KV_CATALOG, self._on_change)
        self._history: dict[int, RevisionInfo] = {}
        self._newest = 0  # may be one this release cannot read
        self._listeners: set[asyncio.Event] = set()
        self._writing = asyncio.Lock()
        self.current: Current | None = None

    @property
    def ready(self) -> asyncio.Event:
        return self._view.ready

    def age_s(self) -> float:
        """Since the store last proved this view current; infinite before the first proof."""
        return self._view.age_s()

    def problem(self) -> str | None:
        """For /readyz. A store that went away does not unready a router with a view: it still serves the last one."""
        if not self.ready.is_set():
            return "the catalog has not been read yet"
        if self.current is not None and self.current.number != self._newest:
            return f"catalog revision {self._newest} cannot be read by this release"
        return None

    def history(self) -> list[RevisionInfo]:
        """Newest first."""
        return [self._history[number] for number in sorted(self._history, reverse=True)]

    async def run(self) -> None:
        await self._ensure_bucket()
        await self._view.run()

    def listen(self, woken: asyncio.Event) -> None:
        """`woken` is set whenever the current revision becomes another, until `forget`."""
        self._listeners.add(woken)

    def forget(self, woken: asyncio.Event) -> None:
        self._listeners.discard(woken)

    async def load(self, number: int) -> StoredRevision:
        """A revision from the store. Raises RevisionNotFound, StoreUnavailable."""
        try:
            found = await kv_get(self._nc, KV_CATALOG, revision_key(number))
        except _NATS_AWAY as error:
            raise StoreUnavailable("the catalog's store is not reachable") from error
        if found is None:
            raise RevisionNotFound(number)
        return decode_revision(found[0])

    async def append(self, catalog_json: bytes, note: str, expected_revision: int = 0) -> tuple[int, bool]:
        """Make `catalog_json` (canonical) the current catalog: (revision, whether it was new).

        The same catalog as the current one changes nothing. With `expected_revision` (not 0) another current revision
        is a Conflict: what was made from an older one may undo what came after.
        Raises CatalogTooLarge, Conflict, StoreUnavailable.
        """
        value = encode_revision(catalog_json, created_at_s=self._now_s(), note=note)
        if len(value) > self._nc.max_payload - _ENVELOPE_BYTES:
            raise CatalogTooLarge(
                f"the catalog takes {len(value)} bytes; the store accepts {self._nc.max_payload - _ENVELOPE_BYTES}"
            )
        async with self._writing:
            for _ in range(_WRITE_ATTEMPTS_MAX):
                try:
                    written = await self._try_append(value, content_hash(catalog_json), expected_revision)
                except _NATS_AWAY as error:
                    raise StoreUnavailable("the catalog's store is not reachable") from error
                if written is not None:
                    return written
        raise Conflict("others are writing the catalog at the same time; try again")

    async def _try_append(self, value: bytes, content: str, expected_revision: int) -> tuple[int, bool] | None:
        """None: somebody else took the number."""
        await self._catch_up()
        if expected_revision and expected_revision != self._newest:
            raise Conflict(f"the catalog is at revision {self._newest} by now; look at it and try again")
        if self.current is not None and self.current.number == self._newest and self.current.hash == content:
            return self._newest, False
        number = self._newest + 1
        try:
            await kv_put(self._nc, KV_CATALOG, revision_key(number), value, last_revision=0)
        except RevisionConflict:
            return None
        self._adopt(number, value)
        return number, True

    async def _catch_up(self) -> None:
        while True:
            number = self._newest + 1  # the view may move on during the read
            found = await kv_get(self._nc, KV_CATALOG, revision_key(number))
            if found is None:
                return
            self._adopt(number, found[0])

    def _on_change(self, key: str, value: bytes | None, revision: int) -> None:
        number = revision_number(key)
        if number is None or value is None:
            logger.error("unexpected change in the catalog's bucket", extra={"key": key, "kv_revision": revision})
            return
        self._adopt(number, value)

    def _adopt(self, number: int, value: bytes) -> None:
        """Take note of a revision, from whichever side it came first."""
        if number <= self._newest:
            return
        self._newest = number
        self._metrics.catalog_revision.set(number)
        try:
            stored = decode_revision(value)
            current = Current(number, bytes(stored.catalog), stored.hash)
            _ = current.table
        except (ValueError, KeyError) as error:
            self._metrics.unreadable_revisions.inc()
            logger.error("catalog revision is unreadable", extra={"revision": number, "error": repr(error)[:500]})
            return
        self._history[number] = RevisionInfo(number, stored.created_at_s, stored.note)
        self.current = current
        for woken in self._listeners:
            woken.set()
        logger.info("catalog revision", extra={"revision": number, "models": len(current.table.catalog.models)})

    async def _ensure_bucket(self) -> None:
        backoff_s = 0.1
        while True:
            try:
                await ensure_bucket(self._nc, KV_CATALOG, replicas=self._kv_replicas)
            except _NATS_AWAY as error:
                logger.warning("the catalog's bucket is not there yet", extra={"reason": repr(error)[:200]})
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # jitter
                backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)
                continue
            return
