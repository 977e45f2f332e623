from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GrantOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANT_OUTCOME_UNSPECIFIED: _ClassVar[GrantOutcome]
    GRANTED: _ClassVar[GrantOutcome]
    INSUFFICIENT_CREDITS: _ClassVar[GrantOutcome]
    KEY_SPEND_LIMIT_REACHED: _ClassVar[GrantOutcome]
    NOT_LIVE: _ClassVar[GrantOutcome]

class LimitKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_KIND_UNSPECIFIED: _ClassVar[LimitKind]
    LIMIT_REQUESTS: _ClassVar[LimitKind]
    LIMIT_TOKENS: _ClassVar[LimitKind]
    LIMIT_CONCURRENCY: _ClassVar[LimitKind]
    LIMIT_SPEND_DAY: _ClassVar[LimitKind]
    LIMIT_SPEND_MONTH: _ClassVar[LimitKind]
GRANT_OUTCOME_UNSPECIFIED: GrantOutcome
GRANTED: GrantOutcome
INSUFFICIENT_CREDITS: GrantOutcome
KEY_SPEND_LIMIT_REACHED: GrantOutcome
NOT_LIVE: GrantOutcome
LIMIT_KIND_UNSPECIFIED: LimitKind
LIMIT_REQUESTS: LimitKind
LIMIT_TOKENS: LimitKind
LIMIT_CONCURRENCY: LimitKind
LIMIT_SPEND_DAY: LimitKind
LIMIT_SPEND_MONTH: LimitKind

class ViewStamp(_message.Message):
    __slots__ = ("keys_revision", "accounts_revision", "view_age_ms")
    KEYS_REVISION_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_REVISION_FIELD_NUMBER: _ClassVar[int]
    VIEW_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    keys_revision: int
    accounts_revision: int
    view_age_ms: int
    def __init__(self, keys_revision: _Optional[int] = ..., accounts_revision: _Optional[int] = ..., view_age_ms: _Optional[int] = ...) -> None: ...

