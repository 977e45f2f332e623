"""A KV bucket held in memory and followed: every change is handed to the owner in revision order.

A bucket is a stream (NATS ADR-8): the revision is the stream sequence, a delete a message with a KV-Operation header.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.client import Client
from nats.js.errors import BadRequestError, NotFoundError

from lumen.platform.nats import WRONG_LAST_SEQUENCE, js_error_code, kv_stream, kv_subject
from lumen.platform.ordered_reader import OrderedReader

# key, value (None: deleted), revision
OnChange = Callable[[str, bytes | None, int], None]


class RevisionConflict(Exception):
    """Somebody else wrote the key first."""


class KvView:
    """`await run()` in a supervised task; `await ready.wait()` for the first full view."""

    def __init__(self, nc: Client, bucket: str, on_change: OnChange) -> None:
        self._prefix = kv_subject(bucket, "")
        self._reader = OrderedReader(nc, kv_stream(bucket), [kv_subject(bucket, ">")], start_sequence=None)
        self._on_change = on_change
        self.revision = 0
        self.ready = asyncio.Event()

    def age_s(self) -> float:
        return self._reader.age_s()

    async def run(self) -> None:
        await self._reader.start()
        try:
            while True:
                for message in await self._reader.read(timeout_s=0.1):
                    deleted = bool(message.headers and message.headers.get("KV-Operation"))
                    key = message.subject[len(self._prefix) :]
                    self._on_change(key, None if deleted else message.data, message.sequence)
                    self.revision = message.sequence
                if self._reader.is_caught_up:
                    self.ready.set()
        finally:
            await self._reader.stop()


async def kv_put(nc: Client, bucket: str, key: str, value: bytes, *, last_revision: int | None = None) -> int:
    """Write a key and return its revision. `last_revision` 0: only if absent (or deleted never); n: only over n.

    Raises RevisionConflict.
    """
    headers = None if last_revision is None else {"Nats-Expected-Last-Subject-Sequence": str(last_revision)}
    try:
        ack = await nc.jetstream(timeout=5).publish(kv_subject(bucket, key), value, headers=headers)
    except BadRequestError as error:
        if js_error_code(error) == WRONG_LAST_SEQUENCE:
            raise RevisionConflict(key) from error
        raise
    return ack.seq


async def kv_get(nc: Client, bucket: str, key: str) -> tuple[bytes, int] | None:
    """Read a key from the stream's leader: (value, revision), or None."""
    try:
        message = await nc.jetstream(timeout=5).get_last_msg(kv_stream(bucket), kv_subject(bucket, key))
    except NotFoundError:
        return None
    if message.headers and message.headers.get("KV-Operation"):
        return None
    return message.data or b"", message.seq or 0
