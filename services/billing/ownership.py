"""Which of several billings follows the ledger: one owner by a lease in a KV bucket, the others stand by.

An optimisation, never relied on: two that believe they own the same partitions do no harm (both sinks take each
position once), they only do the work twice. The owner writes its key every `beat_s`, each time over its own last
revision. Whoever stands by looks at the key; a revision that has stood still for `patience_s` of the looker's own clock
is overwritten, and that compare-and-set decides between several. A key that is absent, given back (an orderly end), or
of a process of our own name that was there before us (same host and port: it cannot be alive) is taken at once, so a
billing that runs alone never waits.

    standing by --key free, or still for too long--> owner --another revision than ours--> standing by
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from lumen.ledger import keyspace
from lumen.platform.kv_view import RevisionConflict, kv_get, kv_put
from lumen.platform.lifecycle import cancel_until_done
from services.billing.health import Health
from services.billing.metrics import BillingMetrics

logger = logging.getLogger(__name__)

_NATS_AWAY = (NatsError, JetStreamError, OSError, TimeoutError)
_LOOK_S = 0.5
_RELEASE_S_MAX = 1.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Owner(msgspec.Struct, frozen=True):
    """The key's value. `name`: host and port, the same after a restart; `run`: of one process."""

    name: str
    run: str
    is_released: bool = False


class Ownership:
    """`await run(work)` in a supervised task, `await release()` at an orderly end."""

    def __init__(
        self,
        nc: Client,
        name: str,
        run_id: str,
        *,
        health: Health,
        metrics: BillingMetrics,
        beat_s: float = 1.0,
        patience_s: float = 3.0,
    ) -> None:
        self._nc = nc
        self._me = Owner(name, run_id)
        self._health = health
        self._metrics = metrics
        self._beat_s = beat_s
        self._patience_s = patience_s
        self._revision: int | None = None  # of our own last write; None: not the owner
        self._is_first = True

    async def run(self, work: Sequence[Work]) -> None:
        """All of `work` while we are the owner, for ever. Raises what it raises."""
        while True:
            await self._acquire()
            self._metrics.is_owner.set(1)
            logger.info("owner of the ledger's partitions", extra={"owner": self._me.name})
            tasks = [asyncio.create_task(start()) for start in (self._hold, *work)]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancel_until_done(tasks)
                self._metrics.stand_by()
            for task in tasks:
                if not task.cancelled():
                    task.result()
            self._health.stand_by()
            logger.warning("another billing owns the ledger's partitions now", extra={"owner": self._me.name})

    async def release(self) -> None:
        """Give the key back, if we have it, so that another one need not wait. Never raises."""
        if self._revision is None:
            return
        released = msgspec.structs.replace(self._me, is_released=True)
        try:
            async with asyncio.timeout(_RELEASE_S_MAX):
                await self._put(released, self._revision)
        except (RevisionConflict, *_NATS_AWAY) as error:
            logger.info("ownership not given back", extra={"error": repr(error)})
        self._revision = None

    async def _acquire(self) -> None:
        seen_revision, seen_at = 0, 0.0
        while True:
            try:
                found = await kv_get(self._nc, keyspace.KV_BILLING, keyspace.BILLING_OWNER_KEY)
                now = time.monotonic()
                owner, revision = (_owner(found[0]), found[1]) if found is not None else (None, 0)
                if revision != seen_revision or not revision:
                    seen_revision, seen_at = revision, now
                if self._is_free(owner) or now - seen_at >= self._patience_s:
                    self._revision = await self._put(self._me, revision)
                    self._is_first = False
                    return
                self._is_first = False
                self._health.stand_by()
            except RevisionConflict:
                continue
            except _NATS_AWAY as error:
                logger.warning("the owners' bucket is away", extra={"error": repr(error)})
                seen_revision = 0  # the owner could not write either: its time begins anew
            await asyncio.sleep(_LOOK_S)

    def _is_free(self, owner: Owner | None) -> bool:
        if owner is None or owner.is_released or owner == self._me:
            return True
        return self._is_first and owner.name == self._me.name

    async def _hold(self) -> None:
        """Returns when somebody else has the key. While NATS is away nobody can take it."""
        assert self._revision is not None
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                self._revision = await self._put(self._me, self._revision)
            except RevisionConflict:
                if not await self._is_still_ours():
                    self._revision = None
                    return
            except _NATS_AWAY as error:
                logger.warning("ownership not renewed", extra={"error": repr(error)})

    async def _is_still_ours(self) -> bool:
        """A write whose ack was lost is our own."""
        try:
            found = await kv_get(self._nc, keyspace.KV_BILLING, keyspace.BILLING_OWNER_KEY)
        except _NATS_AWAY:
            return True  # asked again with the next beat
        if found is None or _owner(found[0]) != self._me:
            return False
        self._revision = found[1]
        return True

    async def _put(self, owner: Owner, revision: int) -> int:
        value = msgspec.json.encode(owner)
        return await kv_put(self._nc, keyspace.KV_BILLING, keyspace.BILLING_OWNER_KEY, value, last_revision=revision)


def _owner(value: bytes) -> Owner | None:
    try:
        return msgspec.json.decode(value, type=Owner)
    except msgspec.MsgspecError:
        return None
