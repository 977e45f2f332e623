"""gRPC as every service uses it: one server with health checks, channels with keepalive, request ids, typed errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from lumen.platform.logging import request_id_var, traceparent_var

logger = logging.getLogger(__name__)

REQUEST_ID_METADATA = "x-request-id"
TRACEPARENT_METADATA = "traceparent"

_CHANNEL_OPTIONS = [
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
]
_SERVER_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port taken by somebody else must be an error
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
]


class ServiceError(Exception):
    """The root of a service's own errors. `kind` is the row in the service's errors.py table."""

    kind: str = "internal"

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if kind is not None:
            self.kind = kind


class _ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Maps ServiceError kinds to status codes and carries the caller's request id into the logs."""

    def __init__(self, codes: Mapping[str, grpc.StatusCode]) -> None:
        self._codes = codes

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        inner = handler.unary_unary

        async def call(request: Any, context: Any) -> Any:
            for key, value in context.invocation_metadata() or ():
                if key == REQUEST_ID_METADATA:
                    request_id_var.set(str(value))
            try:
                return await inner(request, context)
            except ServiceError as error:
                code = self._codes.get(error.kind, grpc.StatusCode.INTERNAL)
                await context.abort(code, error.message, (("lumen-error-kind", error.kind),))
            except grpc.aio.AbortError:
                raise
            except Exception:
                logger.exception("rpc failed", extra={"method": details.method})
                await context.abort(grpc.StatusCode.INTERNAL, "internal error")

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def create_server(
    codes: Mapping[str, grpc.StatusCode],
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),  # type: ignore[type-arg]
) -> grpc.aio.Server:
    """A server whose handlers may raise ServiceError; `codes` is the service's errors.py table, kind -> gRPC code.
    `interceptors` see a call before the errors are mapped to codes, and its answer after that."""
    return grpc.aio.server(interceptors=[*interceptors, _ErrorInterceptor(codes)], options=_SERVER_OPTIONS)


def bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Bind without TLS (mTLS comes with the cluster deployment). Returns the port; raises RuntimeError when taken."""
    bound = server.add_insecure_port(f"{host}:{port}")
    if bound == 0:
        raise RuntimeError(f"cannot listen on {host}:{port}: the port is taken")
    return bound


def create_channel(address: str) -> grpc.aio.Channel:
    """A channel that balances over all addresses behind the name and finds a restarted peer within 2 s."""
    return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)


def request_metadata(request_id: str = "") -> tuple[tuple[str, str], ...]:
    value = request_id or request_id_var.get()
    metadata = ((REQUEST_ID_METADATA, value),) if value else ()
    traceparent = traceparent_var.get()
    return (*metadata, (TRACEPARENT_METADATA, traceparent)) if traceparent else metadata


def error_kind(error: grpc.aio.AioRpcError) -> str | None:
    """The ServiceError kind the peer raised, if it was one."""
    metadata: Any = error.trailing_metadata() or ()
    return next((str(value) for key, value in metadata if key == "lumen-error-kind"), None)
