"""The admin API's application: endpoints, errors, OpenAPI; and beside it the pages. No rules here.

FastAPI's own documentation pages load scripts from elsewhere; /docs/admin is a plain list made from the same document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console import (
    accounts_api,
    catalog_api,
    keys_api,
    ledger_api,
    route_api,
    tokens_api,
    usage_api,
    users_api,
)
from services.console.authorization import Authorization
from services.console.errors import KINDS_BY_HTTP_STATUS, ConsoleError, Problem
from services.console.finance import api as finance_api
from services.console.finance import exports_api
from services.console.http_shell import ADMIN_PREFIX, HttpShell, error_response
from services.console.metrics import ConsoleMetrics
from services.console.parts import Parts
from services.console.views import ErrorAnswer
from services.console.web.app import create_web

OPENAPI_PATH = "/openapi.json"

_DESCRIPTION = (
    "Catalog, accounts, credits, keys, usage and finance. `Authorization: Bearer` with LUMEN_ADMIN_TOKEN or a scoped "
    "token (`POST /admin/v1/tokens`). Lists come in pages: `next_cursor` is the next one's `cursor`. Amounts are "
    "decimal strings in USD; answers carry nano-USD integers beside them. Errors: "
    "`{error: {kind, message, problems?: [{line, field, message}]}}`; 503 may be repeated after `retry-after`."
)


def create_app(
    parts: Parts,
    metrics: ConsoleMetrics,
    *,
    authorization: Authorization,
    body_bytes_max: int,
    cors_origins: Sequence[str] = (),
) -> ASGIApp:
    """The admin API, and the pages for people."""
    api = create_admin_api(parts, cors_origins)
    faces = _Faces(api, create_web(parts, api.openapi))
    return HttpShell(faces, authorization=authorization, body_bytes_max=body_bytes_max, metrics=metrics)


def create_admin_api(parts: Parts, cors_origins: Sequence[str] = ()) -> FastAPI:
    """Without what surrounds it: callers are let in by HttpShell."""
    app = FastAPI(
        title="Lumen admin API",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # HttpShell checks the token before any body is read; this documents it.
        dependencies=[Depends(HTTPBearer(auto_error=False, description="LUMEN_ADMIN_TOKEN or a scoped token"))],
        responses=_ERROR_ANSWERS,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    for module in (
        catalog_api,
        accounts_api,
        keys_api,
        route_api,
        usage_api,
        ledger_api,
        finance_api,
        exports_api,
        tokens_api,
        users_api,
    ):
        app.include_router(module.router)
    app.add_exception_handler(ConsoleError, _console_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    if cors_origins:  # inside the shell, which lets preflights through: they carry no token
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "idempotency-key", "x-request-id"],
            expose_headers=["x-request-id", "retry-after", "content-disposition"],
            max_age=600,
        )
    return app


def _error_answer(kind: str, message: str, field: str = "") -> dict[str, Any]:
    error: dict[str, Any] = {"kind": kind, "message": message}
    if field:
        error["problems"] = [{"line": 0, "field": field, "message": message.removeprefix(f"{field}: ")}]
    return {
        "model": ErrorAnswer,
        "description": kind,
        "content": {"application/json": {"example": {"error": error}}},
    }


_ERROR_ANSWERS: dict[int | str, dict[str, Any]] = {
    401: _error_answer("unauthorized", "the admin token is wrong"),
    403: _error_answer("forbidden", "a token of scope read_only may not POST /admin/v1/keys"),
    404: _error_answer("not_found", "there is no account 'acme'"),
    422: _error_answer("invalid_fields", "limit: Input should be greater than or equal to 1", "limit"),
    503: _error_answer("unavailable", "billing cannot be reached"),
    "default": {"model": ErrorAnswer, "description": "Any other error"},
}


class _Faces:
    """Two applications under one shell: the admin API for programs, pages for people."""

    def __init__(self, api: ASGIApp, pages: ASGIApp) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] != "http" or scope["path"].startswith(ADMIN_PREFIX) or scope["path"] == OPENAPI_PATH
        await (self._api if is_api else self._pages)(scope, receive, send)


async def _console_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ConsoleError)
    return error_response(error)


async def _validation_error(_: Request, error: Exception) -> Response:
    """Never repeats a value: a secret may have been put into the wrong field."""
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem(0, ".".join(map(str, detail["loc"][1:])) or "body", _message(detail["type"], detail["msg"]))
        for detail in error.errors()
    ]
    message = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    return error_response(ConsoleError(message, kind="invalid_fields", problems=problems))


async def _http_error(_: Request, error: Exception) -> Response:
    """What the framework refuses by itself: no such route, no such method, a body that cannot be read."""
    assert isinstance(error, HTTPException)
    kind = KINDS_BY_HTTP_STATUS.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal")
    response = error_response(ConsoleError(str(error.detail), kind=kind))
    response.headers.update(error.headers or {})
    return response


def _message(kind: str, text: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "missing":
        return "required"
    return text.removeprefix("Value error, ")
