"""Accounts and keys as KV holds them: JSON, one value each. Unknown fields are a later release's and are kept out.

A unique name is an index key `name.<sha256 of the casefolded name>` whose value is the whole account: whoever finds an
index without its account can write it. Times in Unix seconds, 0: none; amounts in nano-USD.
"""

from __future__ import annotations

import hashlib

import msgspec

from protos import auth_pb2

ACTIVE = "active"
SUSPENDED = "suspended"

_NAME_PREFIX = "name."


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of all keys of an account together; 0: no limit."""

    rpm: int = 0
    tpm: int = 0
    concurrency: int = 0
    spend_day_nanousd: int = 0
    spend_month_nanousd: int = 0


NO_LIMITS = Limits()


class AccountRecord(msgspec.Struct, frozen=True):
    id: str
    name: str
    status: str
    created_at_s: int
    limits: Limits = NO_LIMITS


class KeyRecord(msgspec.Struct, frozen=True):
    key_id: str
    account_id: str
    group: str
    name: str
    prefix: str  # first characters of the secret
    created_at_s: int
    expires_at_s: int = 0
    models: list[str] = []
    ips: list[str] = []
    spend_limit_nanousd: int = 0
    rpm: int = 0
    tpm: int = 0
    revoked_at_s: int = 0
    concurrency: int = 0
    spend_day_nanousd: int = 0
    spend_month_nanousd: int = 0


_accounts = msgspec.json.Decoder(AccountRecord)
_keys = msgspec.json.Decoder(KeyRecord)


def encode_record(record: AccountRecord | KeyRecord) -> bytes:
    return msgspec.json.encode(record)


def decode_account(value: bytes) -> AccountRecord:
    """Raises msgspec.DecodeError."""
    return _accounts.decode(value)


def decode_key(value: bytes) -> KeyRecord:
    """Raises msgspec.DecodeError."""
    return _keys.decode(value)


def name_key(name: str) -> str:
    """The index key of an account's name; names that differ in case only are one."""
    return _NAME_PREFIX + hashlib.sha256(name.casefold().encode()).hexdigest()


def is_name_key(key: str) -> bool:
    return key.startswith(_NAME_PREFIX)


def account_message(record: AccountRecord) -> auth_pb2.Account:
    return auth_pb2.Account(
        id=record.id,
        name=record.name,
        status=record.status,
        created_at_s=record.created_at_s,
        limits=limits_message(record.limits),
    )


def limits_message(limits: Limits) -> auth_pb2.Limits:
    return auth_pb2.Limits(
        rpm=limits.rpm,
        tpm=limits.tpm,
        concurrency=limits.concurrency,
        spend_day_nanousd=limits.spend_day_nanousd,
        spend_month_nanousd=limits.spend_month_nanousd,
    )


def key_view(record: KeyRecord, *, is_suspended: bool, account_limits: Limits) -> auth_pb2.KeyView:
    return auth_pb2.KeyView(
        key_id=record.key_id,
        account_id=record.account_id,
        group=record.group,
        name=record.name,
        revoked=record.revoked_at_s != 0,
        expires_at_s=record.expires_at_s,
        models=record.models,
        ips=record.ips,
        spend_limit_nanousd=record.spend_limit_nanousd,
        rpm=record.rpm,
        tpm=record.tpm,
        account_suspended=is_suspended,
        concurrency=record.concurrency,
        spend_day_nanousd=record.spend_day_nanousd,
        spend_month_nanousd=record.spend_month_nanousd,
        account_limits=limits_message(account_limits) if account_limits != NO_LIMITS else None,
    )


def key_message(record: KeyRecord, *, is_suspended: bool, account_limits: Limits) -> auth_pb2.Key:
    return auth_pb2.Key(
        view=key_view(record, is_suspended=is_suspended, account_limits=account_limits),
        prefix=record.prefix,
        created_at_s=record.created_at_s,
        revoked_at_s=record.revoked_at_s,
    )
