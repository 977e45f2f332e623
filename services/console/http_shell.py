"""What surrounds every request: its id, the bearer token, the body's limit, metrics, and the shape of errors.

Pure ASGI, outside FastAPI's own error handling: nothing reaches a client without the id, and no body is read before the
token was checked.
"""

from __future__ import annotations

import hmac
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
from services.console.errors import RETRY_AFTER_S, ConsoleError, Unauthorized
from services.console.metrics import ConsoleMetrics

logger = logging.getLogger(__name__)

ADMIN_PREFIX = "/admin/"
ADMIN_TOKEN_ACTOR = "admin token"  # what the audit log calls who has it
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class HttpShell:
    """Wraps the FastAPI application. `admin_token` is compared in constant time."""

    def __init__(self, app: ASGIApp, *, admin_token: str, body_bytes_max: int, metrics: ConsoleMetrics) -> None:
        self._app = app
        self._expected = f"Bearer {admin_token}".encode()
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
            if scope["path"].startswith(ADMIN_PREFIX) and not self._is_authorized(headers):
                refusal = error_response(Unauthorized("the admin token is missing or wrong"))
                refusal.headers["www-authenticate"] = "Bearer"
                await refusal(scope, receive, send_with_id)
            else:
                if scope["path"].startswith(ADMIN_PREFIX):
                    actor_var.set(ADMIN_TOKEN_ACTOR)
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

    def _is_authorized(self, headers: Headers) -> bool:
        given = headers.get("authorization", "")
        scheme, _, value = given.partition(" ")
        return hmac.compare_digest(f"{scheme.capitalize()} {value.strip()}".encode(), self._expected)

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


def _route(scope: Scope) -> str:
    """The route's template: a path would make a time series per account."""
    route = scope.get("route")
    return getattr(route, "path", None) or "unmatched"
