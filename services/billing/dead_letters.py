"""Publishes dead letters to `dead_letter.<partition>`, each exactly once, in ledger order, with no time window.

A partition's dead letters are published in the order of their position, each expecting the subject's last message to be
the one just seen. So the last message tells what is there: a position at or below it has been published already.
"""

from __future__ import annotations

from collections.abc import Sequence

from nats.aio.client import Client
from nats.js.errors import BadRequestError, NotFoundError

from lumen.ledger import keyspace
from lumen.platform.nats import WRONG_LAST_SEQUENCE, js_error_code
from services.billing.decoding import Flaw
from services.billing.tables import Place

POSITION_HEADER = "Lumen-Position"  # epoch:sequence:index of the entry in the ledger
REASON_HEADER = "Lumen-Reason"
DETAIL_HEADER = "Lumen-Detail"
PRODUCER_HEADER = "Lumen-Producer"
BATCH_NUMBER_HEADER = "Lumen-Batch-Number"

_DETAIL_CHARS_MAX = 500
_RACES_MAX = 8

Position = tuple[int, int, int]


class DeadLetterRace(Exception):
    """Another process kept publishing to the same subject; try again."""


class DeadLetterPublisher:
    """Raises nats.errors.Error, nats.js.errors.Error, TimeoutError or DeadLetterRace; repeating is harmless."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def publish(self, letters: Sequence[tuple[Place, Flaw]]) -> None:
        last: dict[int, tuple[int, Position]] = {}
        for place, flaw in letters:
            await self._publish(place, flaw, last)

    async def _publish(self, place: Place, flaw: Flaw, last: dict[int, tuple[int, Position]]) -> None:
        position = (place.epoch, place.sequence, flaw.index)
        for _ in range(_RACES_MAX):
            if place.partition not in last:
                last[place.partition] = await self._last(place.partition)
            sequence, newest = last[place.partition]
            if position <= newest:
                return
            try:
                ack = await self._nc.jetstream(timeout=5).publish(
                    keyspace.dead_letter_subject(place.partition),
                    flaw.payload,
                    headers={"Nats-Expected-Last-Subject-Sequence": str(sequence), **_headers(place, flaw)},
                )
            except BadRequestError as error:
                if js_error_code(error) != WRONG_LAST_SEQUENCE:
                    raise
                del last[place.partition]
                continue
            last[place.partition] = (ack.seq, position)
            return
        raise DeadLetterRace(f"dead letters of partition {place.partition}")

    async def _last(self, partition: int) -> tuple[int, Position]:
        try:
            message = await self._nc.jetstream(timeout=5).get_last_msg(
                keyspace.DEAD_LETTER_STREAM, keyspace.dead_letter_subject(partition)
            )
        except NotFoundError:
            return 0, (0, 0, 0)
        epoch, sequence, index = (message.headers or {}).get(POSITION_HEADER, "0:0:0").split(":")
        return message.seq or 0, (int(epoch), int(sequence), int(index))


def _headers(place: Place, flaw: Flaw) -> dict[str, str]:
    return {
        POSITION_HEADER: f"{place.epoch}:{place.sequence}:{flaw.index}",
        REASON_HEADER: flaw.reason.value,
        DETAIL_HEADER: _header_text(flaw.detail),
        PRODUCER_HEADER: _header_text(place.producer),
        BATCH_NUMBER_HEADER: str(place.batch_number),
    }


def _header_text(text: str) -> str:
    """Header values are one line of printable ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:_DETAIL_CHARS_MAX]).strip()
