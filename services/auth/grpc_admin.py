"""AuthAdmin (protos/auth.proto), what operators call through the admin API: parse, call, map; no rules here."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc

from protos import auth_pb2, auth_pb2_grpc
from services.auth.accounts import Accounts
from services.auth.directory import Directory
from services.auth.errors import InvalidRequest
from services.auth.key_rules import KeyOrder
from services.auth.keys import Keys
from services.auth.records import KeyRecord, Limits, account_message, key_message

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AuthAdmin(auth_pb2_grpc.AuthAdminServicer):
    """Domain errors (services.auth.errors) become status codes in the server's interceptor."""

    def __init__(self, directory: Directory, accounts: Accounts, keys: Keys) -> None:
        self._directory = directory
        self._accounts = accounts
        self._keys = keys

    async def CreateAccount(self, request: auth_pb2.CreateAccountRequest, context: _Context) -> auth_pb2.Account:
        return account_message(await self._accounts.create(request.name))

    async def GetAccount(self, request: auth_pb2.GetAccountRequest, context: _Context) -> auth_pb2.Account:
        if not request.id_or_name:
            raise InvalidRequest("id_or_name is missing")
        return account_message(await self._accounts.get(request.id_or_name))

    async def ListAccounts(
        self, request: auth_pb2.ListAccountsRequest, context: _Context
    ) -> auth_pb2.ListAccountsResponse:
        self._directory.require_ready()
        return auth_pb2.ListAccountsResponse(
            accounts=[account_message(record) for record in self._directory.accounts()]
        )

    async def SetAccountStatus(self, request: auth_pb2.SetAccountStatusRequest, context: _Context) -> auth_pb2.Account:
        if not request.id:
            raise InvalidRequest("id is missing")
        return account_message(await self._accounts.set_status(request.id, request.status))

    async def SetAccountLimits(self, request: auth_pb2.SetAccountLimitsRequest, context: _Context) -> auth_pb2.Account:
        if not request.id:
            raise InvalidRequest("id is missing")
        limits = Limits(
            rpm=request.limits.rpm,
            tpm=request.limits.tpm,
            concurrency=request.limits.concurrency,
            spend_day_nanousd=request.limits.spend_day_nanousd,
            spend_month_nanousd=request.limits.spend_month_nanousd,
        )
        return account_message(await self._accounts.set_limits(request.id, limits))

    async def CreateKey(self, request: auth_pb2.CreateKeyRequest, context: _Context) -> auth_pb2.CreateKeyResponse:
        order = KeyOrder(
            account_id=request.account_id,
            group=request.group,
            name=request.name,
            expires_at_s=request.expires_at_s,
            models=list(request.models),
            ips=list(request.ips),
            spend_limit_nanousd=request.spend_limit_nanousd,
            rpm=request.rpm,
            tpm=request.tpm,
            concurrency=request.concurrency,
            spend_day_nanousd=request.spend_day_nanousd,
            spend_month_nanousd=request.spend_month_nanousd,
        )
        record, secret = await self._keys.create(order)
        return auth_pb2.CreateKeyResponse(key=self._message(record), secret=secret)

    async def ListKeys(self, request: auth_pb2.ListKeysRequest, context: _Context) -> auth_pb2.ListKeysResponse:
        return auth_pb2.ListKeysResponse(keys=[self._message(record) for record in self._keys.list(request.account_id)])

    async def RevokeKey(self, request: auth_pb2.RevokeKeyRequest, context: _Context) -> auth_pb2.Key:
        if not request.key_id:
            raise InvalidRequest("key_id is missing")
        return self._message(await self._keys.revoke(request.key_id))

    def _message(self, record: KeyRecord) -> auth_pb2.Key:
        return key_message(
            record,
            is_suspended=self._directory.is_suspended(record.account_id),
            account_limits=self._directory.limits_of(record.account_id),
        )
