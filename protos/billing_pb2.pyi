from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PostCreditRequest(_message.Message):
    __slots__ = ("account_id", "amount_nanousd", "kind", "reference", "paid_amount", "paid_currency", "note", "expires_at_s")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAID_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAID_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    amount_nanousd: int
    kind: str
    reference: str
    paid_amount: str
    paid_currency: str
    note: str
    expires_at_s: int
    def __init__(self, account_id: _Optional[str] = ..., amount_nanousd: _Optional[int] = ..., kind: _Optional[str] = ..., reference: _Optional[str] = ..., paid_amount: _Optional[str] = ..., paid_currency: _Optional[str] = ..., note: _Optional[str] = ..., expires_at_s: _Optional[int] = ...) -> None: ...

class CreditView(_message.Message):
    __slots__ = ("account_id", "amount_nanousd", "kind", "source", "reference", "paid_amount", "paid_currency", "note", "created_at_s", "expires_at_s", "already_existed", "stream_sequence")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAID_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAID_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    ALREADY_EXISTED_FIELD_NUMBER: _ClassVar[int]
    STREAM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    amount_nanousd: int
    kind: str
    source: str
    reference: str
    paid_amount: str
    paid_currency: str
    note: str
    created_at_s: int
    expires_at_s: int
    already_existed: bool
    stream_sequence: int
    def __init__(self, account_id: _Optional[str] = ..., amount_nanousd: _Optional[int] = ..., kind: _Optional[str] = ..., source: _Optional[str] = ..., reference: _Optional[str] = ..., paid_amount: _Optional[str] = ..., paid_currency: _Optional[str] = ..., note: _Optional[str] = ..., created_at_s: _Optional[int] = ..., expires_at_s: _Optional[int] = ..., already_existed: _Optional[bool] = ..., stream_sequence: _Optional[int] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("account_id", "balance_nanousd", "reserved_nanousd", "available_nanousd", "is_live", "grants")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    IS_LIVE_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    balance_nanousd: int
    reserved_nanousd: int
    available_nanousd: int
    is_live: bool
    grants: GrantsLeft
    def __init__(self, account_id: _Optional[str] = ..., balance_nanousd: _Optional[int] = ..., reserved_nanousd: _Optional[int] = ..., available_nanousd: _Optional[int] = ..., is_live: _Optional[bool] = ..., grants: _Optional[_Union[GrantsLeft, _Mapping]] = ...) -> None: ...

class GrantsLeft(_message.Message):
    __slots__ = ("grants_nanousd", "next_expiry_at_s", "next_expiry_nanousd")
    GRANTS_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    NEXT_EXPIRY_AT_S_FIELD_NUMBER: _ClassVar[int]
    NEXT_EXPIRY_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    grants_nanousd: int
    next_expiry_at_s: int
    next_expiry_nanousd: int
    def __init__(self, grants_nanousd: _Optional[int] = ..., next_expiry_at_s: _Optional[int] = ..., next_expiry_nanousd: _Optional[int] = ...) -> None: ...

class ReconcileRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("name", "is_ok", "examined", "drifts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IS_OK_FIELD_NUMBER: _ClassVar[int]
    EXAMINED_FIELD_NUMBER: _ClassVar[int]
    DRIFTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    is_ok: bool
    examined: int
    drifts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., is_ok: _Optional[bool] = ..., examined: _Optional[int] = ..., drifts: _Optional[_Iterable[str]] = ...) -> None: ...

class ReconcileReport(_message.Message):
    __slots__ = ("is_ok", "checks", "entries", "dead_letters")
    IS_OK_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    is_ok: bool
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    entries: int
    dead_letters: int
    def __init__(self, is_ok: _Optional[bool] = ..., checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ..., entries: _Optional[int] = ..., dead_letters: _Optional[int] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("id", "account_id", "request_id", "reason", "detail", "producer", "batch_number", "published_at_us", "is_replayed")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    BATCH_NUMBER_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_US_FIELD_NUMBER: _ClassVar[int]
    IS_REPLAYED_FIELD_NUMBER: _ClassVar[int]
    id: str
    account_id: str
    request_id: str
    reason: str
    detail: str
    producer: str
    batch_number: int
    published_at_us: int
    is_replayed: bool
    def __init__(self, id: _Optional[str] = ..., account_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., producer: _Optional[str] = ..., batch_number: _Optional[int] = ..., published_at_us: _Optional[int] = ..., is_replayed: _Optional[bool] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("account_id", "with_replayed")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    WITH_REPLAYED_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    with_replayed: bool
    def __init__(self, account_id: _Optional[str] = ..., with_replayed: _Optional[bool] = ...) -> None: ...

class DeadLetters(_message.Message):
    __slots__ = ("letters",)
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    def __init__(self, letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ...) -> None: ...

class ReplayDeadLetterRequest(_message.Message):
    __slots__ = ("id", "catalog_revision")
    ID_FIELD_NUMBER: _ClassVar[int]
    CATALOG_REVISION_FIELD_NUMBER: _ClassVar[int]
    id: str
    catalog_revision: int
    def __init__(self, id: _Optional[str] = ..., catalog_revision: _Optional[int] = ...) -> None: ...

class Replayed(_message.Message):
    __slots__ = ("entries", "already_existed", "stream_sequences")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ALREADY_EXISTED_FIELD_NUMBER: _ClassVar[int]
    STREAM_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    entries: int
    already_existed: bool
    stream_sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, entries: _Optional[int] = ..., already_existed: _Optional[bool] = ..., stream_sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class RebuildBalancesRequest(_message.Message):
    __slots__ = ("account_id", "accept_trimmed")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TRIMMED_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    accept_trimmed: bool
    def __init__(self, account_id: _Optional[str] = ..., accept_trimmed: _Optional[bool] = ...) -> None: ...

class RebuiltBalances(_message.Message):
    __slots__ = ("partitions", "accepted")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    partitions: int
    accepted: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partitions: _Optional[int] = ..., accepted: _Optional[_Iterable[int]] = ...) -> None: ...

class AdoptLedgerRequest(_message.Message):
    __slots__ = ("dry_run",)
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: _Optional[bool] = ...) -> None: ...

class AdoptedPartition(_message.Message):
    __slots__ = ("partition", "epoch", "sequence", "batches_restored", "batches_unposted")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BATCHES_RESTORED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_UNPOSTED_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    sequence: int
    batches_restored: int
    batches_unposted: int
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., batches_restored: _Optional[int] = ..., batches_unposted: _Optional[int] = ...) -> None: ...

