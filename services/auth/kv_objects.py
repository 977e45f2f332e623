"""Objects of a KV bucket changed by compare-and-set, for what is read rarely and decided by the leader.

No view is kept in memory: users, sessions and alerts are read a few times a second at most, keys are not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from nats.aio.client import Client

from lumen.platform.kv_view import KvView, RevisionConflict, kv_get, kv_put
from lumen.platform.lifecycle import cancel_until_done
from lumen.platform.nats import kv_subject
from services.auth.directory import NATS_AWAY
from services.auth.errors import Conflict, Unavailable

_WRITE_ATTEMPTS_MAX = 8
_SNAPSHOT_S_MAX = 5.0
_Record = TypeVar("_Record")


class KvObjects:
    """`ensure` creates the bucket where it is missing. All methods raise Unavailable while NATS is away."""

    def __init__(self, nc: Client, bucket: str, ensure: Callable[[], Awaitable[None]]) -> None:
        self._nc = nc
        self._bucket = bucket
        self._ensure = ensure
        self._is_there = False

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """(value, revision) from the bucket's leader."""
        with self._nats_errors():
            await self._bucket_there()
            return await kv_get(self._nc, self._bucket, key)

    async def put(self, key: str, value: bytes, *, last_revision: int | None = None) -> int:
        """Raises RevisionConflict."""
        with self._nats_errors():
            await self._bucket_there()
            return await kv_put(self._nc, self._bucket, key, value, last_revision=last_revision)

    async def delete(self, key: str) -> None:
        with self._nats_errors():
            await self._bucket_there()
            await self._nc.jetstream(timeout=5).publish(
                kv_subject(self._bucket, key), b"", headers={"KV-Operation": "DEL"}
            )

    async def change(
        self, key: str, decode: Callable[[bytes], _Record], encode: Callable[[_Record], bytes],
        changed: Callable[[_Record], _Record], missing: Callable[[], Exception],
    ) -> tuple[_Record, int]:  # fmt: skip
        """Replace a record by what `changed` makes of it; (the new one, its revision). Raises what `missing` and
        `changed` raise, and Conflict when others are always faster."""
        for _ in range(_WRITE_ATTEMPTS_MAX):
            found = await self.get(key)
            if found is None:
                raise missing()
            record = decode(found[0])
            wanted = changed(record)
            if wanted == record:
                return record, found[1]
            with contextlib.suppress(RevisionConflict):
                return wanted, await self.put(key, encode(wanted), last_revision=found[1])
        raise Conflict("others are changing this at the same time; try again")

    async def snapshot(self) -> dict[str, tuple[bytes, int]]:
        """Everything in the bucket: key -> (value, revision)."""
        found: dict[str, tuple[bytes, int]] = {}

        def on_change(key: str, value: bytes | None, revision: int) -> None:
            if value is None:
                found.pop(key, None)
            else:
                found[key] = (value, revision)

        with self._nats_errors():
            await self._bucket_there()
            view = KvView(self._nc, self._bucket, on_change)
            reading = asyncio.create_task(view.run(), name=f"snapshot-{self._bucket}")
            try:
                async with asyncio.timeout(_SNAPSHOT_S_MAX):
                    await view.ready.wait()
            finally:
                await cancel_until_done([reading])
        return found

    async def _bucket_there(self) -> None:
        if not self._is_there:
            await self._ensure()
            self._is_there = True

    @contextlib.contextmanager
    def _nats_errors(self) -> Iterator[None]:
        try:
            yield
        except NATS_AWAY as error:
            raise Unavailable(f"the store of {self._bucket} is not reachable") from error
