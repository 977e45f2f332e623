"""What surrounds every request: its id, the bearer token, the body's limit, metrics, and the shape of errors.

Pure ASGI, outside FastAPI's own error handling: nothing reaches a client without the id, and no body is read before the
token was checked.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lumen.platform.logging import request_id_var
from services.console.auditing import actor_var
from services.console.authorization import ROOT, Authorization, Caller
from services.console.errors import RETRY_AFTER_S, ConsoleError, Unauthorized
from services.console.metrics import ConsoleMetrics

logger = logging.getLogger(__name__)

ADMIN_PREFIX = "/admin/"
CALLER = "lumen.caller"
ADMIN_TOKEN_ACTOR = "admin token"  # what the audit log calls who has the root token; a scoped one adds its id
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class HttpShell:
    """Wraps the FastAPI application. Below /admin/ the caller is known as `scope["lumen.caller"]`."""

    def __init__(
        self, app: ASGIApp, *, authorization: Authorization, body_bytes_max: int, metrics: ConsoleMetrics
    ) -> None:
        self._app = app
        self._authorization = authorization
        self._body_bytes_max = body_bytes_max
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        offered = headers.get("x-request-id", "")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else f"adm-{secrets.token_hex(12)}"
        token = request_id_var.set(request_id)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            is_guarded = scope["path"].startswith(ADMIN_PREFIX) and not _is_preflight(scope, headers)
            refusal = await self._refusal(scope, headers) if is_guarded else None
            if refusal is not None:
                await refusal(scope, receive, send_with_id)
            else:
                if scope["path"].startswith(ADMIN_PREFIX):
                    actor_var.set(_actor(scope.get(CALLER)))
                await self._app(scope, self._limited(receive), send_with_id)
        except Exception:
            logger.exception("request failed", extra={"method": scope["method"], "path": scope["path"]})
            if status:
                raise  # too late to answer; the server closes the connection
            await error_response(ConsoleError("internal error"))(scope, receive, send_with_id)
        finally:
            labels = scope["method"], _route(scope)
            self._metrics.requests.labels(*labels, str(status)).inc()
            self._metrics.duration.labels(*labels).observe(time.perf_counter() - started)
            request_id_var.reset(token)

    async def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        try:
            authorization = headers.get("authorization", "")
            scope[CALLER] = await self._authorization.authorize(authorization, scope["method"], scope["path"])
        except ConsoleError as error:
            refusal = error_response(error)
            if isinstance(error, Unauthorized):
                refusal.headers["www-authenticate"] = "Bearer"
            return refusal
        return None

    def _limited(self, receive: Receive) -> Receive:
        received_bytes = 0

        async def limited() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self._body_bytes_max:
                raise HTTPException(413, f"the body is larger than {self._body_bytes_max} bytes")
            return message

        return limited


def error_response(error: ConsoleError) -> JSONResponse:
    """`{"error": {"kind", "message", "problems"?: [{"line", "field", "message"}]}}`"""
    content: dict[str, Any] = {"kind": error.kind, "message": error.message}
    if error.problems:
        content["problems"] = [
            {"line": problem.line, "field": problem.field, "message": problem.message} for problem in error.problems
        ]
    headers = {"retry-after": str(RETRY_AFTER_S)} if error.row.is_retryable else None
    return JSONResponse({"error": content}, error.row.http_status, headers=headers)


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    """A browser's question before the request: it carries no token, and is answered without asking anybody."""
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def _actor(caller: Caller | None) -> str:
    """Who made a change, for the audit log."""
    return ADMIN_TOKEN_ACTOR if caller is None or caller == ROOT else f"{ADMIN_TOKEN_ACTOR} {caller.id}"


def _route(scope: Scope) -> str:
    """The route's template: a path would make a time series per account."""
    route = scope.get("route")
    return getattr(route, "path", None) or "unmatched"
