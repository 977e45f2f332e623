"""The services behind the admin API: typed stubs, a deadline on every call, the request's id passed on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio

from lumen.platform.grpc import create_channel, request_metadata
from protos import auth_pb2, auth_pb2_grpc, billing_pb2_grpc, router_pb2_grpc
from services.console.errors import from_rpc_error

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


class Backend:
    """One service: a channel that is kept connected, and calls that raise ConsoleError only."""

    def __init__(self, name: str, address: str, *, timeout_s: float) -> None:
        self.name = name
        self.address = address
        self.channel = create_channel(address)
        self._timeout_s = timeout_s

    async def call(
        self,
        method: Callable[..., Awaitable[_Answer]],
        request: object,
        *,
        timeout_s: float | None = None,
    ) -> _Answer:
        """Call a method of this service's stub with `request`."""
        try:
            return await method(request, timeout=timeout_s or self._timeout_s, metadata=request_metadata())
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc_error(self.name, error)
            if refusal.row.http_status >= 500:
                logger.warning(
                    "call failed",
                    extra={"peer": self.name, "code": error.code().name, "detail": str(error.details())[:500]},
                )
            raise refusal from error

    def problem(self) -> str | None:
        """For /readyz: None while connected. A service that refuses calls is its own /readyz's affair."""
        state = self.channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return None
        return f"{self.name} at {self.address} is not connected ({state.name.lower()})"

    async def keep_connected(self) -> None:
        """Connect before the first call, and again whenever the channel goes idle; runs until cancelled."""
        while True:
            state = self.channel.get_state(try_to_connect=True)
            await self.channel.wait_for_state_change(state)


class Backends:
    """Auth, router and billing."""

    def __init__(self, auth: str, router: str, billing: str, *, timeout_s: float, reconcile_timeout_s: float) -> None:
        self.auth = Backend("auth", auth, timeout_s=timeout_s)
        self.router = Backend("router", router, timeout_s=timeout_s)
        self.billing = Backend("billing", billing, timeout_s=timeout_s)
        self.accounts: auth_pb2_grpc.AuthAdminAsyncStub = auth_pb2_grpc.AuthAdminStub(self.auth.channel)
        self.keys: auth_pb2_grpc.AuthAsyncStub = auth_pb2_grpc.AuthStub(self.auth.channel)
        self.tokens: auth_pb2_grpc.AdminTokensAsyncStub = auth_pb2_grpc.AdminTokensStub(self.auth.channel)
        self.catalog: router_pb2_grpc.RouterAdminAsyncStub = router_pb2_grpc.RouterAdminStub(self.router.channel)
        self.ledger: billing_pb2_grpc.BillingAdminAsyncStub = billing_pb2_grpc.BillingAdminStub(self.billing.channel)
        self.reconcile_timeout_s = reconcile_timeout_s

    @property
    def all(self) -> tuple[Backend, ...]:
        return self.auth, self.router, self.billing

    async def account(self, id_or_name: str) -> auth_pb2.Account:
        """Raises ConsoleError (not_found among others)."""
        return await self.auth.call(self.accounts.GetAccount, auth_pb2.GetAccountRequest(id_or_name=id_or_name))

    async def close(self) -> None:
        await asyncio.gather(*(backend.channel.close(None) for backend in self.all))