class KeyView(_message.Message):
    __slots__ = ("key_id", "account_id", "group", "name", "revoked", "expires_at_s", "models", "ips", "spend_limit_nanousd", "rpm", "tpm", "account_suspended", "concurrency", "spend_day_nanousd", "spend_month_nanousd", "account_limits")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    IPS_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    RPM_FIELD_NUMBER: _ClassVar[int]
    TPM_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    SPEND_DAY_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    SPEND_MONTH_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_LIMITS_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    account_id: str
    group: str
    name: str
    revoked: bool
    expires_at_s: int
    models: _containers.RepeatedScalarFieldContainer[str]
    ips: _containers.RepeatedScalarFieldContainer[str]
    spend_limit_nanousd: int
    rpm: int
    tpm: int
    account_suspended: bool
    concurrency: int
    spend_day_nanousd: int
    spend_month_nanousd: int
    account_limits: Limits
    def __init__(self, key_id: _Optional[str] = ..., account_id: _Optional[str] = ..., group: _Optional[str] = ..., name: _Optional[str] = ..., revoked: _Optional[bool] = ..., expires_at_s: _Optional[int] = ..., models: _Optional[_Iterable[str]] = ..., ips: _Optional[_Iterable[str]] = ..., spend_limit_nanousd: _Optional[int] = ..., rpm: _Optional[int] = ..., tpm: _Optional[int] = ..., account_suspended: _Optional[bool] = ..., concurrency: _Optional[int] = ..., spend_day_nanousd: _Optional[int] = ..., spend_month_nanousd: _Optional[int] = ..., account_limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("rpm", "tpm", "concurrency", "spend_day_nanousd", "spend_month_nanousd")
    RPM_FIELD_NUMBER: _ClassVar[int]
    TPM_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    SPEND_DAY_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    SPEND_MONTH_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    rpm: int
    tpm: int
    concurrency: int
    spend_day_nanousd: int
    spend_month_nanousd: int
    def __init__(self, rpm: _Optional[int] = ..., tpm: _Optional[int] = ..., concurrency: _Optional[int] = ..., spend_day_nanousd: _Optional[int] = ..., spend_month_nanousd: _Optional[int] = ...) -> None: ...

class AuthenticateRequest(_message.Message):
    __slots__ = ("key_sha256",)
    KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    key_sha256: bytes
    def __init__(self, key_sha256: _Optional[bytes] = ...) -> None: ...

class AuthenticateResponse(_message.Message):
    __slots__ = ("stamp", "key")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    stamp: ViewStamp
    key: KeyView
    def __init__(self, stamp: _Optional[_Union[ViewStamp, _Mapping]] = ..., key: _Optional[_Union[KeyView, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("lease_id",)
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    def __init__(self, lease_id: _Optional[str] = ...) -> None: ...

class WatchEvent(_message.Message):
    __slots__ = ("stamp", "heartbeat", "key_changed", "account_changed", "credit_arrived", "recall")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    KEY_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_CHANGED_FIELD_NUMBER: _ClassVar[int]
    CREDIT_ARRIVED_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    stamp: ViewStamp
    heartbeat: Heartbeat
    key_changed: KeyChanged
    account_changed: AccountChanged
    credit_arrived: CreditArrived
    recall: Recall
    def __init__(self, stamp: _Optional[_Union[ViewStamp, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., key_changed: _Optional[_Union[KeyChanged, _Mapping]] = ..., account_changed: _Optional[_Union[AccountChanged, _Mapping]] = ..., credit_arrived: _Optional[_Union[CreditArrived, _Mapping]] = ..., recall: _Optional[_Union[Recall, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeyChanged(_message.Message):
    __slots__ = ("key_sha256", "key")
    KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    key_sha256: bytes
    key: KeyView
    def __init__(self, key_sha256: _Optional[bytes] = ..., key: _Optional[_Union[KeyView, _Mapping]] = ...) -> None: ...

class AccountChanged(_message.Message):
    __slots__ = ("account_id", "suspended")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    suspended: bool
    def __init__(self, account_id: _Optional[str] = ..., suspended: _Optional[bool] = ...) -> None: ...

class CreditArrived(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class Recall(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class LeaseTotals(_message.Message):
    __slots__ = ("account_id", "key_id", "granted_nanousd", "released_nanousd", "in_use_nanousd")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    GRANTED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    RELEASED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    IN_USE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    key_id: str
    granted_nanousd: int
    released_nanousd: int
    in_use_nanousd: int
    def __init__(self, account_id: _Optional[str] = ..., key_id: _Optional[str] = ..., granted_nanousd: _Optional[int] = ..., released_nanousd: _Optional[int] = ..., in_use_nanousd: _Optional[int] = ...) -> None: ...

class GrantRequest(_message.Message):
    __slots__ = ("lease_id", "account", "key", "key_spend_limit_nanousd", "hold_nanousd", "want_nanousd", "hold_min_nanousd")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_SPEND_LIMIT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    HOLD_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    WANT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    HOLD_MIN_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    account: LeaseTotals
    key: LeaseTotals
    key_spend_limit_nanousd: int
    hold_nanousd: int
    want_nanousd: int
    hold_min_nanousd: int
    def __init__(self, lease_id: _Optional[str] = ..., account: _Optional[_Union[LeaseTotals, _Mapping]] = ..., key: _Optional[_Union[LeaseTotals, _Mapping]] = ..., key_spend_limit_nanousd: _Optional[int] = ..., hold_nanousd: _Optional[int] = ..., want_nanousd: _Optional[int] = ..., hold_min_nanousd: _Optional[int] = ...) -> None: ...

class GrantResponse(_message.Message):
    __slots__ = ("outcome", "account_granted_nanousd", "key_granted_nanousd", "available_nanousd", "account_released_nanousd", "key_released_nanousd", "limited_by")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_GRANTED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    KEY_GRANTED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_RELEASED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    KEY_RELEASED_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    LIMITED_BY_FIELD_NUMBER: _ClassVar[int]
    outcome: GrantOutcome
    account_granted_nanousd: int
    key_granted_nanousd: int
    available_nanousd: int
    account_released_nanousd: int
    key_released_nanousd: int
    limited_by: GrantOutcome
    def __init__(self, outcome: _Optional[_Union[GrantOutcome, str]] = ..., account_granted_nanousd: _Optional[int] = ..., key_granted_nanousd: _Optional[int] = ..., available_nanousd: _Optional[int] = ..., account_released_nanousd: _Optional[int] = ..., key_released_nanousd: _Optional[int] = ..., limited_by: _Optional[_Union[GrantOutcome, str]] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("lease_id", "totals")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    totals: _containers.RepeatedCompositeFieldContainer[LeaseTotals]
    def __init__(self, lease_id: _Optional[str] = ..., totals: _Optional[_Iterable[_Union[LeaseTotals, _Mapping]]] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("totals",)
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.RepeatedCompositeFieldContainer[LeaseTotals]
    def __init__(self, totals: _Optional[_Iterable[_Union[LeaseTotals, _Mapping]]] = ...) -> None: ...

class RetireRequest(_message.Message):
    __slots__ = ("worker_id", "current_boot")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_BOOT_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    current_boot: int
    def __init__(self, worker_id: _Optional[str] = ..., current_boot: _Optional[int] = ...) -> None: ...

class RetireResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LimitShare(_message.Message):
    __slots__ = ("scope", "kind", "window", "limit", "used", "used_known", "held", "need", "waiting", "ahead", "is_new")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    USED_KNOWN_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    scope: str
    kind: LimitKind
    window: str
    limit: int
    used: int
    used_known: int
    held: int
    need: int
    waiting: int
    ahead: int
    is_new: bool
    def __init__(self, scope: _Optional[str] = ..., kind: _Optional[_Union[LimitKind, str]] = ..., window: _Optional[str] = ..., limit: _Optional[int] = ..., used: _Optional[int] = ..., used_known: _Optional[int] = ..., held: _Optional[int] = ..., need: _Optional[int] = ..., waiting: _Optional[int] = ..., ahead: _Optional[int] = ..., is_new: _Optional[bool] = ...) -> None: ...

class ShareLimitsRequest(_message.Message):
    __slots__ = ("lease_id", "sequence", "shares")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    sequence: int
    shares: _containers.RepeatedCompositeFieldContainer[LimitShare]
    def __init__(self, lease_id: _Optional[str] = ..., sequence: _Optional[int] = ..., shares: _Optional[_Iterable[_Union[LimitShare, _Mapping]]] = ...) -> None: ...

class LimitGrant(_message.Message):
    __slots__ = ("granted", "available", "wait_ms", "is_scarce")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    IS_SCARCE_FIELD_NUMBER: _ClassVar[int]
    granted: int
    available: int
    wait_ms: int
    is_scarce: bool
    def __init__(self, granted: _Optional[int] = ..., available: _Optional[int] = ..., wait_ms: _Optional[int] = ..., is_scarce: _Optional[bool] = ...) -> None: ...

class ShareLimitsResponse(_message.Message):
    __slots__ = ("grants", "live_workers")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    LIVE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[LimitGrant]
    live_workers: int
    def __init__(self, grants: _Optional[_Iterable[_Union[LimitGrant, _Mapping]]] = ..., live_workers: _Optional[int] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("id", "name", "status", "created_at_s", "limits")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    status: str
    created_at_s: int
    limits: Limits
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[str] = ..., created_at_s: _Optional[int] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class CreateAccountRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("id_or_name",)
    ID_OR_NAME_FIELD_NUMBER: _ClassVar[int]
    id_or_name: str
    def __init__(self, id_or_name: _Optional[str] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ...) -> None: ...

class SetAccountStatusRequest(_message.Message):
    __slots__ = ("id", "status")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: str
    def __init__(self, id: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class SetAccountLimitsRequest(_message.Message):
    __slots__ = ("id", "limits")
    ID_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    id: str
    limits: Limits
    def __init__(self, id: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("view", "prefix", "created_at_s", "revoked_at_s")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_S_FIELD_NUMBER: _ClassVar[int]
    view: KeyView
    prefix: str
    created_at_s: int
    revoked_at_s: int
    def __init__(self, view: _Optional[_Union[KeyView, _Mapping]] = ..., prefix: _Optional[str] = ..., created_at_s: _Optional[int] = ..., revoked_at_s: _Optional[int] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("account_id", "group", "name", "expires_at_s", "models", "ips", "spend_limit_nanousd", "rpm", "tpm", "concurrency", "spend_day_nanousd", "spend_month_nanousd")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    IPS_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    RPM_FIELD_NUMBER: _ClassVar[int]
    TPM_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    SPEND_DAY_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    SPEND_MONTH_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    group: str
    name: str
    expires_at_s: int
    models: _containers.RepeatedScalarFieldContainer[str]
    ips: _containers.RepeatedScalarFieldContainer[str]
    spend_limit_nanousd: int
    rpm: int
    tpm: int
    concurrency: int
    spend_day_nanousd: int
    spend_month_nanousd: int
    def __init__(self, account_id: _Optional[str] = ..., group: _Optional[str] = ..., name: _Optional[str] = ..., expires_at_s: _Optional[int] = ..., models: _Optional[_Iterable[str]] = ..., ips: _Optional[_Iterable[str]] = ..., spend_limit_nanousd: _Optional[int] = ..., rpm: _Optional[int] = ..., tpm: _Optional[int] = ..., concurrency: _Optional[int] = ..., spend_day_nanousd: _Optional[int] = ..., spend_month_nanousd: _Optional[int] = ...) -> None: ...

class CreateKeyResponse(_message.Message):
    __slots__ = ("key", "secret")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    key: Key
    secret: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    def __init__(self, key_id: _Optional[str] = ...) -> None: ...

class AdminToken(_message.Message):
    __slots__ = ("id", "name", "scope", "prefix", "created_at_s", "expires_at_s", "revoked_at_s", "created_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_S_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    scope: str
    prefix: str
    created_at_s: int
    expires_at_s: int
    revoked_at_s: int
    created_by: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., scope: _Optional[str] = ..., prefix: _Optional[str] = ..., created_at_s: _Optional[int] = ..., expires_at_s: _Optional[int] = ..., revoked_at_s: _Optional[int] = ..., created_by: _Optional[str] = ...) -> None: ...

class CreateAdminTokenRequest(_message.Message):
    __slots__ = ("name", "scope", "expires_at_s", "created_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    scope: str
    expires_at_s: int
    created_by: str
    def __init__(self, name: _Optional[str] = ..., scope: _Optional[str] = ..., expires_at_s: _Optional[int] = ..., created_by: _Optional[str] = ...) -> None: ...

class CreateAdminTokenResponse(_message.Message):
    __slots__ = ("token", "secret")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    token: AdminToken
    secret: str
    def __init__(self, token: _Optional[_Union[AdminToken, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class ListAdminTokensRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAdminTokensResponse(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[AdminToken]
    def __init__(self, tokens: _Optional[_Iterable[_Union[AdminToken, _Mapping]]] = ...) -> None: ...

class RevokeAdminTokenRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class AuthenticateAdminTokenRequest(_message.Message):
    __slots__ = ("token_sha256",)
    TOKEN_SHA256_FIELD_NUMBER: _ClassVar[int]
    token_sha256: bytes
    def __init__(self, token_sha256: _Optional[bytes] = ...) -> None: ...

class AuthenticateAdminTokenResponse(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: AdminToken
    def __init__(self, token: _Optional[_Union[AdminToken, _Mapping]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("id", "email", "role", "account_id", "status", "created_at_s", "invitation_expires_at_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    INVITATION_EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    id: str
    email: str
    role: str
    account_id: str
    status: str
    created_at_s: int
    invitation_expires_at_s: int
    def __init__(self, id: _Optional[str] = ..., email: _Optional[str] = ..., role: _Optional[str] = ..., account_id: _Optional[str] = ..., status: _Optional[str] = ..., created_at_s: _Optional[int] = ..., invitation_expires_at_s: _Optional[int] = ...) -> None: ...

class CreateUserRequest(_message.Message):
    __slots__ = ("email", "role", "account_id", "password")
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    email: str
    role: str
    account_id: str
    password: str
    def __init__(self, email: _Optional[str] = ..., role: _Optional[str] = ..., account_id: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class InviteUserRequest(_message.Message):
    __slots__ = ("id_or_email",)
    ID_OR_EMAIL_FIELD_NUMBER: _ClassVar[int]
    id_or_email: str
    def __init__(self, id_or_email: _Optional[str] = ...) -> None: ...

class UserWithInvitation(_message.Message):
    __slots__ = ("user", "invitation_token")
    USER_FIELD_NUMBER: _ClassVar[int]
    INVITATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user: User
    invitation_token: str
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ..., invitation_token: _Optional[str] = ...) -> None: ...

class GetUserRequest(_message.Message):
    __slots__ = ("id_or_email",)
    ID_OR_EMAIL_FIELD_NUMBER: _ClassVar[int]
    id_or_email: str
    def __init__(self, id_or_email: _Optional[str] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListUsersResponse(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ...) -> None: ...

class SetUserStatusRequest(_message.Message):
    __slots__ = ("id_or_email", "status")
    ID_OR_EMAIL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    id_or_email: str
    status: str
    def __init__(self, id_or_email: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class ShowInvitationRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class AcceptInvitationRequest(_message.Message):
    __slots__ = ("token", "password")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    token: str
    password: str
    def __init__(self, token: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class SignInRequest(_message.Message):
    __slots__ = ("email", "password", "address")
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    email: str
    password: str
    address: str
    def __init__(self, email: _Optional[str] = ..., password: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("user", "token", "expires_at_s")
    USER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    user: User
    token: str
    expires_at_s: int
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ..., token: _Optional[str] = ..., expires_at_s: _Optional[int] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class SignOutRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class SignOutResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChangePasswordRequest(_message.Message):
    __slots__ = ("token", "current_password", "new_password")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PASSWORD_FIELD_NUMBER: _ClassVar[int]
    NEW_PASSWORD_FIELD_NUMBER: _ClassVar[int]
    token: str
    current_password: str
    new_password: str
    def __init__(self, token: _Optional[str] = ..., current_password: _Optional[str] = ..., new_password: _Optional[str] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("sequence", "at_us", "actor", "action", "target", "account_id", "before_json", "after_json", "outcome", "request_id")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_JSON_FIELD_NUMBER: _ClassVar[int]
    AFTER_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    at_us: int
    actor: str
    action: str
    target: str
    account_id: str
    before_json: str
    after_json: str
    outcome: str
    request_id: str
    def __init__(self, sequence: _Optional[int] = ..., at_us: _Optional[int] = ..., actor: _Optional[str] = ..., action: _Optional[str] = ..., target: _Optional[str] = ..., account_id: _Optional[str] = ..., before_json: _Optional[str] = ..., after_json: _Optional[str] = ..., outcome: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ListAuditRequest(_message.Message):
    __slots__ = ("before_sequence", "limit")
    BEFORE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    before_sequence: int
    limit: int
    def __init__(self, before_sequence: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class AuditEntries(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ...) -> None: ...

class AlertSetting(_message.Message):
    __slots__ = ("account_id", "url", "threshold_nanousd", "secret", "state", "changed_at_s", "detail", "revision", "claimed_until_s")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_S_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    url: str
    threshold_nanousd: int
    secret: str
    state: str
    changed_at_s: int
    detail: str
    revision: int
    claimed_until_s: int
    def __init__(self, account_id: _Optional[str] = ..., url: _Optional[str] = ..., threshold_nanousd: _Optional[int] = ..., secret: _Optional[str] = ..., state: _Optional[str] = ..., changed_at_s: _Optional[int] = ..., detail: _Optional[str] = ..., revision: _Optional[int] = ..., claimed_until_s: _Optional[int] = ...) -> None: ...

class SetAlertRequest(_message.Message):
    __slots__ = ("account_id", "url", "threshold_nanousd")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_NANOUSD_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    url: str
    threshold_nanousd: int
    def __init__(self, account_id: _Optional[str] = ..., url: _Optional[str] = ..., threshold_nanousd: _Optional[int] = ...) -> None: ...

class GetAlertRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AlertSettings(_message.Message):
    __slots__ = ("alerts",)
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[AlertSetting]
    def __init__(self, alerts: _Optional[_Iterable[_Union[AlertSetting, _Mapping]]] = ...) -> None: ...

class MoveAlertRequest(_message.Message):
    __slots__ = ("account_id", "revision", "state", "detail", "claimed_until_s")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    revision: int
    state: str
    detail: str
    claimed_until_s: int
    def __init__(self, account_id: _Optional[str] = ..., revision: _Optional[int] = ..., state: _Optional[str] = ..., detail: _Optional[str] = ..., claimed_until_s: _Optional[int] = ...) -> None: ...
