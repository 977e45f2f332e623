"""The services behind the console: typed stubs, deadlines, the request's id passed on, changes audited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from lumen.platform.grpc import create_channel, request_metadata
from protos import auth_pb2, auth_pb2_grpc, billing_pb2_grpc, router_pb2, router_pb2_grpc
from services.console import auditing
from services.console.errors import ConsoleError, Unavailable, from_rpc_error

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


class Audit:
    """Appends entries through auth. `methods` is filled by Backends: bound method -> "service.Method"."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._calls: dict[str, Callable[[Message], Awaitable[Message]]] = {}

    def know(self, service: str, stub: object, call: Callable[..., Awaitable[Any]]) -> None:
        """Learn the methods of one service's stub; `call` calls one of them without auditing it."""
        for name in (*auditing.CHANGES, *auditing.READS):
            owner, _, method = name.partition(".")
            if owner == service:
                bound = getattr(stub, method)
                self._names[id(bound)] = name  # the stub keeps them alive
                self._calls[name] = partial(call, bound, timeout_s=None)

    def name(self, method: object) -> str:
        return self._names.get(id(method), "")

    async def before(self, name: str, request: Message) -> None:
        """Raises Unavailable: then the change must not be made."""
        await self._append(name, request, before_json=await self._was(name, request))

    async def failed(self, name: str, request: Message, error: ConsoleError) -> None:
        try:
            await self._append(name, request, outcome=error.message or error.kind)
        except ConsoleError:
            logger.warning("a change failed and the audit log does not say so", extra={"method": name})

    async def _append(self, name: str, request: Message, *, before_json: str = "", outcome: str = "") -> None:
        entry = auditing.entry_for(name, request)
        entry.before_json, entry.outcome = before_json, outcome
        try:
            await self._calls["Audit.Append"](entry)
        except ConsoleError as error:
            raise Unavailable("the audit log cannot be written, so nothing is changed") from error

    async def _was(self, name: str, request: Message) -> str:
        before = auditing.CHANGES[name].before
        if before is None:
            return ""
        reading, field = before
        question: Message
        if reading == "RouterAdmin.Show":
            question = router_pb2.ShowRequest()
        else:
            value = getattr(request, auditing.CHANGES[name].target)
            question = _QUESTIONS[reading](**{field: value})
        try:
            return auditing.as_json(await self._calls[reading](question))
        except ConsoleError as error:
            if error.row.http_status == 404:
                return ""
            raise


_QUESTIONS: dict[str, Callable[..., Message]] = {
    "AuthAdmin.GetAccount": auth_pb2.GetAccountRequest,
    "Users.GetUser": auth_pb2.GetUserRequest,
    "Alerts.GetAlert": auth_pb2.GetAlertRequest,
}


class Backend:
    """One service: a channel that is kept connected, and calls that raise ConsoleError only."""

    def __init__(self, name: str, address: str, audit: Audit, *, timeout_s: float) -> None:
        self.name = name
        self._audit = audit
        self.address = address
        self.channel = create_channel(address)
        self._timeout_s = timeout_s

    async def call(
        self,
        method: Callable[..., Awaitable[_Answer]],
        request: Message,
        *,
        timeout_s: float | None = None,
    ) -> _Answer:
        """Call a method of this service's stub with `request`. What changes something is audited first."""
        name = self._audit.name(method)
        if not name or not auditing.is_change(name, request):
            return await self.call_unaudited(method, request, timeout_s)
        await self._audit.before(name, request)
        try:
            return await self.call_unaudited(method, request, timeout_s)
        except ConsoleError as error:
            await self._audit.failed(name, request, error)
            raise

    async def call_unaudited(
        self, method: Callable[..., Awaitable[_Answer]], request: Message, timeout_s: float | None
    ) -> _Answer:
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
        audit = Audit()
        self.auth = Backend("auth", auth, audit, timeout_s=timeout_s)
        self.router = Backend("router", router, audit, timeout_s=timeout_s)
        self.billing = Backend("billing", billing, audit, timeout_s=timeout_s)
        self.accounts: auth_pb2_grpc.AuthAdminAsyncStub = auth_pb2_grpc.AuthAdminStub(self.auth.channel)
        self.keys: auth_pb2_grpc.AuthAsyncStub = auth_pb2_grpc.AuthStub(self.auth.channel)
        self.tokens: auth_pb2_grpc.AdminTokensAsyncStub = auth_pb2_grpc.AdminTokensStub(self.auth.channel)
        self.users: auth_pb2_grpc.UsersAsyncStub = auth_pb2_grpc.UsersStub(self.auth.channel)
        self.audit: auth_pb2_grpc.AuditAsyncStub = auth_pb2_grpc.AuditStub(self.auth.channel)
        self.alerts: auth_pb2_grpc.AlertsAsyncStub = auth_pb2_grpc.AlertsStub(self.auth.channel)
        self.catalog: router_pb2_grpc.RouterAdminAsyncStub = router_pb2_grpc.RouterAdminStub(self.router.channel)
        self.ledger: billing_pb2_grpc.BillingAdminAsyncStub = billing_pb2_grpc.BillingAdminStub(self.billing.channel)
        self.reconcile_timeout_s = reconcile_timeout_s
        for service, backend, stub in (
            ("AuthAdmin", self.auth, self.accounts),
            ("AdminTokens", self.auth, self.tokens),
            ("Users", self.auth, self.users),
            ("Audit", self.auth, self.audit),
            ("Alerts", self.auth, self.alerts),
            ("RouterAdmin", self.router, self.catalog),
            ("BillingAdmin", self.billing, self.ledger),
        ):
            audit.know(service, stub, backend.call_unaudited)

    @property
    def all(self) -> tuple[Backend, ...]:
        return self.auth, self.router, self.billing

    async def account(self, id_or_name: str) -> auth_pb2.Account:
        """Raises ConsoleError (not_found among others)."""
        return await self.auth.call(self.accounts.GetAccount, auth_pb2.GetAccountRequest(id_or_name=id_or_name))

    async def close(self) -> None:
        await asyncio.gather(*(backend.channel.close(None) for backend in self.all))
