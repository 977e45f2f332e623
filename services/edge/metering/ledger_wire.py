"""How batches travel: our own lean publish, one inbox for all acks, and the question to the leader.

`js.publish` spends a future, an inbox token and two JSON parses per message; here the token in the reply subject names
the batch and the ack is read by msgspec.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from lumen.ledger import keyspace
from lumen.ledger.entries import decode_batch_head
from services.edge.metering.ledger_client import LedgerClient
from services.edge.metering.settlement import LastMessage

AWAY = (NatsError, JetStreamError, OSError, TimeoutError)
_HEADERS = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n\r\n"
_RPC_TIMEOUT_S = 2.0
NO_RESPONDERS = 503


class _AckError(msgspec.Struct):
    code: int = 0
    err_code: int = 0


class _PubAck(msgspec.Struct):
    seq: int = 0
    error: _AckError | None = None


_ack_decoder = msgspec.json.Decoder(_PubAck)


@dataclass(frozen=True, slots=True)
class Ack:
    """`error_code` 0: the batch is in the ledger at `sequence`."""

    partition: int
    number: int
    attempt: int
    sequence: int
    error_code: int


class LedgerWire:
    """`on_ack` is called from the event loop."""

    def __init__(self, nc: LedgerClient, on_ack: Callable[[Ack], None]) -> None:
        self._nc = nc
        self._on_ack = on_ack
        self._inbox = nc.new_inbox()

    async def start(self) -> None:
        await self._nc.subscribe_directly(f"{self._inbox}.>", self._read_ack)

    @property
    def is_connected(self) -> bool:
        return self._nc.is_connected

    @property
    def epoch(self) -> int:
        """Changes with every reconnect: what was published under another may be lost, or its ack."""
        return int(self._nc.stats["reconnects"])

    async def publish(
        self, partition: int, subject: str, payload: bytes, *, number: int, attempt: int, sequence: int
    ) -> None:
        """Raises one of AWAY. Returning proves nothing; the ack does."""
        reply = f"{self._inbox}.{partition}.{number}.{attempt}"
        await self._nc.publish_now(subject, reply, _HEADERS % sequence, payload)

    def _read_ack(self, subject: str, payload: bytes) -> None:
        _, partition, number, attempt = subject.rsplit(".", 3)
        sequence = 0
        if not payload:
            error_code = NO_RESPONDERS
        else:
            try:
                ack = _ack_decoder.decode(payload)
            except msgspec.DecodeError:
                return  # no ack at all: it will time out and be settled
            sequence = ack.seq
            error_code = 0 if ack.error is None else (ack.error.err_code or ack.error.code or 1)
        self._on_ack(Ack(int(partition), int(number), int(attempt), sequence, error_code))

    async def last_of(self, subject: str) -> LastMessage | None:
        """The subject's last message, from the leader. Raises one of AWAY, or msgspec.DecodeError for a stranger's."""
        js = self._nc.jetstream(timeout=_RPC_TIMEOUT_S)
        try:
            found = await js.get_last_msg(keyspace.STREAM, subject)
        except NotFoundError as error:
            if error.err_code == _STREAM_NOT_FOUND:
                raise
            return None
        payload = found.data or b""
        return LastMessage(decode_batch_head(payload).number, found.seq or 0, payload)


_STREAM_NOT_FOUND = 10059
