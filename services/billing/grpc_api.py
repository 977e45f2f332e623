"""BillingAdmin (protos/billing.proto): parse, call, map; no rules here."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc

from lumen.money.pots import Pots
from protos import billing_pb2, billing_pb2_grpc
from services.billing.adoption import Adoption
from services.billing.balance_rebuild import BalanceRebuild
from services.billing.balances import Balances, balance_message
from services.billing.credits import CreditOrder, Credits
from services.billing.errors import InvalidRequest
from services.billing.grants_left import GrantsLeft
from services.billing.reconcile import Reconciler
from services.billing.replay import Replays

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class BillingAdmin(billing_pb2_grpc.BillingAdminServicer):
    """Domain errors (services.billing.errors) become status codes in the server's interceptor."""

    def __init__(
        self,
        credits_: Credits,
        balances: Balances,
        grants: GrantsLeft,
        reconciler: Reconciler,
        replays: Replays,
        rebuild: BalanceRebuild,
        adoption: Adoption,
    ) -> None:
        self._credits = credits_
        self._balances = balances
        self._grants = grants
        self._reconciler = reconciler
        self._replays = replays
        self._rebuild = rebuild
        self._adoption = adoption

    async def PostCredit(self, request: billing_pb2.PostCreditRequest, context: _Context) -> billing_pb2.CreditView:
        posted = await self._credits.post(
            CreditOrder(
                account=request.account_id,
                amount_nanousd=request.amount_nanousd,
                kind=request.kind,
                reference=request.reference,
                paid_amount=request.paid_amount,
                paid_currency=request.paid_currency,
                note=request.note,
                expires_at_s=request.expires_at_s,
            )
        )
        entry = posted.entry
        return billing_pb2.CreditView(
            account_id=entry.account,
            amount_nanousd=entry.amount_nanousd,
            kind=entry.kind,
            source=entry.source,
            reference=entry.reference,
            paid_amount=entry.paid_amount,
            paid_currency=entry.paid_currency,
            note=entry.note,
            created_at_s=entry.created_at_us // 1_000_000,
            expires_at_s=entry.expires_at_s,
            already_existed=posted.already_existed,
            stream_sequence=posted.stream_sequence,
        )

    async def GetBalance(self, request: billing_pb2.GetBalanceRequest, context: _Context) -> billing_pb2.Balance:
        if not request.account_id:
            raise InvalidRequest("account_id is missing")
        balance = await self._balances.get(request.account_id)
        message = balance_message(request.account_id, balance)
        grants = _grants_left(await self._grants.of(request.account_id, balance.mark))
        if grants is not None:
            message.grants.CopyFrom(grants)
        return message

    async def Reconcile(self, request: billing_pb2.ReconcileRequest, context: _Context) -> billing_pb2.ReconcileReport:
        report = await self._reconciler.run(request.account_id)
        return billing_pb2.ReconcileReport(
            is_ok=report.is_ok,
            checks=[
                billing_pb2.Check(name=check.name, is_ok=check.is_ok, examined=check.examined, drifts=check.drifts)
                for check in report.checks
            ],
            entries=report.entries,
            dead_letters=report.dead_letters,
        )

    async def ListDeadLetters(
        self, request: billing_pb2.ListDeadLettersRequest, context: _Context
    ) -> billing_pb2.DeadLetters:
        letters = await self._replays.letters(request.account_id, with_replayed=request.with_replayed)
        return billing_pb2.DeadLetters(
            letters=[
                billing_pb2.DeadLetter(
                    id=str(letter.id),
                    account_id=letter.account,
                    request_id=letter.request_id,
                    reason=letter.reason,
                    detail=letter.detail,
                    producer=letter.producer,
                    batch_number=letter.batch_number,
                    published_at_us=letter.published_at_us,
                    is_replayed=letter.is_replayed,
                )
                for letter in letters
            ]
        )

    async def ReplayDeadLetter(
        self, request: billing_pb2.ReplayDeadLetterRequest, context: _Context
    ) -> billing_pb2.Replayed:
        replayed = await self._replays.replay(request.id, request.catalog_revision)
        return billing_pb2.Replayed(
            entries=replayed.entries, already_existed=replayed.already_existed, stream_sequences=replayed.sequences
        )

    async def RebuildBalances(
        self, request: billing_pb2.RebuildBalancesRequest, context: _Context
    ) -> billing_pb2.RebuiltBalances:
        rebuilt = await self._rebuild.run(request.account_id, accept_trimmed=request.accept_trimmed)
        return billing_pb2.RebuiltBalances(partitions=rebuilt.partitions, accepted=rebuilt.accepted)

    async def AdoptLedger(
        self, request: billing_pb2.AdoptLedgerRequest, context: _Context
    ) -> billing_pb2.AdoptedLedger:
        adopted = await self._adoption.run(is_dry=request.dry_run)
        return billing_pb2.AdoptedLedger(
            partitions=[
                billing_pb2.AdoptedPartition(
                    partition=each.partition,
                    epoch=each.mark.epoch,
                    sequence=each.mark.sequence,
                    batches_restored=each.restored,
                    batches_unposted=each.unposted,
                )
                for each in adopted
            ]
        )


def _grants_left(pots: Pots | None) -> billing_pb2.GrantsLeft | None:
    if pots is None:
        return None
    expiry = pots.next_expiry
    return billing_pb2.GrantsLeft(
        grants_nanousd=pots.grants_nanousd,
        next_expiry_at_s=expiry.at_s if expiry is not None else 0,
        next_expiry_nanousd=expiry.amount_nanousd if expiry is not None else 0,
    )
