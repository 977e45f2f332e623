"""/admin/v1/ledger: what an operator does with the ledger itself: dead letters, rebuilt balances, an adopted copy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from protos import billing_pb2
from services.console.bodies import Body
from services.console.pages import Cursor, Limit, page_of
from services.console.parts import ADMIN_ROOT, PartsDependency
from services.console.times import format_time_us

router = APIRouter(prefix=f"{ADMIN_ROOT}/ledger", tags=["ledger"])


class ReplayBody(Body):
    """`catalog_revision`: rate with this revision; 0: the entry's own."""

    catalog_revision: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0


class RebuildBody(Body):
    """`account`: its partition only; empty: all. `accept_trimmed`: entries trimmed unposted are given up."""

    account: str = ""
    accept_trimmed: bool = False


class AdoptBody(Body):
    dry_run: bool = False


class DeadLetterView(BaseModel):
    id: str
    account: str
    request_id: str
    reason: str
    detail: str
    producer: str
    batch_number: int
    published_at: str
    is_replayed: bool


class DeadLettersView(BaseModel):
    dead_letters: list[DeadLetterView]  # newest first, of the newest 1000
    next_cursor: str | None


class ReplayedView(BaseModel):
    id: str
    entries: int
    already_existed: bool  # replayed before: nothing was appended now


class RebuiltView(BaseModel):
    partitions: int
    accepted_partitions: list[int]  # were stopped as trimmed


class AdoptedPartitionView(BaseModel):
    partition: int
    epoch: int
    sequence: int  # posted up to here
    batches_restored: int  # posted before, lost by the ledger, appended again
    batches_unposted: int  # found in the ledger and posted from now on


class AdoptedView(BaseModel):
    dry_run: bool
    partitions: list[AdoptedPartitionView]


@router.get("/dead-letters")
async def dead_letters(
    parts: PartsDependency, account: str = "", replayed: bool = False, limit: Limit = 200, cursor: Cursor = ""
) -> DeadLettersView:
    """Entries that could not be decoded or rated: recorded, not charged. `replayed`: those already replayed too."""
    backends = parts.backends
    account_id = (await backends.account(account)).id if account else ""
    request = billing_pb2.ListDeadLettersRequest(account_id=account_id, with_replayed=replayed)
    answer = await backends.billing.call(backends.ledger.ListDeadLetters, request)
    page, next_cursor = page_of(answer.letters, lambda letter: letter.id, cursor, limit)
    return DeadLettersView(
        next_cursor=next_cursor,
        dead_letters=[
            DeadLetterView(
                id=letter.id,
                account=letter.account_id,
                request_id=letter.request_id,
                reason=letter.reason,
                detail=letter.detail,
                producer=letter.producer,
                batch_number=letter.batch_number,
                published_at=format_time_us(letter.published_at_us),
                is_replayed=letter.is_replayed,
            )
            for letter in page
        ],
    )


@router.post("/dead-letters/{letter}/replay")
async def replay_dead_letter(
    letter: Annotated[str, Path(max_length=100)], body: ReplayBody, parts: PartsDependency
) -> ReplayedView:
    """Append it to the ledger, once: repeating it is harmless. 400 when it still cannot be read."""
    backends = parts.backends
    request = billing_pb2.ReplayDeadLetterRequest(id=letter, catalog_revision=body.catalog_revision)
    answer = await backends.billing.call(backends.ledger.ReplayDeadLetter, request)
    return ReplayedView(id=letter, entries=answer.entries, already_existed=answer.already_existed)


@router.post("/rebuild")
async def rebuild_balances(body: RebuildBody, parts: PartsDependency) -> RebuiltView:
    """Balances again from ClickHouse and the ledger. 409 for partitions that stopped and may not simply run."""
    backends = parts.backends
    account_id = (await backends.account(body.account)).id if body.account else ""
    request = billing_pb2.RebuildBalancesRequest(account_id=account_id, accept_trimmed=body.accept_trimmed)
    answer = await backends.billing.call(
        backends.ledger.RebuildBalances, request, timeout_s=backends.reconcile_timeout_s
    )
    return RebuiltView(partitions=answer.partitions, accepted_partitions=list(answer.accepted))


@router.post("/adopt")
async def adopt_ledger(body: AdoptBody, parts: PartsDependency) -> AdoptedView:
    """Run partitions again whose ledger fell back to an older copy: a new epoch, and back what the ledger lost."""
    backends = parts.backends
    request = billing_pb2.AdoptLedgerRequest(dry_run=body.dry_run)
    answer = await backends.billing.call(backends.ledger.AdoptLedger, request, timeout_s=backends.reconcile_timeout_s)
    return AdoptedView(
        dry_run=body.dry_run,
        partitions=[
            AdoptedPartitionView(
                partition=each.partition,
                epoch=each.epoch,
                sequence=each.sequence,
                batches_restored=each.batches_restored,
                batches_unposted=each.batches_unposted,
            )
            for each in answer.partitions
        ],
    )
