"""JetStream streams by the server's own snapshots: messages, sequences, times and settings as they were.

The protocol of `nats stream backup` (NATS ADR-19's $JS.API.STREAM.SNAPSHOT and RESTORE), which nats-py does not have.
A snapshot is one moment of one stream; chunks flow at the pace of whoever acknowledges them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client

from lumen.backup.errors import StoreAway
from lumen.backup.manifest import StoredStream, read_pieces, store_file

_API = "$JS.API.STREAM"
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 128 * 1024
# Whatever an entry names is in a later snapshot, so that nothing points at what is missing: entries at catalog
# revisions, keys and users at accounts; and the audit log covers every change.
_FIRST = ("LEDGER", "DEAD_LETTERS")
_LAST = ("KV_accounts", "AUDIT")


async def stream_names(nc: Client) -> list[str]:
    """Lumen's, in the order of their snapshots."""
    found: list[str] = []
    while True:
        answer = await _ask(nc, f"{_API}.NAMES", {"offset": len(found)})
        names: list[str] = answer.get("streams") or []
        found += names
        if not names or len(found) >= int(answer["total"]):
            break
    known = sorted(name for name in found if name.startswith("KV_") or name in (*_FIRST, *_LAST))
    middle = [name for name in known if name not in (*_FIRST, *_LAST)]
    return [*(n for n in _FIRST if n in known), *middle, *(n for n in _LAST if n in known)]


async def backup_stream(nc: Client, name: str, directory: Path) -> StoredStream:
    """Raises StoreAway."""
    inbox = nc.new_inbox()
    chunks = await nc.subscribe(inbox)
    try:
        head = await _ask(
            nc,
            f"{_API}.SNAPSHOT.{name}",
            {"deliver_subject": inbox, "no_consumers": True, "chunk_size": _CHUNK_BYTES},
        )

        async def pieces() -> AsyncIterator[bytes]:
            while True:
                try:
                    chunk = await chunks.next_msg(timeout=_TIMEOUT_S)
                except nats.errors.Error as error:
                    raise StoreAway(f"NATS: the snapshot of {name} broke off: {error!r}") from error
                if chunk.headers and chunk.headers.get("Status", "204") not in ("204", "100"):
                    raise StoreAway(f"NATS: the snapshot of {name} failed: {dict(chunk.headers)}")
                if not chunk.data:
                    return
                yield chunk.data
                if chunk.reply:
                    await nc.publish(chunk.reply)

        file = await store_file(directory, f"{name}.jetstream", pieces())
    finally:
        await chunks.unsubscribe()
    return StoredStream(name, int(head["state"]["messages"]), head["config"], head["state"], file)


async def restore_stream(nc: Client, stored: StoredStream, directory: Path) -> None:
    """The stream must not exist. Raises StoreAway."""
    begun = await _ask(nc, f"{_API}.RESTORE.{stored.name}", {"config": stored.config, "state": stored.state})
    subject = str(begun["deliver_subject"])
    for piece in read_pieces(directory / stored.file.name, _CHUNK_BYTES):
        await _send(nc, subject, piece)
    restored = _answer(f"restoring {stored.name}", await _send(nc, subject, b""))
    messages = int(restored["state"]["messages"])
    if messages != stored.messages:
        raise StoreAway(f"NATS: {stored.name} has {messages} messages after restoring, the backup {stored.messages}")


async def _ask(nc: Client, subject: str, request: dict[str, Any]) -> dict[str, Any]:
    return _answer(subject, await _send(nc, subject, json.dumps(request).encode()))


async def _send(nc: Client, subject: str, data: bytes) -> bytes:
    try:
        return (await nc.request(subject, data, timeout=_TIMEOUT_S)).data
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise StoreAway(f"NATS does not answer ({subject}): {error!r}") from error


def _answer(what: str, data: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data)
    if "error" in document:
        raise StoreAway(f"NATS refused {what}: {document['error'].get('description', document['error'])}")
    return document
