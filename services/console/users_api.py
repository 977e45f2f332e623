"""/admin/v1/users: who may sign in to the console. An invitation's link is in the answer, once."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Request, status
from pydantic import BaseModel, ConfigDict, SecretStr, StringConstraints

from protos import auth_pb2
from services.console.bodies import Body
from services.console.parts import ADMIN_ROOT, Parts, PartsDependency
from services.console.times import format_time

router = APIRouter(prefix=f"{ADMIN_ROOT}/users", tags=["users"])


class CreateUser(Body):
    """`account` (id or name): a member's. Without a password the answer carries an invitation."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "ada@example.com", "role": "operator"}]})

    email: Annotated[str, StringConstraints(min_length=3, max_length=254)]
    role: Literal["member", "finance", "operator"]
    account: Annotated[str, StringConstraints(max_length=200)] = ""
    password: SecretStr | None = None


class SetUserStatus(Body):
    status: Literal["active", "disabled"]


class UserView(BaseModel):
    id: str
    email: str
    role: str
    account: str | None
    status: str
    created_at: str | None
    invitation_expires_at: str | None


class InvitedUserView(UserView):
    invitation_url: str | None  # here and never again


class UsersView(BaseModel):
    users: list[UserView]


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_user(body: CreateUser, request: Request, parts: PartsDependency) -> InvitedUserView:
    """409 when there is a user of this e-mail."""
    backends = parts.backends
    order = auth_pb2.CreateUserRequest(
        email=body.email,
        role=body.role,
        account_id=(await backends.account(body.account)).id if body.account else "",
        password=body.password.get_secret_value() if body.password is not None else "",
    )
    return _invited_view(await backends.auth.call(backends.users.CreateUser, order), request, parts)


@router.get("")
async def list_users(parts: PartsDependency) -> UsersView:
    backends = parts.backends
    answer = await backends.auth.call(backends.users.ListUsers, auth_pb2.ListUsersRequest())
    return UsersView(users=[UserView(**_fields(user)) for user in answer.users])


@router.post("/{user}/invite")
async def invite_user(user: str, request: Request, parts: PartsDependency) -> InvitedUserView:
    """A new link for a user (id or e-mail), also for a forgotten password; an older one ends."""
    backends = parts.backends
    order = auth_pb2.InviteUserRequest(id_or_email=user)
    return _invited_view(await backends.auth.call(backends.users.InviteUser, order), request, parts)


@router.post("/{user}/status")
async def set_user_status(user: str, body: SetUserStatus, parts: PartsDependency) -> UserView:
    """A disabled user's sessions end at once."""
    backends = parts.backends
    order = auth_pb2.SetUserStatusRequest(id_or_email=user, status=body.status)
    return UserView(**_fields(await backends.auth.call(backends.users.SetUserStatus, order)))


def invitation_url(token: str, request: Request, parts: Parts) -> str:
    base = parts.public_url or str(request.base_url).rstrip("/")
    return f"{base}/invitation?{urlencode({'token': token})}"


def _invited_view(answer: auth_pb2.UserWithInvitation, request: Request, parts: Parts) -> InvitedUserView:
    token = answer.invitation_token
    return InvitedUserView(
        **_fields(answer.user), invitation_url=invitation_url(token, request, parts) if token else None
    )


def _fields(user: auth_pb2.User) -> dict[str, str | None]:
    return {
        "id": user.id,
        "email": user.email,
        "role": user.role,
        "account": user.account_id or None,
        "status": user.status,
        "created_at": format_time(user.created_at_s),
        "invitation_expires_at": format_time(user.invitation_expires_at_s),
    }
