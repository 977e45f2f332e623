"""What billing asks the ledger's leader: its bounds, a partition's last message, and whether it still holds a mark."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RawStreamMsg, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

from lumen.ledger import keyspace
from lumen.platform.nats import WRONG_LAST_SEQUENCE, ensure_stream, js_error_code
from services.billing.marks import Mark, digest_of

_RPC_TIMEOUT_S = 3.0


class Holding(Enum):
    """What the ledger says of a mark."""

    HELD = "held"
    TRIMMED = "trimmed"  # older than the first message kept
    MISMATCH = "mismatch"  # another message is there, or none although the ledger should have one


@dataclass(frozen=True, slots=True)
class Bounds:
    """Stream sequences; an empty stream has first = last + 1."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class LastMessage:
    sequence: int
    payload: bytes


class LedgerStream:
    """Raises nats.errors.Error, nats.js.errors.Error or TimeoutError when the leader does not answer."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def bounds(self) -> Bounds:
        state = (await self._nc.jetstream(timeout=_RPC_TIMEOUT_S).stream_info(keyspace.STREAM)).state
        return Bounds(first=max(state.first_seq, 1), last=state.last_seq)

    async def last_of(self, subject: str) -> LastMessage | None:
        """The last message of a subject or filter, from the leader."""
        try:
            found = await self._nc.jetstream(timeout=_RPC_TIMEOUT_S).get_last_msg(keyspace.STREAM, subject)
        except NotFoundError:
            return None
        return _last_message(found)

    async def append_first(self, subject: str, payload: bytes) -> bool:
        """Publish, unless the subject holds something already: then False. After any error it may be published."""
        try:
            await self._nc.jetstream(timeout=_RPC_TIMEOUT_S).publish(
                subject, payload, headers={"Nats-Expected-Last-Subject-Sequence": "0"}
            )
        except BadRequestError as error:
            if js_error_code(error) == WRONG_LAST_SEQUENCE:
                return False
            raise
        return True

    async def holding(self, mark: Mark, bounds: Bounds, last: LastMessage | None = None) -> Holding:
        """`last`: the partition's last message where it is known already; it spares the look-up."""
        if mark.sequence < bounds.first:
            is_complete = mark.is_start and bounds.first == 1
            return Holding.HELD if is_complete else Holding.TRIMMED
        if last is None or last.sequence != mark.sequence:
            last = await self._at(mark.sequence)
        if last is None:
            # trimmed between the two looks, or never there
            return Holding.TRIMMED if (await self.bounds()).first > mark.sequence else Holding.MISMATCH
        return Holding.HELD if digest_of(last.payload) == mark.digest else Holding.MISMATCH

    async def _at(self, sequence: int) -> LastMessage | None:
        try:
            found = await self._nc.jetstream(timeout=_RPC_TIMEOUT_S).get_msg(keyspace.STREAM, seq=sequence)
        except NotFoundError:
            return None
        return _last_message(found)


def _last_message(found: RawStreamMsg) -> LastMessage:
    return LastMessage(found.seq or 0, found.data or b"")


async def ensure_streams(nc: Client, *, replicas: int, ledger_bytes_max: int, message_bytes_max: int) -> None:
    """Create LEDGER and DEAD_LETTERS where they are missing.

    Discard new: a full ledger refuses (edges spool, then answer 503) and never drops what was acknowledged.
    """
    await ensure_stream(
        nc,
        StreamConfig(
            name=keyspace.STREAM,
            subjects=[keyspace.STREAM_SUBJECTS],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_age=35 * 86_400.0,
            max_bytes=ledger_bytes_max,
            max_msg_size=message_bytes_max,
            allow_direct=True,
            allow_atomic=True,
            num_replicas=replicas,
        ),
    )
    await ensure_stream(
        nc,
        StreamConfig(
            name=keyspace.DEAD_LETTER_STREAM,
            subjects=[keyspace.DEAD_LETTER_SUBJECTS],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_msg_size=message_bytes_max * 2,
            allow_direct=True,
            num_replicas=replicas,
        ),
    )
