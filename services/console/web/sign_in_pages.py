"""Signing in and out, invitations, the password, language and theme."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import auth_pb2
from services.console.auditing import actor_var
from services.console.errors import ConsoleError
from services.console.web.i18n import LANGUAGES
from services.console.web.pages import HOMES, go_to, pages_of
from services.console.web.visitors import (
    LANGUAGE_COOKIE,
    SIGN_IN_PATH,
    THEME_COOKIE,
    THEMES,
    AnyVisitor,
    SignedIn,
    Submitted,
    Visitor,
    end_session,
    keep_preference,
    keep_session,
    local_path,
    parts_of,
)

router = APIRouter(include_in_schema=False)

_TRY_AGAIN_KINDS = ("sign_in_refused", "too_many_sign_ins", "invalid_request", "invitation_not_found")


@router.get("/")
async def home(who: AnyVisitor) -> Response:
    return go_to(HOMES.get(who.role, SIGN_IN_PATH))


@router.get(SIGN_IN_PATH)
async def sign_in_form(request: Request, who: AnyVisitor, next: str = "/") -> Response:  # noqa: A002
    if who.user is not None:
        return go_to(local_path(next))
    return _sign_in_page(request, who, next)


@router.post(SIGN_IN_PATH)
async def sign_in(request: Request, who: AnyVisitor, form: Submitted) -> Response:
    parts = parts_of(request)
    order = auth_pb2.SignInRequest(
        email=form.text("email"),
        password=form.raw("password"),
        address=request.client.host if request.client is not None else "",
    )
    try:
        session = await parts.backends.auth.call(parts.backends.users.SignIn, order)
    except ConsoleError as error:
        if error.kind not in _TRY_AGAIN_KINDS:
            raise
        return _sign_in_page(request, who, form.text("next"), error, form.text("email"))
    response = go_to(local_path(form.text("next")))
    keep_session(response, request, session, parts.now_s())
    return response


@router.post("/sign-out")
async def sign_out(request: Request, who: SignedIn, form: Submitted) -> Response:
    backends = parts_of(request).backends
    await backends.auth.call(backends.users.SignOut, auth_pb2.SignOutRequest(token=who.token))
    response = go_to(SIGN_IN_PATH)
    end_session(response, request)
    return response


@router.get("/invitation")
async def invitation_form(request: Request, who: AnyVisitor, token: str = "") -> Response:
    backends = parts_of(request).backends
    invited = await backends.auth.call(backends.users.ShowInvitation, auth_pb2.ShowInvitationRequest(token=token))
    return _invitation_page(request, who, token, invited.email)


@router.post("/invitation")
async def accept_invitation(request: Request, who: AnyVisitor, form: Submitted) -> Response:
    parts = parts_of(request)
    backends = parts.backends
    token, password = form.text("token"), form.raw("password")
    invited = await backends.auth.call(backends.users.ShowInvitation, auth_pb2.ShowInvitationRequest(token=token))
    actor_var.set(invited.email)
    if password != form.raw("again"):
        mismatch = ConsoleError(who.say("The two passwords differ."), kind="invalid_request")
        return _invitation_page(request, who, token, invited.email, mismatch)
    try:
        order = auth_pb2.AcceptInvitationRequest(token=token, password=password)
        await backends.auth.call(backends.users.AcceptInvitation, order)
    except ConsoleError as error:
        if error.kind not in _TRY_AGAIN_KINDS:
            raise
        return _invitation_page(request, who, token, invited.email, error)
    address = request.client.host if request.client is not None else ""
    session = await backends.auth.call(
        backends.users.SignIn, auth_pb2.SignInRequest(email=invited.email, password=password, address=address)
    )
    response = go_to("/")
    keep_session(response, request, session, parts.now_s())
    return response


@router.get("/settings")
async def settings_page(request: Request, who: SignedIn, done: str = "") -> Response:
    return _settings_page(request, who, is_done=done == "password")


@router.post("/settings/password")
async def change_password(request: Request, who: SignedIn, form: Submitted) -> Response:
    parts = parts_of(request)
    if form.raw("password") != form.raw("again"):
        return _settings_page(request, who, ConsoleError(who.say("The two passwords differ."), kind="invalid_request"))
    order = auth_pb2.ChangePasswordRequest(
        token=who.token, current_password=form.raw("current"), new_password=form.raw("password")
    )
    try:
        session = await parts.backends.auth.call(parts.backends.users.ChangePassword, order)
    except ConsoleError as error:
        if error.kind not in _TRY_AGAIN_KINDS:
            raise
        return _settings_page(request, who, error)
    response = go_to("/settings", done="password")
    keep_session(response, request, session, parts.now_s())
    return response


@router.post("/preferences")
async def preferences(request: Request, form: Submitted) -> Response:
    response = go_to(local_path(form.text("path")))
    if (language := form.text("language")) in LANGUAGES:
        keep_preference(response, request, LANGUAGE_COOKIE, language)
    if (theme := form.text("theme")) in THEMES:
        keep_preference(response, request, THEME_COOKIE, theme)
    return response


def _status(error: ConsoleError | None) -> int:
    return error.row.http_status if error is not None else 200


def _sign_in_page(
    request: Request, who: Visitor, next_path: str, error: ConsoleError | None = None, email: str = ""
) -> Response:
    return pages_of(request).show(
        request, who, "sign_in.html", _status(error), next=local_path(next_path), error=error, email=email
    )


def _invitation_page(
    request: Request, who: Visitor, token: str, email: str, error: ConsoleError | None = None
) -> Response:
    response = pages_of(request).show(
        request, who, "invitation.html", _status(error), token=token, email=email, error=error
    )
    response.headers["referrer-policy"] = "no-referrer"
    return response


def _settings_page(
    request: Request, who: Visitor, error: ConsoleError | None = None, *, is_done: bool = False
) -> Response:
    return pages_of(request).show(request, who, "settings.html", _status(error), error=error, is_done=is_done)
