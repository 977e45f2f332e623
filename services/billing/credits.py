"""Credits: money in or out by decision. One reference of one account is one entry, for ever.

The reference is the ledger subject (`keyspace.credit_producer`), published expecting it to be empty, so two callers or
a repeated call cannot both succeed. ClickHouse is asked first: it remembers references whose message has been trimmed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import BadRequestError
from nats.js.errors import Error as JetStreamError

from lumen.ledger import keyspace
from lumen.ledger.entries import (
    AMOUNT_NANOUSD_MAX,
    CREDIT_KINDS,
    Batch,
    CreditEntry,
    decode_batch,
    encode_batch,
)
from lumen.money.pots import EXPIRY_KIND
from lumen.platform.clickhouse import ClickHouse, ClickHouseError
from lumen.platform.nats import WRONG_LAST_SEQUENCE, js_error_code
from services.billing.balances import Balances
from services.billing.decoding import UNREADABLE
from services.billing.errors import AmountOutOfRange, InvalidRequest, ReferenceConflict, Unavailable
from services.billing.ledger_stream import LedgerStream
from services.billing.metrics import BillingMetrics

logger = logging.getLogger(__name__)

_ORDERED_KINDS = tuple(kind for kind in CREDIT_KINDS if kind != EXPIRY_KIND)  # that one is expiries.py's own
_ACCOUNT_CHARS_MAX = 128
_REFERENCE_CHARS_MAX = 200
_NOTE_CHARS_MAX = 2000
_PAID_CHARS_MAX = 40
_PUBLISH_ATTEMPTS_MAX = 3
_POSTED_POLL_S = 0.02
_NATS_AWAY = (NatsError, JetStreamError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class CreditOrder:
    """What the caller asks for; `validated` or refused."""

    account: str
    amount_nanousd: int
    kind: str
    reference: str
    paid_amount: str = ""
    paid_currency: str = ""
    note: str = ""
    expires_at_s: int = 0

    def validate(self) -> None:
        """Raises InvalidRequest or AmountOutOfRange."""
        if not self.account or len(self.account) > _ACCOUNT_CHARS_MAX:
            raise InvalidRequest(f"account_id: 1 to {_ACCOUNT_CHARS_MAX} characters")
        if self.kind not in _ORDERED_KINDS:
            raise InvalidRequest(f"kind: one of {', '.join(_ORDERED_KINDS)}")
        if not self.reference or len(self.reference) > _REFERENCE_CHARS_MAX:
            raise InvalidRequest(f"reference: 1 to {_REFERENCE_CHARS_MAX} characters")
        if len(self.note) > _NOTE_CHARS_MAX:
            raise InvalidRequest(f"note: at most {_NOTE_CHARS_MAX} characters")
        if len(self.paid_amount) > _PAID_CHARS_MAX or len(self.paid_currency) > _PAID_CHARS_MAX:
            raise InvalidRequest(f"paid_amount, paid_currency: at most {_PAID_CHARS_MAX} characters")
        if self.expires_at_s < 0 or self.expires_at_s >= 4_102_444_800:
            raise InvalidRequest("expires_at_s: Unix seconds before 2100, or 0 for never")
        if self.amount_nanousd == 0:
            raise InvalidRequest("amount_nanousd: not zero")
        if not -AMOUNT_NANOUSD_MAX < self.amount_nanousd < AMOUNT_NANOUSD_MAX:
            raise AmountOutOfRange(f"amount_nanousd: below {AMOUNT_NANOUSD_MAX} either way")

    def entry(self, created_at_us: int) -> CreditEntry:
        return CreditEntry(
            account=self.account,
            amount_nanousd=self.amount_nanousd,
            kind=self.kind,
            source="grant" if self.kind == "grant" else "paid",
            reference=self.reference,
            created_at_us=created_at_us,
            paid_amount=self.paid_amount,
            paid_currency=self.paid_currency,
            note=self.note,
            expires_at_s=self.expires_at_s,
        )


@dataclass(frozen=True, slots=True)
class PostedCredit:
    entry: CreditEntry
    stream_sequence: int
    already_existed: bool


class Credits:
    """Raises errors of services.billing.errors only. `now_us`: Unix microseconds."""

    def __init__(
        self,
        nc: Client,
        ledger: LedgerStream,
        clickhouse: ClickHouse,
        balances: Balances,
        *,
        now_us: Callable[[], int],
        metrics: BillingMetrics,
        posted_wait_s_max: float = 3.0,
    ) -> None:
        self._nc = nc
        self._ledger = ledger
        self._clickhouse = clickhouse
        self._balances = balances
        self._now_us = now_us
        self._metrics = metrics
        self._posted_wait_s_max = posted_wait_s_max

    async def post(self, order: CreditOrder) -> PostedCredit:
        """Append the credit, or find this reference's first; then wait (bounded) until the balance shows it."""
        order.validate()
        posted = await self._recorded(order) or await self._append(order)
        if posted.already_existed:
            _require_same(order, posted.entry)
        else:
            self._metrics.credits.labels(order.kind).inc()
        await self._wait_posted(order.account, posted.stream_sequence)
        return posted

    async def _recorded(self, order: CreditOrder) -> PostedCredit | None:
        """The reference's entry in ClickHouse, which also knows those whose message was trimmed from the ledger."""
        try:
            rows = await self._clickhouse.rows(
                "SELECT amount_nanousd, kind, source, created_at_us, paid_amount, paid_currency, note, expires_at_s,"
                " sequence FROM credits FINAL WHERE account = {account:String} AND reference = {reference:String}"
                " ORDER BY epoch, sequence LIMIT 1",
                {"account": order.account, "reference": order.reference},
            )
        except ClickHouseError as error:
            raise Unavailable("cannot tell whether this reference was used before") from error
        if not rows:
            return None
        amount, kind, source, created_at_us, paid_amount, paid_currency, note, expires_at_s, sequence = rows[0]
        entry = CreditEntry(
            order.account, amount, kind, source, order.reference, created_at_us, paid_amount, paid_currency, note,
            expires_at_s,
        )  # fmt: skip
        return PostedCredit(entry, sequence, already_existed=True)

    async def _append(self, order: CreditOrder) -> PostedCredit:
        await self._require_balance_in_range(order)
        partition = keyspace.partition_of(order.account)
        producer = keyspace.credit_producer(order.account, order.reference)
        subject = keyspace.subject(partition, producer)
        entry = order.entry(self._now_us())
        payload = encode_batch(Batch(producer, partition, 1, [entry]))
        for _ in range(_PUBLISH_ATTEMPTS_MAX):
            try:
                ack = await self._nc.jetstream(timeout=3).publish(
                    subject, payload, headers={"Nats-Expected-Last-Subject-Sequence": "0"}
                )
                return PostedCredit(entry, ack.seq, already_existed=False)
            except BadRequestError as error:
                if js_error_code(error) != WRONG_LAST_SEQUENCE:
                    raise Unavailable("the ledger refused the credit") from error
            except _NATS_AWAY as error:
                logger.warning("credit's ack is unclear", extra={"subject": subject, "error": repr(error)})
            if (first := await self._first(subject, payload)) is not None:
                return first
        raise Unavailable("the ledger is away; repeat with the same reference")

    async def _first(self, subject: str, own_payload: bytes) -> PostedCredit | None:
        """What the subject holds: another call's entry, our own (its ack was lost), or nothing."""
        try:
            last = await self._ledger.last_of(subject)
        except _NATS_AWAY as error:
            raise Unavailable("the ledger is away; repeat with the same reference") from error
        if last is None:
            return None
        try:
            entry = decode_batch(last.payload).entries[0]
        except (*UNREADABLE, IndexError) as error:
            raise ReferenceConflict("the reference is taken by an entry that cannot be read") from error
        if not isinstance(entry, CreditEntry):
            raise ReferenceConflict("the reference is taken by an entry that is not a credit")
        return PostedCredit(entry, last.sequence, already_existed=last.payload != own_payload)

    async def _require_balance_in_range(self, order: CreditOrder) -> None:
        balance = (await self._balances.get(order.account)).balance_nanousd
        if not -AMOUNT_NANOUSD_MAX < balance + order.amount_nanousd < AMOUNT_NANOUSD_MAX:
            raise AmountOutOfRange(f"the balance would leave the range of {AMOUNT_NANOUSD_MAX} nano-USD either way")

    async def _wait_posted(self, account: str, sequence: int) -> None:
        """Until Redis' mark has passed the entry; gives up quietly, for the entry is safe."""
        partition = keyspace.partition_of(account)
        deadline = asyncio.get_running_loop().time() + self._posted_wait_s_max
        while asyncio.get_running_loop().time() < deadline:
            try:
                mark = await self._balances.mark(partition)
            except Unavailable:
                mark = None
            if mark is not None and mark.sequence >= sequence:
                return
            await asyncio.sleep(_POSTED_POLL_S)
        logger.warning("credit accepted, not posted yet", extra={"account": account, "sequence": sequence})


def _require_same(order: CreditOrder, first: CreditEntry) -> None:
    if (first.amount_nanousd, first.kind) != (order.amount_nanousd, order.kind):
        raise ReferenceConflict(
            f"reference {order.reference!r} was used for {first.kind} {first.amount_nanousd} nano-USD before"
        )
