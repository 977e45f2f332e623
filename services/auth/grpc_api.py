"""Auth (protos/auth.proto), what edges call: parse, call, map; no rules here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc

from protos import auth_pb2, auth_pb2_grpc
from services.auth import grpc_requests
from services.auth.directory import Directory
from services.auth.errors import GRPC_CODES, AuthError, InvalidRequest, TooManyWatchers, Unavailable
from services.auth.grants import Grants
from services.auth.limit_store import LimitStore
from services.auth.live_workers import LiveWorkers
from services.auth.metrics import AuthMetrics
from services.auth.records import key_view
from services.auth.retirements import Retirements
from services.auth.watch_hub import WatchHub

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_DIGEST_BYTES = 32
_READY_WAIT_S_MAX = 1.5


class AuthApi(auth_pb2_grpc.AuthServicer):
    """Domain errors (services.auth.errors) become status codes in the server's interceptor."""

    def __init__(
        self,
        directory: Directory,
        hub: WatchHub,
        grants: Grants,
        retirements: Retirements,
        limits: LimitStore,
        workers: LiveWorkers,
        metrics: AuthMetrics,
        *,
        heartbeat_s: float,
    ) -> None:
        self._directory = directory
        self._hub = hub
        self._grants = grants
        self._retirements = retirements
        self._limits = limits
        self._workers = workers
        self._metrics = metrics
        self._heartbeat_s = heartbeat_s

    def stop(self) -> None:
        """End the watch streams, so that edges move to another replica before this one is gone."""
        self._hub.stop()

    async def Authenticate(
        self, request: auth_pb2.AuthenticateRequest, context: _Context
    ) -> auth_pb2.AuthenticateResponse:
        if len(request.key_sha256) != _DIGEST_BYTES:
            raise InvalidRequest(f"key_sha256: expected {_DIGEST_BYTES} bytes")
        self._directory.require_ready()
        record = self._directory.key(request.key_sha256)
        self._metrics.authentications.labels("not_found" if record is None else "found").inc()
        response = auth_pb2.AuthenticateResponse(stamp=self._directory.stamp())
        if record is not None:
            is_suspended = self._directory.is_suspended(record.account_id)
            limits = self._directory.limits_of(record.account_id)
            response.key.CopyFrom(key_view(record, is_suspended=is_suspended, account_limits=limits))
        return response

    async def Watch(self, request: auth_pb2.WatchRequest, context: _Context) -> AsyncIterator[auth_pb2.WatchEvent]:
        """Changes from now on, no snapshot; a heartbeat at once (the stream is up) and after each silence."""
        try:
            async with asyncio.timeout(_READY_WAIT_S_MAX):
                await self._directory.wait_ready()
        except TimeoutError:
            await _refuse(context, Unavailable("accounts and keys have not been read yet"))
        try:
            with self._hub.watching(request.lease_id) as watcher:
                yield self._hub.heartbeat()
                while not self._hub.is_stopping and not watcher.is_dropped:
                    event = await watcher.next(self._heartbeat_s)
                    yield event if event is not None else self._hub.heartbeat()
        except TooManyWatchers as error:
            await _refuse(context, error)

    async def Grant(self, request: auth_pb2.GrantRequest, context: _Context) -> auth_pb2.GrantResponse:
        answer = await self._grants.grant(grpc_requests.grant_order(request))
        return auth_pb2.GrantResponse(
            outcome=answer.outcome,  # type: ignore[arg-type]  # the script's numbers are the enum's
            account_granted_nanousd=answer.account_granted,
            key_granted_nanousd=answer.key_granted,
            account_released_nanousd=answer.account_released,
            key_released_nanousd=answer.key_released,
            available_nanousd=answer.available,
            limited_by=answer.limited_by,  # type: ignore[arg-type]
        )

    async def Renew(self, request: auth_pb2.RenewRequest, context: _Context) -> auth_pb2.RenewResponse:
        lease, totals = grpc_requests.renewal(request)
        answers = await self._grants.renew(lease, totals)
        return auth_pb2.RenewResponse(
            totals=[
                auth_pb2.LeaseTotals(
                    account_id=books.account,
                    key_id=books.key_id,
                    granted_nanousd=granted,
                    released_nanousd=released,
                )
                for books, (granted, released) in zip(totals, answers, strict=True)
            ]
        )

    async def Retire(self, request: auth_pb2.RetireRequest, context: _Context) -> auth_pb2.RetireResponse:
        await self._retirements.retire(grpc_requests.worker_of(request.worker_id), request.current_boot)
        return auth_pb2.RetireResponse()

    async def ShareLimits(
        self, request: auth_pb2.ShareLimitsRequest, context: _Context
    ) -> auth_pb2.ShareLimitsResponse:
        lease = grpc_requests.lease_of(request.lease_id)
        orders = grpc_requests.limit_shares(request)
        self._workers.saw(lease)
        workers = self._workers.count()
        answers = await self._limits.share(lease, request.sequence, orders, workers)
        self._metrics.limit_shares.inc(len(answers))
        return auth_pb2.ShareLimitsResponse(
            grants=[
                auth_pb2.LimitGrant(
                    granted=answer.granted,
                    available=answer.available,
                    wait_ms=answer.wait_ms,
                    is_scarce=answer.is_scarce,
                )
                for answer in answers
            ],
            live_workers=workers,
        )


async def _refuse(context: _Context, error: AuthError) -> None:
    """End a stream with an error; the server's interceptor does this for unary calls."""
    await context.abort(GRPC_CODES[error.kind], error.message, (("lumen-error-kind", error.kind),))
