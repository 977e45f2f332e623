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
    __slots__ = ("account_id", "balance_nanousd", "reserved_nanousd", "available_nanousd", "is_live")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    IS_LIVE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    balance_nanousd: int
    reserved_nanousd: int
    available_nanousd: int
    is_live: bool
    def __init__(self, account_id: _Optional[str] = ..., balance_nanousd: _Optional[int] = ..., reserved_nanousd: _Optional[int] = ..., available_nanousd: _Optional[int] = ..., is_live: _Optional[bool] = ...) -> None: ...

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
