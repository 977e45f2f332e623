"""The console's users: created under a unique e-mail, invited by a one-time link, disabled, given new passwords."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

import msgspec

from lumen.platform.kv_view import RevisionConflict
from services.auth import user_records
from services.auth.accounts import Accounts
from services.auth.errors import Conflict, InvalidRequest, InvitationNotFound, UserExists, UserNotFound
from services.auth.kv_objects import KvObjects
from services.auth.passwords import Passwords, check_new_password
from services.auth.user_records import DISABLED, INVITED, MEMBER, ROLES, UserRecord

logger = logging.getLogger(__name__)

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")
_TOKEN_BYTES = 32


class Users:
    def __init__(
        self,
        store: KvObjects,
        accounts: Accounts,
        passwords: Passwords,
        *,
        invitation_s: int,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._passwords = passwords
        self._invitation_s = invitation_s
        self._now_s = now_s

    async def create(self, email: str, role: str, account_id: str, password: str) -> tuple[UserRecord, str]:
        """(user, invitation token); with a password there is no invitation and the token is empty.

        Raises InvalidRequest, AccountNotFound, UserExists, Unavailable (then repeat).
        """
        email = email.strip()
        if not _EMAIL.fullmatch(email):
            raise InvalidRequest("email: write an address such as ada@example.com")
        if role not in ROLES:
            raise InvalidRequest(f"role: one of {', '.join(ROLES)}")
        if role == MEMBER:
            if not account_id:
                raise InvalidRequest("account_id: a member belongs to an account")
            account_id = (await self._accounts.get(account_id)).id
        elif account_id:
            raise InvalidRequest("account_id: only members belong to an account")
        if password:
            check_new_password(password)
        wanted = UserRecord(
            id=user_records.ID_PREFIX + secrets.token_hex(10),
            email=email,
            role=role,
            account_id=account_id,
            status=user_records.ACTIVE if password else INVITED,
            created_at_s=self._now_s(),
            password_hash=await self._passwords.hash(password) if password else "",
        )
        token = ""
        if not password:
            wanted, token = self._invited(wanted)
        await self._reserve_email(wanted)
        await self._store.put(wanted.id, user_records.encode_record(wanted), last_revision=0)
        logger.info("user created", extra={"user": wanted.id, "role": role})
        return wanted, token

    async def get(self, id_or_email: str) -> UserRecord:
        """Raises UserNotFound, Unavailable."""
        found = await self.find(id_or_email)
        if found is None:
            raise UserNotFound(id_or_email)
        return found

    async def find(self, id_or_email: str) -> UserRecord | None:
        """Raises Unavailable."""
        user_id = id_or_email
        if not id_or_email.startswith(user_records.ID_PREFIX):
            index = await self._store.get(user_records.email_key(id_or_email))
            if index is None:
                return None
            user_id = user_records.decode_user(index[0]).id
        if not re.fullmatch(r"usr_[0-9a-f]{1,64}", user_id):
            return None
        found = await self._store.get(user_id)
        return None if found is None else user_records.decode_user(found[0])

    async def list(self) -> list[UserRecord]:
        """Oldest first. Raises Unavailable."""
        found = [
            user_records.decode_user(value)
            for key, (value, _) in (await self._store.snapshot()).items()
            if key.startswith(user_records.ID_PREFIX)
        ]
        return sorted(found, key=lambda user: (user.created_at_s, user.id))

    async def invite(self, id_or_email: str) -> tuple[UserRecord, str]:
        """A new link, and the end of an older one. Raises UserNotFound, Conflict (disabled), Unavailable."""
        user = await self.get(id_or_email)
        token = ""

        def invited(record: UserRecord) -> UserRecord:
            nonlocal token
            if record.status == DISABLED:
                raise Conflict("this user is disabled")
            record, token = self._invited(record)
            return record

        return await self._change(user.id, invited), token

    async def set_status(self, id_or_email: str, status: str) -> UserRecord:
        """Disabling ends all sessions. Raises InvalidRequest, UserNotFound, Conflict, Unavailable."""
        if status not in (user_records.ACTIVE, DISABLED):
            raise InvalidRequest(f"status: {user_records.ACTIVE} or {DISABLED}")
        user = await self.get(id_or_email)

        def changed(record: UserRecord) -> UserRecord:
            if status == DISABLED:
                if record.status == DISABLED:
                    return record
                return msgspec.structs.replace(
                    record,
                    status=DISABLED,
                    credentials_version=record.credentials_version + 1,
                    invitation_sha256="",
                    invitation_expires_at_s=0,
                )
            return msgspec.structs.replace(record, status=user_records.ACTIVE if record.password_hash else INVITED)

        return await self._change(user.id, changed)

    async def show_invitation(self, token: str) -> UserRecord:
        """Whom the link is for. Raises InvitationNotFound (also when it has expired or was used), Unavailable."""
        user_id, _, _ = token.partition(".")
        user = await self.find(user_id) if user_id.startswith(user_records.ID_PREFIX) else None
        if user is None or not self._is_open(user, token):
            raise InvitationNotFound
        return user

    async def accept_invitation(self, token: str, password: str) -> UserRecord:
        """Once. Raises InvalidRequest, InvitationNotFound, Unavailable."""
        user = await self.show_invitation(token)
        check_new_password(password)
        password_hash = await self._passwords.hash(password)

        def accepted(record: UserRecord) -> UserRecord:
            if not self._is_open(record, token):
                raise InvitationNotFound
            return _with_password(record, password_hash)

        logger.info("invitation accepted", extra={"user": user.id})
        return await self._change(user.id, accepted)

    async def set_password(self, user_id: str, password: str) -> UserRecord:
        """Ends all sessions. Raises InvalidRequest, UserNotFound, Unavailable."""
        check_new_password(password)
        password_hash = await self._passwords.hash(password)
        return await self._change(user_id, lambda record: _with_password(record, password_hash))

    async def _change(self, user_id: str, changed: Callable[[UserRecord], UserRecord]) -> UserRecord:
        record, _ = await self._store.change(
            user_id, user_records.decode_user, user_records.encode_record, changed, lambda: UserNotFound(user_id)
        )
        return record

    async def _reserve_email(self, wanted: UserRecord) -> None:
        """Raises UserExists. An index whose user never appeared (a create that was cut off) is taken over."""
        key, value = user_records.email_key(wanted.email), user_records.encode_record(wanted)
        try:
            await self._store.put(key, value, last_revision=0)
        except RevisionConflict:
            index = await self._store.get(key)
            if index is None or await self._store.get(user_records.decode_user(index[0]).id) is not None:
                raise UserExists(wanted.email) from None
            try:
                await self._store.put(key, value, last_revision=index[1])
            except RevisionConflict:
                raise UserExists(wanted.email) from None

    def _invited(self, record: UserRecord) -> tuple[UserRecord, str]:
        token = f"{record.id}.{secrets.token_urlsafe(_TOKEN_BYTES)}"
        record = msgspec.structs.replace(
            record,
            invitation_sha256=user_records.sha256_hex(token),
            invitation_expires_at_s=self._now_s() + self._invitation_s,
        )
        return record, token

    def _is_open(self, record: UserRecord, token: str) -> bool:
        is_same = bool(record.invitation_sha256) and secrets.compare_digest(
            record.invitation_sha256, user_records.sha256_hex(token)
        )
        return is_same and self._now_s() < record.invitation_expires_at_s


def _with_password(record: UserRecord, password_hash: str) -> UserRecord:
    return msgspec.structs.replace(
        record,
        status=DISABLED if record.status == DISABLED else user_records.ACTIVE,
        password_hash=password_hash,
        credentials_version=record.credentials_version + 1,
        invitation_sha256="",
        invitation_expires_at_s=0,
    )
