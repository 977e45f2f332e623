"""Other services' failures as HTTP answers."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from services.console.errors import from_rpc_error
from services.console.http_shell import error_response


def rpc_error(code: grpc.StatusCode, kind: str | None = None, details: str = "said so") -> AioRpcError:
    trailing = Metadata(("lumen-error-kind", kind)) if kind else Metadata()
    return AioRpcError(code, Metadata(), trailing, details=details, debug_error_string="")


@pytest.mark.parametrize(
    ("code", "kind", "status", "answered_kind"),
    [
        (grpc.StatusCode.ALREADY_EXISTS, "account_exists", 409, "account_exists"),
        (grpc.StatusCode.NOT_FOUND, "key_not_found", 404, "key_not_found"),
        (grpc.StatusCode.OUT_OF_RANGE, "catalog_too_large", 413, "catalog_too_large"),
        (grpc.StatusCode.OUT_OF_RANGE, "amount_out_of_range", 400, "amount_out_of_range"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many_watchers", 503, "too_many_watchers"),
        (grpc.StatusCode.UNAVAILABLE, None, 503, "unavailable"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, None, 503, "unavailable"),
        (grpc.StatusCode.INTERNAL, None, 500, "internal"),
        (grpc.StatusCode.UNKNOWN, None, 500, "internal"),
    ],
)
def test_kind_and_code_pick_the_status(
    code: grpc.StatusCode, kind: str | None, status: int, answered_kind: str
) -> None:
    error = from_rpc_error("auth", rpc_error(code, kind))
    assert (error.row.http_status, error.kind) == (status, answered_kind)
    assert ("retry-after" in error_response(error).headers) is (status == 503)


def test_only_a_service_s_own_words_are_passed_on() -> None:
    own = from_rpc_error("auth", rpc_error(grpc.StatusCode.NOT_FOUND, "key_not_found", "there is no key"))
    assert own.message == "there is no key"
    transport = from_rpc_error("auth", rpc_error(grpc.StatusCode.UNAVAILABLE, None, "ipv4:10.0.0.1: refused"))
    assert "10.0.0.1" not in transport.message
    crash = from_rpc_error("auth", rpc_error(grpc.StatusCode.UNKNOWN, None, "Traceback: secret"))
    assert "secret" not in crash.message
