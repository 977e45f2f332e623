"""The admin API's application: endpoints, errors, OpenAPI. No rules here.

FastAPI's own documentation pages load scripts from elsewhere; /docs is a plain list made from the same document.
"""

from __future__ import annotations

from html import escape

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.console import accounts_api, catalog_api, keys_api, ledger_api, route_api, usage_api, users_api
from services.console.errors import KINDS_BY_HTTP_STATUS, ConsoleError, Problem
from services.console.http_shell import HttpShell, error_response
from services.console.metrics import ConsoleMetrics
from services.console.parts import ADMIN_ROOT, Parts
from services.console.views import ErrorAnswer

_DESCRIPTION = (
    "Catalog, accounts, credits, keys and usage. `Authorization: Bearer` with LUMEN_ADMIN_TOKEN. Amounts are decimal "
    "strings in USD; answers carry nano-USD integers beside them. Errors: "
    "`{error: {kind, message, problems?: [{line, field, message}]}}`; 503 may be repeated after `retry-after`."
)


def create_app(parts: Parts, metrics: ConsoleMetrics, *, admin_token: str, body_bytes_max: int) -> FastAPI:
    app = FastAPI(
        title="Lumen admin API",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # HttpShell checks the token before any body is read; this documents it.
        dependencies=[Depends(HTTPBearer(auto_error=False, description="LUMEN_ADMIN_TOKEN"))],
        responses={"default": {"model": ErrorAnswer, "description": "Any error"}},
    )
    app.state.parts = parts
    for module in (catalog_api, accounts_api, keys_api, route_api, usage_api, ledger_api, users_api):
        app.include_router(module.router)
    app.add_api_route("/", _index, include_in_schema=False)
    app.add_api_route("/docs", _docs, include_in_schema=False, response_class=HTMLResponse)
    app.add_exception_handler(ConsoleError, _console_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(HttpShell, admin_token=admin_token, body_bytes_max=body_bytes_max, metrics=metrics)
    return app


async def _index() -> dict[str, str]:
    return {"name": "Lumen admin API", "root": ADMIN_ROOT, "docs": "/docs", "openapi": "/openapi.json"}


async def _docs(request: Request) -> HTMLResponse:
    document = request.app.openapi()
    rows = [
        f"<tr><td>{escape(method.upper())}</td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(operation.get('description') or operation.get('summary') or '')}</td></tr>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    title = escape(document["info"]["title"])
    return HTMLResponse(
        f"<!doctype html><meta charset=utf-8><title>{title}</title>"
        "<style>body{font:16px system-ui;margin:2rem;max-width:72rem}td{padding:.3rem .8rem .3rem 0;"
        "vertical-align:top}</style>"
        f"<h1>{title}</h1><p>{escape(document['info']['description'])}</p>"
        f'<p>The whole description: <a href="/openapi.json">/openapi.json</a></p><table>{"".join(rows)}</table>'
    )


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