class AdoptedLedger(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[AdoptedPartition]
    def __init__(self, partitions: _Optional[_Iterable[_Union[AdoptedPartition, _Mapping]]] = ...) -> None: ...

class KeyUsageRequest(_message.Message):
    __slots__ = ("account_id", "key_id", "since_s", "until_s", "by_day")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_S_FIELD_NUMBER: _ClassVar[int]
    UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    BY_DAY_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    key_id: str
    since_s: int
    until_s: int
    by_day: bool
    def __init__(self, account_id: _Optional[str] = ..., key_id: _Optional[str] = ..., since_s: _Optional[int] = ..., until_s: _Optional[int] = ..., by_day: _Optional[bool] = ...) -> None: ...

class KeyUsageRow(_message.Message):
    __slots__ = ("value", "requests", "uncharged_requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_nanousd")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    UNCHARGED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    value: str
    requests: int
    uncharged_requests: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nanousd: int
    def __init__(self, value: _Optional[str] = ..., requests: _Optional[int] = ..., uncharged_requests: _Optional[int] = ..., input_tokens: _Optional[int] = ..., cache_read_tokens: _Optional[int] = ..., cache_write_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., cost_nanousd: _Optional[int] = ...) -> None: ...

class KeyUsage(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[KeyUsageRow]
    def __init__(self, rows: _Optional[_Iterable[_Union[KeyUsageRow, _Mapping]]] = ...) -> None: ...
