"""Rendering: one environment with autoescape, what every template may use, and the headers of every page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.web import figures
from services.console.web.visitors import Visitor, keep_visit, start_visit

# (path, label, icon) per role, in the order of the menu
MENUS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "member": (
        ("/overview", "Overview"),
        ("/keys", "API keys"),
        ("/usage", "Usage"),
        ("/requests", "Requests"),
        ("/models", "Models and prices"),
        ("/statements", "Statements"),
        ("/alerts", "Alerts"),
        ("/playground", "Playground"),
        ("/connect", "Connect"),
    ),
    "operator": (
        ("/operator/accounts", "Accounts"),
        ("/operator/keys", "API keys"),
        ("/operator/users", "Users"),
        ("/operator/channels", "Channels"),
        ("/operator/catalog", "Catalog"),
        ("/operator/groups", "Groups"),
        ("/operator/dead-letters", "Dead letters"),
        ("/operator/audit", "Audit log"),
    ),
    "finance": (
        ("/finance", "Revenue and margin"),
        ("/finance/movers", "Top movers"),
        ("/finance/liabilities", "Liabilities"),
        ("/finance/accounts", "Accounts"),
        ("/finance/exports", "Exports"),
        ("/finance/reconciliation", "Reconciliation"),
    ),
}
HOMES = {role: menu[0][0] for role, menu in MENUS.items()}


def create_environment(assets: Mapping[str, str]) -> Environment:
    environment = Environment(
        loader=PackageLoader("services.console.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        asset=assets.__getitem__,
        menus=MENUS,
        money=figures.money,
        usd=figures.usd,
        count=figures.count,
        percent=figures.percent,
        milliseconds=figures.milliseconds,
        moment=figures.moment,
        instant=figures.instant,
        query=lambda **values: urlencode({name: value for name, value in values.items() if value not in ("", None)}),
    )
    return environment


@dataclass(frozen=True, slots=True)
class Pages:
    environment: Environment

    def show(self, request: Request, who: Visitor, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """`template` gets `_` (translate), `who`, `csrf`, `here` (the path) and the context."""
        who = start_visit(request, who)  # each page has a form: language and theme
        text = self.environment.get_template(template).render(
            _=who.say, who=who, csrf=who.csrf, here=request.url.path, path=_path(request), **context
        )
        response = HTMLResponse(text, status)
        keep_visit(response, request, who)
        return response


def pages_of(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


def go_to(path: str, **query: str) -> RedirectResponse:
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)


def _path(request: Request) -> str:
    """Where preferences lead back to; an invitation's token is not repeated."""
    query = request.url.query
    if request.method != "GET" or "token=" in query:
        return request.url.path
    return f"{request.url.path}?{query}" if query else request.url.path


class PageHeaders:
    """Adds the security headers to every answer of the pages. `api_url` is the one other origin scripts may call."""

    def __init__(self, app: ASGIApp, *, api_url: str, is_https: bool) -> None:
        self._app = app
        parts = urlsplit(api_url)
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
            f"connect-src 'self' {parts.scheme}://{parts.netloc}; form-action 'self'; frame-ancestors 'none'; "
            "base-uri 'none'; require-trusted-types-for 'script'"
        )
        self._headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
            **({"strict-transport-security": "max-age=31536000"} if is_https else {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
