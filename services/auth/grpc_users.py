"""Users (protos/auth.proto), what the console calls: parse, call, map; no rules here."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc

from protos import auth_pb2, auth_pb2_grpc
from services.auth.sessions import Sessions
from services.auth.user_records import UserRecord, user_message
from services.auth.users import Users

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class UsersApi(auth_pb2_grpc.UsersServicer):
    """Domain errors (services.auth.errors) become status codes in the server's interceptor."""

    def __init__(self, users: Users, sessions: Sessions) -> None:
        self._users = users
        self._sessions = sessions

    async def CreateUser(self, request: auth_pb2.CreateUserRequest, context: _Context) -> auth_pb2.UserWithInvitation:
        return _invited(*await self._users.create(request.email, request.role, request.account_id, request.password))

    async def InviteUser(self, request: auth_pb2.InviteUserRequest, context: _Context) -> auth_pb2.UserWithInvitation:
        return _invited(*await self._users.invite(request.id_or_email))

    async def GetUser(self, request: auth_pb2.GetUserRequest, context: _Context) -> auth_pb2.User:
        return user_message(await self._users.get(request.id_or_email))

    async def ListUsers(self, request: auth_pb2.ListUsersRequest, context: _Context) -> auth_pb2.ListUsersResponse:
        return auth_pb2.ListUsersResponse(users=[user_message(user) for user in await self._users.list()])

    async def SetUserStatus(self, request: auth_pb2.SetUserStatusRequest, context: _Context) -> auth_pb2.User:
        return user_message(await self._users.set_status(request.id_or_email, request.status))

    async def ShowInvitation(self, request: auth_pb2.ShowInvitationRequest, context: _Context) -> auth_pb2.User:
        return user_message(await self._users.show_invitation(request.token))

    async def AcceptInvitation(self, request: auth_pb2.AcceptInvitationRequest, context: _Context) -> auth_pb2.User:
        return user_message(await self._users.accept_invitation(request.token, request.password))

    async def SignIn(self, request: auth_pb2.SignInRequest, context: _Context) -> auth_pb2.Session:
        user, token, expires_at_s = await self._sessions.sign_in(request.email, request.password, request.address)
        return auth_pb2.Session(user=user_message(user), token=token, expires_at_s=expires_at_s)

    async def GetSession(self, request: auth_pb2.GetSessionRequest, context: _Context) -> auth_pb2.Session:
        user, expires_at_s = await self._sessions.get(request.token)
        return auth_pb2.Session(user=user_message(user), expires_at_s=expires_at_s)

    async def SignOut(self, request: auth_pb2.SignOutRequest, context: _Context) -> auth_pb2.SignOutResponse:
        await self._sessions.sign_out(request.token)
        return auth_pb2.SignOutResponse()

    async def ChangePassword(self, request: auth_pb2.ChangePasswordRequest, context: _Context) -> auth_pb2.Session:
        user, token, expires_at_s = await self._sessions.change_password(
            request.token, request.current_password, request.new_password
        )
        return auth_pb2.Session(user=user_message(user), token=token, expires_at_s=expires_at_s)


def _invited(user: UserRecord, token: str) -> auth_pb2.UserWithInvitation:
    return auth_pb2.UserWithInvitation(user=user_message(user), invitation_token=token)
