"""Console's one table of errors: kind -> HTTP status, may the caller repeat it.

Auth, router and billing name their errors' kinds (`lumen.platform.grpc.error_kind`); a kind of theirs that is not in
the table keeps its name and takes the row of its gRPC code. Console serves no gRPC itself.

ConsoleError
+-- InvalidRequest     `problems` name the fields
+-- Unauthorized
+-- Forbidden          the token's scope does not reach so far
+-- Unavailable        another service or a store is away
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from lumen.platform.grpc import ServiceError, error_kind


@dataclass(frozen=True, slots=True)
class ErrorKind:
    http_status: int
    is_retryable: bool = False


ERRORS = {
    "invalid_request": ErrorKind(400),
    "invalid_fields": ErrorKind(422),
    "invalid_catalog": ErrorKind(422),
    "amount_out_of_range": ErrorKind(400),
    "unauthorized": ErrorKind(401),
    "sign_in_refused": ErrorKind(401),
    "session_not_found": ErrorKind(401),
    "forbidden": ErrorKind(403),
    "not_found": ErrorKind(404),
    "method_not_allowed": ErrorKind(405),
    "conflict": ErrorKind(409),
    "reference_conflict": ErrorKind(409),
    "catalog_too_large": ErrorKind(413),
    "body_too_large": ErrorKind(413),
    "internal": ErrorKind(500),
    "too_many_exports": ErrorKind(503, is_retryable=True),
    "too_many_sign_ins": ErrorKind(429, is_retryable=True),
    "unavailable": ErrorKind(503, is_retryable=True),
}
RETRY_AFTER_S = 1

_KINDS_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: "invalid_request",
    grpc.StatusCode.OUT_OF_RANGE: "invalid_request",
    grpc.StatusCode.FAILED_PRECONDITION: "conflict",
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.ALREADY_EXISTS: "conflict",
    grpc.StatusCode.ABORTED: "conflict",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unavailable",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "unavailable",
}
KINDS_BY_HTTP_STATUS = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` is 1-based in a catalog's text, 0 elsewhere."""

    line: int
    field: str
    message: str


class ConsoleError(ServiceError):
    """`kind` is a row of ERRORS, or another service's kind with the `row` it is answered by."""

    def __init__(
        self, message: str, *, kind: str | None = None, row: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, kind=kind)
        self.row = ERRORS[row or self.kind]
        self.problems = tuple(problems)


class InvalidRequest(ConsoleError):
    """A field's value is refused; `field` as the request names it."""

    kind = "invalid_fields"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", problems=[Problem(0, field, message)])


class Unauthorized(ConsoleError):
    kind = "unauthorized"


class Forbidden(ConsoleError):
    kind = "forbidden"


class Unavailable(ConsoleError):
    kind = "unavailable"


def from_rpc_error(service: str, error: grpc.aio.AioRpcError) -> ConsoleError:
    """What the caller is told of a failed call to `service`: its own words where it spoke, else what became of it."""
    kind = error_kind(error)
    generic = _KINDS_BY_CODE.get(error.code(), "internal")
    if kind is not None:
        row = kind if kind in ERRORS else generic
        return ConsoleError(error.details() or kind, kind=kind, row=row)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"{service} did not answer in time; what was asked may still have happened")
    if generic == "unavailable":
        return Unavailable(f"{service} cannot be reached")
    return ConsoleError(f"{service} failed", row=generic)
