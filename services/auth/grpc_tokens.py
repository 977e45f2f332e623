"""AdminTokens (protos/auth.proto): parse, call, map; no rules here."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc

from protos import auth_pb2, auth_pb2_grpc
from services.auth.admin_tokens import AdminTokenRecord, AdminTokens

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AdminTokensApi(auth_pb2_grpc.AdminTokensServicer):
    """Domain errors (services.auth.errors) become status codes in the server's interceptor."""

    def __init__(self, tokens: AdminTokens) -> None:
        self._tokens = tokens

    async def Create(
        self, request: auth_pb2.CreateAdminTokenRequest, context: _Context
    ) -> auth_pb2.CreateAdminTokenResponse:
        record, secret = await self._tokens.create(
            request.name, request.scope, request.expires_at_s, request.created_by
        )
        return auth_pb2.CreateAdminTokenResponse(token=_message(record), secret=secret)

    async def List(
        self, request: auth_pb2.ListAdminTokensRequest, context: _Context
    ) -> auth_pb2.ListAdminTokensResponse:
        return auth_pb2.ListAdminTokensResponse(tokens=[_message(record) for record in await self._tokens.list()])

    async def Revoke(self, request: auth_pb2.RevokeAdminTokenRequest, context: _Context) -> auth_pb2.AdminToken:
        return _message(await self._tokens.revoke(request.id))

    async def Authenticate(
        self, request: auth_pb2.AuthenticateAdminTokenRequest, context: _Context
    ) -> auth_pb2.AuthenticateAdminTokenResponse:
        record = await self._tokens.authenticate(request.token_sha256)
        return auth_pb2.AuthenticateAdminTokenResponse(token=None if record is None else _message(record))


def _message(record: AdminTokenRecord) -> auth_pb2.AdminToken:
    return auth_pb2.AdminToken(
        id=record.id,
        name=record.name,
        scope=record.scope,
        prefix=record.prefix,
        created_at_s=record.created_at_s,
        expires_at_s=record.expires_at_s,
        revoked_at_s=record.revoked_at_s,
        created_by=record.created_by,
    )
