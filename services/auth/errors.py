"""Auth's one table of errors: kind -> HTTP status, gRPC code, may the caller repeat it.

AuthError
+-- InvalidRequest
+-- AccountNotFound
+-- KeyNotFound
+-- TokenNotFound        of the admin API
+-- AccountExists        the name is taken; the message names its account
+-- Conflict             too many others were writing at the same moment
+-- Unavailable          NATS or Redis is away, or the views have not been read yet; a write may have taken effect
+-- UserNotFound, UserExists
+-- InvitationNotFound   unknown, used or expired: one answer
+-- AlertNotFound
+-- SignInRefused        unknown e-mail, wrong password, disabled: one answer
+-- SessionNotFound      unknown, expired, ended by a new password
+-- TooManySignIns
+-- TooManyWatchers
+-- TooManyRetirements

A refused grant is an answer (`GrantOutcome`), not an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from lumen.platform.grpc import ServiceError


@dataclass(frozen=True, slots=True)
class ErrorKind:
    http_status: int
    grpc_code: grpc.StatusCode
    is_retryable: bool


ERRORS = {
    "invalid_request": ErrorKind(400, grpc.StatusCode.INVALID_ARGUMENT, False),
    "account_not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "key_not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "token_not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "user_not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "invitation_not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "alert_not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "sign_in_refused": ErrorKind(401, grpc.StatusCode.UNAUTHENTICATED, False),
    "session_not_found": ErrorKind(401, grpc.StatusCode.UNAUTHENTICATED, False),
    "too_many_sign_ins": ErrorKind(429, grpc.StatusCode.RESOURCE_EXHAUSTED, True),
    "user_exists": ErrorKind(409, grpc.StatusCode.ALREADY_EXISTS, False),
    "account_exists": ErrorKind(409, grpc.StatusCode.ALREADY_EXISTS, False),
    "conflict": ErrorKind(409, grpc.StatusCode.ABORTED, True),
    "unavailable": ErrorKind(503, grpc.StatusCode.UNAVAILABLE, True),
    "too_many_watchers": ErrorKind(503, grpc.StatusCode.RESOURCE_EXHAUSTED, True),
    "too_many_retirements": ErrorKind(503, grpc.StatusCode.RESOURCE_EXHAUSTED, True),
    "internal": ErrorKind(500, grpc.StatusCode.INTERNAL, True),
}

GRPC_CODES = {kind: error.grpc_code for kind, error in ERRORS.items()}


class AuthError(ServiceError):
    """`kind` is a row of ERRORS."""


class InvalidRequest(AuthError):
    kind = "invalid_request"


class AccountNotFound(AuthError):
    kind = "account_not_found"

    def __init__(self, id_or_name: str) -> None:
        super().__init__(f"there is no account {id_or_name[:200]!r}")


class KeyNotFound(AuthError):
    kind = "key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id[:200]!r}")


class TokenNotFound(AuthError):
    kind = "token_not_found"

    def __init__(self, token_id: str) -> None:
        super().__init__(f"there is no token {token_id[:200]!r}")


class AccountExists(AuthError):
    kind = "account_exists"

    def __init__(self, name: str, account_id: str) -> None:
        super().__init__(f"the name {name!r} is taken by account {account_id}")


class Conflict(AuthError):
    kind = "conflict"


class Unavailable(AuthError):
    kind = "unavailable"


class TooManyWatchers(AuthError):
    kind = "too_many_watchers"


class TooManyRetirements(AuthError):
    kind = "too_many_retirements"


class UserNotFound(AuthError):
    kind = "user_not_found"

    def __init__(self, id_or_email: str) -> None:
        super().__init__(f"there is no user {id_or_email[:200]!r}")


class UserExists(AuthError):
    kind = "user_exists"

    def __init__(self, email: str) -> None:
        super().__init__(f"there is a user {email!r} already")


class InvitationNotFound(AuthError):
    kind = "invitation_not_found"

    def __init__(self) -> None:
        super().__init__("this invitation was used, has expired or never was")


class AlertNotFound(AuthError):
    kind = "alert_not_found"

    def __init__(self) -> None:
        super().__init__("this account has no alert")


class SignInRefused(AuthError):
    kind = "sign_in_refused"

    def __init__(self, message: str = "e-mail and password do not match a user") -> None:
        super().__init__(message)


class SessionNotFound(AuthError):
    kind = "session_not_found"

    def __init__(self) -> None:
        super().__init__("the session has ended")


class TooManySignIns(AuthError):
    kind = "too_many_sign_ins"

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many tries; the next is allowed in {max(1, round(wait_s))} s")
