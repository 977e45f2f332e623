"""The audit log: who changed what. JetStream stream `AUDIT` (subject `audit.entry`), appended and never edited.

A stream and not KV: entries are a history in order, its sequence is the page's cursor, and messages cannot be deleted
or purged (`deny_delete`, `deny_purge`). Kept until the stream holds `_BYTES_MAX`, then the oldest go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from lumen.platform.nats import ensure_stream
from protos import auth_pb2
from services.auth.directory import NATS_AWAY
from services.auth.errors import InvalidRequest, Unavailable

STREAM = "AUDIT"
_SUBJECT = "audit.entry"
_BYTES_MAX = 1024 * 1024 * 1024  # some million entries
_TEXT_CHARS_MAX = 64 * 1024
LIST_MAX = 200
_READS_AT_ONCE = 20
_AWAY = "the audit log is not reachable"


class AuditRecord(msgspec.Struct, frozen=True):
    at_us: int
    actor: str
    action: str
    target: str
    account_id: str
    before_json: str = ""
    after_json: str = ""
    outcome: str = ""
    request_id: str = ""


class AuditLog:
    def __init__(
        self, nc: Client, *, replicas: int = 1, now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._nc = nc
        self._replicas = replicas
        self._now_us = now_us
        self._is_there = False

    async def append(self, entry: auth_pb2.AuditEntry) -> auth_pb2.AuditEntry:
        """With its sequence and time. Raises InvalidRequest, Unavailable (it may have been appended)."""
        if not entry.actor or not entry.action:
            raise InvalidRequest("an audit entry needs an actor and an action")
        if max(len(entry.before_json), len(entry.after_json)) > _TEXT_CHARS_MAX:
            raise InvalidRequest(f"before_json and after_json: at most {_TEXT_CHARS_MAX} characters")
        record = AuditRecord(
            at_us=self._now_us(),
            actor=entry.actor,
            action=entry.action,
            target=entry.target,
            account_id=entry.account_id,
            before_json=entry.before_json,
            after_json=entry.after_json,
            outcome=entry.outcome,
            request_id=entry.request_id,
        )
        try:
            await self._stream_there()
            ack = await self._nc.jetstream(timeout=5).publish(_SUBJECT, msgspec.json.encode(record))
        except NATS_AWAY as error:
            raise Unavailable(_AWAY) from error
        return _message(record, ack.seq)

    async def newest(self, before_sequence: int, limit: int) -> list[auth_pb2.AuditEntry]:
        """Newest first, those before `before_sequence` (0: all). Raises Unavailable."""
        limit = min(limit or LIST_MAX, LIST_MAX)
        try:
            await self._stream_there()
            state = (await self._nc.jetstream(timeout=5).stream_info(STREAM)).state
            last = min(state.last_seq, before_sequence - 1) if before_sequence else state.last_seq
            first = max(state.first_seq, last - limit + 1, 1)
            found: list[auth_pb2.AuditEntry] = []
            wanted = list(range(last, first - 1, -1))
            for start in range(0, len(wanted), _READS_AT_ONCE):
                batch = await asyncio.gather(*(self._get(each) for each in wanted[start : start + _READS_AT_ONCE]))
                found += [entry for entry in batch if entry is not None]
        except NATS_AWAY as error:
            raise Unavailable(_AWAY) from error
        return found

    async def _get(self, sequence: int) -> auth_pb2.AuditEntry | None:
        try:
            message = await self._nc.jetstream(timeout=5).get_msg(STREAM, sequence)
        except NotFoundError:
            return None
        return _message(msgspec.json.decode(message.data or b"{}", type=AuditRecord), sequence)

    async def _stream_there(self) -> None:
        if self._is_there:
            return
        await ensure_stream(
            self._nc,
            StreamConfig(
                name=STREAM,
                subjects=["audit.>"],
                max_bytes=_BYTES_MAX,
                deny_delete=True,
                deny_purge=True,
                discard=DiscardPolicy.OLD,
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                num_replicas=self._replicas,
            ),
        )
        self._is_there = True


def _message(record: AuditRecord, sequence: int) -> auth_pb2.AuditEntry:
    return auth_pb2.AuditEntry(
        sequence=sequence,
        at_us=record.at_us,
        actor=record.actor,
        action=record.action,
        target=record.target,
        account_id=record.account_id,
        before_json=record.before_json,
        after_json=record.after_json,
        outcome=record.outcome,
        request_id=record.request_id,
    )
