"""The pages' application: routers, errors as pages. No rules here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from services.console.errors import KINDS_BY_HTTP_STATUS, RETRY_AFTER_S, ConsoleError
from services.console.parts import Parts
from services.console.web import (
    account_pages,
    alert_pages,
    connect_pages,
    finance_books,
    finance_exports,
    finance_pages,
    key_pages,
    operator_accounts,
    operator_catalog,
    operator_channels,
    operator_records,
    operator_users,
    sign_in_pages,
    usage_pages,
)
from services.console.web.assets import asset_paths, assets_router, load_assets
from services.console.web.pages import PageHeaders, Pages, create_environment, go_to, pages_of
from services.console.web.visitors import SIGN_IN_PATH, SignInNeeded, visitor

PAGE_MODULES = (
    sign_in_pages,
    account_pages,
    key_pages,
    usage_pages,
    alert_pages,
    connect_pages,
    operator_accounts,
    operator_users,
    operator_channels,
    operator_catalog,
    operator_records,
    finance_pages,
    finance_books,
    finance_exports,
)


def create_web(parts: Parts, openapi: Callable[[], dict[str, Any]]) -> ASGIApp:
    """`openapi`: the admin API's document, listed under /docs/admin. `parts.public_url` decides about cookies,
    `parts.api_url` is in the content-security policy."""
    assets = load_assets()
    app = FastAPI(title="Lumen console", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.parts = parts
    app.state.admin_openapi = openapi
    app.state.pages = Pages(create_environment(asset_paths(assets)))
    for module in PAGE_MODULES:
        app.include_router(module.router)
    app.include_router(assets_router(assets))
    app.add_exception_handler(SignInNeeded, _sign_in_needed)
    app.add_exception_handler(ConsoleError, _console_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _failure)
    return PageHeaders(app, api_url=parts.api_url, is_https=parts.public_url.startswith("https:"))


async def _sign_in_needed(_: Request, error: Exception) -> Response:
    assert isinstance(error, SignInNeeded)
    return go_to(SIGN_IN_PATH, next=error.path) if error.path != "/" else go_to(SIGN_IN_PATH)


async def _console_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConsoleError)
    try:
        who = await visitor(request)
    except ConsoleError:  # auth is away: the page says so in the visitor's language, without a menu
        who = request.state.visitor
    status = error.row.http_status
    response = pages_of(request).show(request, who, "error.html", status, error_status=status, message=error.message)
    if error.row.is_retryable:
        response.headers["retry-after"] = str(RETRY_AFTER_S)
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = KINDS_BY_HTTP_STATUS.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal")
    return await _console_error(request, ConsoleError(str(error.detail), kind=kind))


async def _validation_error(request: Request, error: Exception) -> Response:
    """A path or query that no page links to."""
    return await _console_error(request, ConsoleError("this address is not one of ours", kind="not_found"))


async def _failure(request: Request, error: Exception) -> Response:
    return await _console_error(request, ConsoleError("something went wrong on our side"))
