"""The ledger's wire format: numbered batches of usage and credit entries, MessagePack arrays.

One JetStream message is one `Batch`, on `ledger.<partition>.<producer>`. Numbers are contiguous from 1 per
(producer, partition); a credit's producer is derived from its caller's idempotency key and has exactly one batch.
Structs are arrays on the wire: append fields at the end, with defaults, and never reorder or remove one.
Amounts are nano-USD (`int`), times are Unix microseconds (`_us`) unless the name says otherwise.
"""

from __future__ import annotations

import msgspec

from lumen.money.usage import TokenUsage

# An account's amounts stay below this, so that a double (Lua's only number) holds them exactly.
AMOUNT_NANOUSD_MAX = 9_000_000_000_000_000

CREDIT_KINDS = ("topup", "grant", "refund", "adjustment", "expiry")


class Attempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One call to one provider, in order; the last is the one that answered (if any did)."""

    channel: str
    status: int  # HTTP status; 0: no answer
    reason: str  # "ok" or why it was given up: connect, timeout, status, cut, error_body ...
    duration_us: int
    ttft_us: int = 0


class UsageEntry(msgspec.Struct, frozen=True, array_like=True, tag="usage", gc=False):
    """One request's usage. Rated by billing with `catalog_revision`; carries no price of its own."""

    request_id: str
    account: str
    key_id: str
    group: str
    model: str  # catalog code
    channel: str
    upstream_model: str
    client_dialect: str
    upstream_dialect: str
    catalog_revision: int
    started_at_us: int
    duration_us: int
    ttft_us: int
    status: int  # HTTP status the client saw
    is_stream: bool
    finish_reason: str  # raw, as the provider said it; "" when none was seen
    usage: TokenUsage
    is_estimated: bool  # the provider did not report usage; these are Lumen's figures
    is_billable: bool  # False: cost without revenue (failed or cancelled attempt)
    hold_nanousd: int
    lease_boot: int  # with the batch's producer: the lease this was spent from
    key_has_spend_limit: bool = False
    modifiers: dict[str, str] = {}
    attempts: list[Attempt] = []
    traceparent: str = ""  # W3C, of a request whose trace is sampled: billing's posting links to it


class CreditEntry(msgspec.Struct, frozen=True, array_like=True, tag="credit", gc=False):
    """Money in or out by decision, not by use."""

    account: str
    amount_nanousd: int  # signed
    kind: str  # one of CREDIT_KINDS
    source: str  # paid | grant
    reference: str  # the caller's idempotency key
    created_at_us: int
    paid_amount: str = ""  # decimal, in paid_currency
    paid_currency: str = ""
    note: str = ""
    expires_at_s: int = 0


Entry = UsageEntry | CreditEntry


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    producer: str
    partition: int
    number: int
    entries: list[Entry]
    version: int = 1


class BatchHead(msgspec.Struct, frozen=True, array_like=True):
    """The batch without its entries: enough to settle an unclear ack."""

    producer: str
    partition: int
    number: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)
_head_decoder = msgspec.msgpack.Decoder(BatchHead)


def encode_batch(batch: Batch) -> bytes:
    return _encoder.encode(batch)


def decode_batch(payload: bytes) -> Batch:
    """Raises msgspec.DecodeError (ValidationError included) for anything that is not a batch."""
    return _decoder.decode(payload)


def decode_batch_head(payload: bytes) -> BatchHead:
    """Raises msgspec.DecodeError."""
    return _head_decoder.decode(payload)
