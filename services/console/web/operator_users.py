"""Operators: who may sign in. An invitation's link is shown once, to be handed over."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from protos import auth_pb2
from services.console.errors import ConsoleError
from services.console.users_api import invitation_url
from services.console.web.pages import go_to, pages_of
from services.console.web.visitors import Operator, Submitted, Visitor, parts_of

router = APIRouter(prefix="/operator/users", include_in_schema=False)


@router.get("")
async def users(request: Request, who: Operator, done: str = "") -> Response:
    return await _page(request, who, done=done)


@router.post("")
async def create_user(request: Request, who: Operator, form: Submitted) -> Response:
    parts = parts_of(request)
    order = auth_pb2.CreateUserRequest(email=form.text("email"), role=form.text("role"))
    try:
        if order.role == "member":
            order.account_id = (await parts.backends.account(form.text("account") or "-")).id
        invited = await parts.backends.auth.call(parts.backends.users.CreateUser, order)
    except ConsoleError as error:
        if error.row.http_status >= 500:
            raise
        return await _page(request, who, error=error, values=form.values())
    return await _page(request, who, invited=invited)


@router.post("/{user_id}/invite")
async def invite(request: Request, who: Operator, user_id: str, form: Submitted) -> Response:
    backends = parts_of(request).backends
    order = auth_pb2.InviteUserRequest(id_or_email=user_id)
    return await _page(request, who, invited=await backends.auth.call(backends.users.InviteUser, order))


@router.post("/{user_id}/status")
async def set_status(request: Request, who: Operator, user_id: str, form: Submitted) -> Response:
    backends = parts_of(request).backends
    order = auth_pb2.SetUserStatusRequest(id_or_email=user_id, status=form.text("status"))
    await backends.auth.call(backends.users.SetUserStatus, order)
    return go_to("/operator/users", done="status")


async def _page(
    request: Request,
    who: Visitor,
    *,
    invited: auth_pb2.UserWithInvitation | None = None,
    error: ConsoleError | None = None,
    values: dict[str, str] | None = None,
    done: str = "",
) -> Response:
    parts = parts_of(request)
    backends = parts.backends
    listed, accounts = await asyncio.gather(
        backends.auth.call(backends.users.ListUsers, auth_pb2.ListUsersRequest()),
        backends.auth.call(backends.accounts.ListAccounts, auth_pb2.ListAccountsRequest()),
    )
    return pages_of(request).show(
        request,
        who,
        "operator_users.html",
        error.row.http_status if error is not None else 200,
        users=list(listed.users),
        names={account.id: account.name for account in accounts.accounts},
        link=invitation_url(invited.invitation_token, request, parts) if invited is not None else "",
        invited=invited.user if invited is not None else None,
        error=error,
        values=values or {},
        done=done,
    )
