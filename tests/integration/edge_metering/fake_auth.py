"""auth's lease calls with one pot of credit per account, on a real gRPC server; it may be told to fail."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

import grpc.aio

from protos import auth_pb2 as pb
from protos import auth_pb2_grpc


class FakeAuth(auth_pb2_grpc.AuthServicer):
    """`available` per account, `limits` per key id (missing: endless); totals by (account, key id) only grow."""

    def __init__(self) -> None:
        self.available: dict[str, int] = defaultdict(int)
        self.limits: dict[str, int] = {}
        self.granted: dict[tuple[str, str], int] = defaultdict(int)
        self.released: dict[tuple[str, str], int] = defaultdict(int)
        self.grants: list[pb.GrantRequest] = []
        self.renewals: list[pb.RenewRequest] = []
        self.retired: list[tuple[str, int]] = []
        self.is_live = True
        self.is_away = False
        self.is_answer_lost = False  # done, but the caller never hears
        self.gate = asyncio.Event()
        self.gate.set()

    async def Grant(self, request: pb.GrantRequest, context: grpc.aio.ServicerContext) -> pb.GrantResponse:  # type: ignore[type-arg]
        self.grants.append(pb.GrantRequest.FromString(request.SerializeToString()))
        await self.gate.wait()
        await self._fail_if(self.is_away, context)
        account = request.account.account_id
        outcome = self._outcome(request, account)
        limited_by = pb.GRANT_OUTCOME_UNSPECIFIED
        if outcome == pb.GRANTED:
            amount = max(request.hold_nanousd, min(request.want_nanousd, self.available[account] // 4))
            if request.HasField("key") and self.limits[request.key.key_id] < amount:
                amount = self.limits[request.key.key_id]
                limited_by = pb.KEY_SPEND_LIMIT_REACHED if amount < request.hold_nanousd else limited_by
            if self.available[account] < amount:
                amount, limited_by = self.available[account], pb.INSUFFICIENT_CREDITS
            self.available[account] -= amount
            self.granted[account, ""] += amount
            if request.HasField("key"):
                self.limits[request.key.key_id] -= amount
                self.granted[account, request.key.key_id] += amount
        await self._fail_if(self.is_answer_lost, context)
        return pb.GrantResponse(
            outcome=outcome,
            account_granted_nanousd=self.granted[account, ""],
            key_granted_nanousd=self.granted[account, request.key.key_id] if request.HasField("key") else 0,
            available_nanousd=self.available[account],
            limited_by=limited_by,
        )

    def _outcome(self, request: pb.GrantRequest, account: str) -> pb.GrantOutcome:
        if not self.is_live:
            return pb.NOT_LIVE
        if request.HasField("key"):
            limit = self.limits.setdefault(request.key.key_id, request.key_spend_limit_nanousd)
            if limit < (request.hold_min_nanousd or request.hold_nanousd):
                return pb.KEY_SPEND_LIMIT_REACHED
        least = request.hold_min_nanousd or request.hold_nanousd
        return pb.GRANTED if self.available[account] >= least else pb.INSUFFICIENT_CREDITS

    async def Renew(self, request: pb.RenewRequest, context: grpc.aio.ServicerContext) -> pb.RenewResponse:  # type: ignore[type-arg]
        await self._fail_if(self.is_away, context)
        self.renewals.append(request)
        for totals in request.totals:
            identity = (totals.account_id, totals.key_id)
            given_back = max(0, totals.released_nanousd - self.released[identity])
            self.released[identity] += given_back
            self.granted[identity] = max(self.granted[identity], totals.granted_nanousd)
            if not totals.key_id:
                self.available[totals.account_id] += given_back
        answer = [
            pb.LeaseTotals(
                account_id=t.account_id,
                key_id=t.key_id,
                granted_nanousd=self.granted[t.account_id, t.key_id],
                released_nanousd=self.released[t.account_id, t.key_id],
            )
            for t in request.totals
        ]
        return pb.RenewResponse(totals=answer)

    async def Authenticate(self, request: object, context: object) -> pb.AuthenticateResponse:
        raise NotImplementedError

    async def Watch(self, request: object, context: object) -> AsyncIterator[pb.WatchEvent]:
        for _ in ():
            yield pb.WatchEvent()

    async def Retire(self, request: pb.RetireRequest, context: grpc.aio.ServicerContext) -> pb.RetireResponse:  # type: ignore[type-arg]
        await self._fail_if(self.is_away, context)
        self.retired.append((request.worker_id, request.current_boot))
        return pb.RetireResponse()

    async def ShareLimits(
        self,
        request: pb.ShareLimitsRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> pb.ShareLimitsResponse:
        """Limits have tests of their own."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    async def _fail_if(self, is_failing: bool, context: grpc.aio.ServicerContext) -> None:  # type: ignore[type-arg]
        if is_failing:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "told to fail")
