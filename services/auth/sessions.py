"""Sessions of the console: a random token in a cookie, its SHA-256 in KV; ended by time, by signing out, by a new
password, by disabling the user. Read from the leader each time, so an end is immediate on every replica."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from lumen.platform.nats import ensure_stream, kv_stream, kv_subject
from services.auth import user_records
from services.auth.errors import SessionNotFound, SignInRefused, TooManySignIns
from services.auth.kv_objects import KvObjects
from services.auth.metrics import AuthMetrics
from services.auth.passwords import Passwords
from services.auth.sign_in_throttle import SignInThrottle
from services.auth.user_records import SessionRecord, UserRecord
from services.auth.users import Users

logger = logging.getLogger(__name__)

BUCKET = "sessions"
_BYTES_MAX = 64 * 1024 * 1024  # some hundred thousand sessions; beyond, the oldest end
_TOKEN_BYTES = 32
_TOKEN_CHARS_MAX = 200


async def ensure_sessions(nc: Client, *, session_s: int, replicas: int) -> None:
    """The KV bucket; what is in it ends by itself."""
    await ensure_stream(
        nc,
        StreamConfig(
            name=kv_stream(BUCKET),
            subjects=[kv_subject(BUCKET, ">")],
            max_msgs_per_subject=1,
            max_age=session_s,
            max_bytes=_BYTES_MAX,
            allow_rollup_hdrs=True,
            allow_direct=False,
            discard=DiscardPolicy.OLD,
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            num_replicas=replicas,
        ),
    )


class Sessions:
    def __init__(
        self,
        store: KvObjects,
        users: Users,
        passwords: Passwords,
        throttle: SignInThrottle,
        metrics: AuthMetrics,
        *,
        session_s: int,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._store = store
        self._users = users
        self._passwords = passwords
        self._throttle = throttle
        self._metrics = metrics
        self._session_s = session_s
        self._now_s = now_s

    async def sign_in(self, email: str, password: str, address: str) -> tuple[UserRecord, str, int]:
        """(user, token, Unix second of its end). An unknown e-mail, a wrong password, a disabled user: one answer.

        Raises SignInRefused, TooManySignIns, Unavailable.
        """
        wait_s = self._throttle.wait_s(email, address)
        if wait_s:
            self._metrics.sign_ins.labels("throttled").inc()
            raise TooManySignIns(wait_s)
        self._throttle.tried(email, address)  # before the first wait: tries at once count like tries in a row
        user = await self._users.find(email) if "@" in email else None
        is_known = user is not None and user.status == user_records.ACTIVE
        password_hash = user.password_hash if user is not None and is_known else ""
        if not await self._passwords.verify(password_hash, password) or user is None:
            self._metrics.sign_ins.labels("refused").inc()
            raise SignInRefused
        self._throttle.forgive(email, address)
        self._metrics.sign_ins.labels("signed_in").inc()
        return user, *await self._open(user)

    async def get(self, token: str) -> tuple[UserRecord, int]:
        """(user, Unix second of the end). Raises SessionNotFound, Unavailable."""
        if not token or len(token) > _TOKEN_CHARS_MAX:
            raise SessionNotFound
        found = await self._store.get(user_records.sha256_hex(token))
        if found is None:
            raise SessionNotFound
        session = user_records.decode_session(found[0])
        user = await self._users.find(session.user_id)
        if (
            user is None
            or user.status != user_records.ACTIVE
            or user.credentials_version != session.credentials_version
            or self._now_s() >= session.expires_at_s
        ):
            raise SessionNotFound
        return user, session.expires_at_s

    async def sign_out(self, token: str) -> None:
        """Signing out twice changes nothing. Raises Unavailable."""
        if token and len(token) <= _TOKEN_CHARS_MAX:
            await self._store.delete(user_records.sha256_hex(token))

    async def change_password(self, token: str, current: str, new: str) -> tuple[UserRecord, str, int]:
        """All sessions of the user end; (user, a new session's token, its end).

        Raises SessionNotFound, SignInRefused (wrong current password), TooManySignIns, InvalidRequest, Unavailable.
        """
        user, _ = await self.get(token)
        wait_s = self._throttle.wait_s(user.email, "")
        if wait_s:
            self._metrics.sign_ins.labels("throttled").inc()
            raise TooManySignIns(wait_s)
        self._throttle.tried(user.email, "")
        if not await self._passwords.verify(user.password_hash, current):
            raise SignInRefused("the current password is wrong")
        self._throttle.forgive(user.email, "")
        user = await self._users.set_password(user.id, new)
        logger.info("password changed", extra={"user": user.id})
        return user, *await self._open(user)

    async def _open(self, user: UserRecord) -> tuple[str, int]:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        expires_at_s = self._now_s() + self._session_s
        record = SessionRecord(user.id, user.credentials_version, expires_at_s)
        await self._store.put(user_records.sha256_hex(token), user_records.encode_record(record), last_revision=0)
        return token, expires_at_s
