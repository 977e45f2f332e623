"""Passwords: argon2id with its library's parameters (RFC 9106, low memory), in threads, few at once.

A check costs some 50 ms of CPU and 64 MiB on purpose. So that sign-ins cannot starve the leases of the same process,
two run at once and few wait; more are refused at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.auth.errors import InvalidRequest, Unavailable

_Result = TypeVar("_Result")

CHARS_MIN = 12
CHARS_MAX = 256
_AT_ONCE_MAX = 2
_WAITING_MAX = 16


def check_new_password(password: str) -> None:
    """Length only, as NIST SP 800-63B advises: rules of composition make worse passwords. Raises InvalidRequest."""
    if len(password) < CHARS_MIN:
        raise InvalidRequest(f"password: at least {CHARS_MIN} characters")
    if len(password) > CHARS_MAX:
        raise InvalidRequest(f"password: at most {CHARS_MAX} characters")


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE_MAX)
        self._pending = 0

    @cached_property
    def _decoy(self) -> str:
        """What an unknown e-mail's password is compared with, so that the answer takes as long."""
        return self._hasher.hash("nobody's password")

    @property
    def pending(self) -> int:
        return self._pending

    async def hash(self, password: str) -> str:
        """Raises Unavailable when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str, password: str) -> bool:
        """`password_hash` empty: false, in the same time. Raises Unavailable when too many wait."""
        if len(password) > CHARS_MAX:
            return False
        is_same = await self._run(lambda: self._verify(password_hash, password))
        return is_same and bool(password_hash)

    def _verify(self, password_hash: str, password: str) -> bool:
        decoy = self._decoy  # made at the first check, whoever it is for: 0.2 s that no start should take
        try:
            return self._hasher.verify(password_hash or decoy, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._pending >= _AT_ONCE_MAX + _WAITING_MAX:
            raise Unavailable("too many sign-ins at once; try again")
        self._pending += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._pending -= 1
