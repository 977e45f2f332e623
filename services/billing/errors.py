"""Billing's one table of errors: kind -> HTTP status, gRPC code, may the caller repeat it."""

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
    "amount_out_of_range": ErrorKind(400, grpc.StatusCode.OUT_OF_RANGE, False),
    "not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "conflict": ErrorKind(409, grpc.StatusCode.FAILED_PRECONDITION, False),
    "reference_conflict": ErrorKind(409, grpc.StatusCode.ALREADY_EXISTS, False),
    "unavailable": ErrorKind(503, grpc.StatusCode.UNAVAILABLE, True),
    "internal": ErrorKind(500, grpc.StatusCode.INTERNAL, True),
}

GRPC_CODES = {kind: error.grpc_code for kind, error in ERRORS.items()}


class BillingError(ServiceError):
    """`kind` is a row of ERRORS."""


class InvalidRequest(BillingError):
    kind = "invalid_request"


class AmountOutOfRange(BillingError):
    kind = "amount_out_of_range"


class ReferenceConflict(BillingError):
    """The reference was used before, for another amount or kind."""

    kind = "reference_conflict"


class NotFound(BillingError):
    kind = "not_found"


class Conflict(BillingError):
    """What is asked does not fit the state things are in; the message says what an operator has to look at."""

    kind = "conflict"


class Unavailable(BillingError):
    """A store is away; the same call may be repeated (credits: with the same reference)."""

    kind = "unavailable"
