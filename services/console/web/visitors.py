"""Who asks: the session behind the cookie, the role a page needs, and the form token against forged requests.

A page of another role, like another account's object, does not exist (404). The form token is the hash of a cookie
that other sites can neither read nor set (HttpOnly, SameSite=Lax): the session's, or before signing in a random one.
Browsers also say where a form came from (Origin), which must be here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, Request
from starlette.responses import Response

from protos import auth_pb2
from services.console.auditing import actor_var
from services.console.errors import ConsoleError
from services.console.parts import Parts
from services.console.web.i18n import LANGUAGES, preferred, translate

SIGN_IN_PATH = "/sign-in"
_SESSION_COOKIE = "lumen_session"
_VISIT_COOKIE = "lumen_visit"
LANGUAGE_COOKIE = "lumen_language"
THEME_COOKIE = "lumen_theme"
THEMES = ("system", "light", "dark")
_FIELDS_MAX = 200
PREFERENCE_S = 31_536_000


class SignInNeeded(Exception):
    """Answered by a redirect to the sign-in page."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Form:
    """The fields of a submitted form; a field that is not there is empty."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str) -> str:
        return next((value.strip() for key, value in self._pairs if key == name), "")

    def raw(self, name: str) -> str:
        """As typed: passwords may begin with a space."""
        return next((value for key, value in self._pairs if key == name), "")

    def texts(self, name: str) -> list[str]:
        return [value.strip() for key, value in self._pairs if key == name and value.strip()]

    def values(self) -> dict[str, str]:
        """To fill the form again after a refusal."""
        return dict(self._pairs)


@dataclass(frozen=True, slots=True)
class Visitor:
    """`user` is None before signing in."""

    user: auth_pb2.User | None
    token: str  # of the session, or of the visit
    language: str
    theme: str

    @property
    def csrf(self) -> str:
        return hashlib.sha256(f"csrf:{self.token}".encode()).hexdigest()

    @property
    def role(self) -> str:
        return self.user.role if self.user is not None else ""

    def say(self, text: str, **values: object) -> str:
        return translate(self.language, text, **values)

    @property
    def account_id(self) -> str:
        """A member's account."""
        assert self.user is not None
        return self.user.account_id


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def is_secure(request: Request) -> bool:
    return request.url.scheme == "https" or parts_of(request).public_url.startswith("https:")


async def visitor(request: Request) -> Visitor:
    """Raises ConsoleError while auth is away and a session cookie is there."""
    found: Visitor | None = getattr(request.state, "visitor", None)
    if found is not None:
        return found
    language = request.cookies.get(LANGUAGE_COOKIE, "")
    if language not in LANGUAGES:
        language = preferred(request.headers.get("accept-language", ""))
    theme = request.cookies.get(THEME_COOKIE, "")
    theme = theme if theme in THEMES else "system"
    anonymous = Visitor(None, request.cookies.get(_name(request, _VISIT_COOKIE), ""), language, theme)
    request.state.visitor = anonymous  # for the error page, should auth be away
    token = request.cookies.get(_name(request, _SESSION_COOKIE), "")
    if token:
        backends = parts_of(request).backends
        try:
            session = await backends.auth.call(backends.users.GetSession, auth_pb2.GetSessionRequest(token=token))
        except ConsoleError as error:
            if error.kind != "session_not_found":
                raise
        else:
            request.state.visitor = Visitor(session.user, token, language, theme)
            actor_var.set(session.user.email)
    current: Visitor = request.state.visitor
    return current


def _needs(role: str) -> Callable[[Request], Awaitable[Visitor]]:
    async def needed(request: Request) -> Visitor:
        found = await visitor(request)
        if found.user is None:
            path = request.url.path
            if request.method == "GET" and request.url.query:
                path = f"{path}?{request.url.query}"
            raise SignInNeeded(path if request.method == "GET" else "/")
        if role and found.role != role:
            raise ConsoleError("there is no such page", kind="not_found")
        return found

    return needed


AnyVisitor = Annotated[Visitor, Depends(visitor)]
SignedIn = Annotated[Visitor, Depends(_needs(""))]
Member = Annotated[Visitor, Depends(_needs("member"))]
Operator = Annotated[Visitor, Depends(_needs("operator"))]
Finance = Annotated[Visitor, Depends(_needs("finance"))]


async def submitted(request: Request, who: AnyVisitor) -> Form:
    """A form that this console made. Raises ConsoleError (403)."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc not in (
        request.headers.get("host", ""),
        urlsplit(parts_of(request).public_url).netloc,
    ):
        raise ConsoleError("this form was sent from another site", kind="forbidden")
    try:
        body = (await request.body()).decode()
        form = Form(parse_qsl(body, keep_blank_values=True, max_num_fields=_FIELDS_MAX))
    except ValueError as error:
        raise ConsoleError("the form cannot be read", kind="invalid_request") from error
    if not who.token or not hmac.compare_digest(form.text("csrf").encode(), who.csrf.encode()):
        raise ConsoleError("this form is too old; load the page again", kind="forbidden")
    return form


Submitted = Annotated[Form, Depends(submitted)]


def start_visit(request: Request, who: Visitor) -> Visitor:
    """A visitor whose forms can be checked before there is a session; `keep_visit` sets the cookie."""
    if who.user is not None or who.token:
        return who
    fresh = Visitor(None, secrets.token_urlsafe(24), who.language, who.theme)
    request.state.visitor = fresh
    return fresh


def keep_visit(response: Response, request: Request, who: Visitor) -> None:
    if who.user is None and who.token:
        _set(response, request, _VISIT_COOKIE, who.token, 3600)


def keep_session(response: Response, request: Request, session: auth_pb2.Session, now_s: int) -> None:
    _set(response, request, _SESSION_COOKIE, session.token, max(1, session.expires_at_s - now_s))


def end_session(response: Response, request: Request) -> None:
    _set(response, request, _SESSION_COOKIE, "", 0)


def keep_preference(response: Response, request: Request, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=PREFERENCE_S, httponly=True, samesite="lax", secure=is_secure(request))


def local_path(text: str) -> str:
    """A path of this console to go on to; anything else is `/`: no redirect leads away."""
    parts = urlsplit(text)
    if not text.startswith("/") or text.startswith(("//", "/\\")) or parts.scheme or parts.netloc or "\\" in text:
        return "/"
    return quote(text, safe="/?&=%:,.-_~+")


def _name(request: Request, name: str) -> str:
    """Browsers let nobody else set a cookie with this prefix: no other host, no plain HTTP."""
    return f"__Host-{name}" if is_secure(request) else name


def _set(response: Response, request: Request, name: str, value: str, age_s: int) -> None:
    response.set_cookie(
        _name(request, name), value, max_age=age_s, path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )
