"""Router's one table of errors: kind -> HTTP status, gRPC code, may the caller repeat it.

RouterError
+-- InvalidRequest
+-- NoCatalog           nothing has been applied yet
+-- RevisionNotFound
+-- CatalogTooLarge     does not fit into one stored message
+-- Conflict            too many others were writing at the same moment
+-- StoreUnavailable    NATS is away; whether an apply took effect shows when it is repeated (then: unchanged)
+-- TooManyWatchers

A catalog that does not validate is an answer (`ApplyResponse.problems`), not an error.
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
    "no_catalog": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "revision_not_found": ErrorKind(404, grpc.StatusCode.NOT_FOUND, False),
    "catalog_too_large": ErrorKind(413, grpc.StatusCode.OUT_OF_RANGE, False),
    "conflict": ErrorKind(409, grpc.StatusCode.ABORTED, True),
    "unavailable": ErrorKind(503, grpc.StatusCode.UNAVAILABLE, True),
    "too_many_watchers": ErrorKind(503, grpc.StatusCode.RESOURCE_EXHAUSTED, True),
    "internal": ErrorKind(500, grpc.StatusCode.INTERNAL, True),
}

GRPC_CODES = {kind: error.grpc_code for kind, error in ERRORS.items()}


class RouterError(ServiceError):
    """`kind` is a row of ERRORS."""


class InvalidRequest(RouterError):
    kind = "invalid_request"


class NoCatalog(RouterError):
    kind = "no_catalog"

    def __init__(self) -> None:
        super().__init__("no catalog has been applied yet; apply one with `lumen apply -f catalog.yaml`")


class RevisionNotFound(RouterError):
    kind = "revision_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no catalog revision {number}")


class CatalogTooLarge(RouterError):
    kind = "catalog_too_large"


class Conflict(RouterError):
    kind = "conflict"


class StoreUnavailable(RouterError):
    kind = "unavailable"


class TooManyWatchers(RouterError):
    kind = "too_many_watchers"
