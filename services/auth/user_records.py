"""Users and sessions as KV holds them: JSON, one value each. Unknown fields are a later release's and are kept out.

Bucket `users`: `<user id>`, and `user_email.<sha256 of the casefolded e-mail>` as unique index, created first with the
whole user in it, so that a half-made create is completed by repeating it. Bucket `sessions`: `<sha256 of the token>`,
gone by itself after the longest session. Times in Unix seconds, 0: none.
"""

from __future__ import annotations

import hashlib

import msgspec

from protos import auth_pb2

MEMBER, FINANCE, OPERATOR = "member", "finance", "operator"
ROLES = (MEMBER, FINANCE, OPERATOR)
INVITED, ACTIVE, DISABLED = "invited", "active", "disabled"

_EMAIL_PREFIX = "user_email."
ID_PREFIX = "usr_"


class UserRecord(msgspec.Struct, frozen=True):
    """`credentials_version` grows with every change after which earlier sessions must end."""

    id: str
    email: str
    role: str
    account_id: str
    status: str
    created_at_s: int
    password_hash: str = ""  # argon2id, with its parameters and salt
    credentials_version: int = 0
    invitation_sha256: str = ""
    invitation_expires_at_s: int = 0


class SessionRecord(msgspec.Struct, frozen=True):
    user_id: str
    credentials_version: int
    expires_at_s: int


_users = msgspec.json.Decoder(UserRecord)
_sessions = msgspec.json.Decoder(SessionRecord)


def encode_record(record: UserRecord | SessionRecord) -> bytes:
    return msgspec.json.encode(record)


def decode_user(value: bytes) -> UserRecord:
    """Raises msgspec.DecodeError."""
    return _users.decode(value)


def decode_session(value: bytes) -> SessionRecord:
    """Raises msgspec.DecodeError."""
    return _sessions.decode(value)


def email_key(email: str) -> str:
    """The index key of an e-mail address; addresses that differ in case only are one person's."""
    return _EMAIL_PREFIX + sha256_hex(email.strip().casefold())


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def user_message(record: UserRecord) -> auth_pb2.User:
    return auth_pb2.User(
        id=record.id,
        email=record.email,
        role=record.role,
        account_id=record.account_id,
        status=record.status,
        created_at_s=record.created_at_s,
        invitation_expires_at_s=record.invitation_expires_at_s,
    )
