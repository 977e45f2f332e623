"""The proof: ledger, rows, rollups and balances against one another; and the same, lightly, all the time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from redis.exceptions import RedisError

from lumen.ledger import keyspace
from lumen.platform.clickhouse import ClickHouseError
from services.billing.balance_check import BalanceCheck, Comparison
from services.billing.charge_check import ChargeCheck
from services.billing.clickhouse_sink import ClickHouseSink
from services.billing.errors import Unavailable
from services.billing.grant_check import GrantCheck
from services.billing.ledger_stream import LastMessage, LedgerStream
from services.billing.marks import Mark, digest_of
from services.billing.metrics import BillingMetrics
from services.billing.redis_sink import RedisSink
from services.billing.row_checks import DRIFTS_NAMED_MAX, Check, RowChecks

logger = logging.getLogger(__name__)

_STORES_AWAY = (ClickHouseError, RedisError, NatsError, JetStreamError, OSError, TimeoutError)
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Report:
    checks: list[Check]
    entries: int
    dead_letters: int

    @property
    def is_ok(self) -> bool:
        return all(check.is_ok for check in self.checks)


class Reconciler:
    """Raises errors.Unavailable when a store is away: no proof, neither way."""

    def __init__(
        self,
        partitions: Sequence[int],
        *,
        ledger: LedgerStream,
        clickhouse: ClickHouseSink,
        redis: RedisSink,
        balances: BalanceCheck,
        rows: RowChecks,
        charges: ChargeCheck,
        grants: GrantCheck,
        catch_up_s_max: float = 10.0,
    ) -> None:
        self._partitions = list(partitions)
        self._ledger = ledger
        self._clickhouse = clickhouse
        self._redis = redis
        self._balances = balances
        self._rows = rows
        self._charges = charges
        self._grants = grants
        self._catch_up_s_max = catch_up_s_max

    async def run(self, account: str = "") -> Report:
        """`account` empty: everything. Entries that arrive meanwhile do not disturb it."""
        try:
            partitions = [keyspace.partition_of(account)] if account else self._partitions
            position = await self._position(partitions)
            comparison = await self._balances.compare(partitions, account)
            stored = await self._clickhouse.load_marks()
            marks = {p: stored[p].mark for p in partitions if p in stored}
            dead_letters, dead_letter_count = await self._rows.dead_letters(account)
            checks = [
                position,
                *_balance_checks(comparison),
                await self._rows.batch_numbers(marks),
                await self._rows.request_ids(marks, account),
                await self._charges.compare(marks, account),
                await self._grants.compare(marks, account),
                await self._rows.rollups(account),
                dead_letters,
            ]
            return Report(checks, await self._rows.entries(marks, account), dead_letter_count)
        except _STORES_AWAY as error:
            raise Unavailable(f"a store is away: {str(error)[:300] or repr(error)}") from error

    async def _position(self, partitions: Sequence[int]) -> Check:
        """Both marks reach (or have passed) what the ledger held when we looked. Waits, bounded."""
        found = await asyncio.gather(*(self._ledger.last_of(keyspace.partition_filter(p)) for p in partitions))
        last = dict(zip(partitions, found, strict=True))
        deadline = time.monotonic() + self._catch_up_s_max
        while drifts := await self._behind(last):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_POLL_S)
        return Check("ledger_posted", not drifts, len(partitions), drifts[:DRIFTS_NAMED_MAX])

    async def _behind(self, last: dict[int, LastMessage | None]) -> list[str]:
        stored = await self._clickhouse.load_marks()
        redis = await self._redis.load_marks(list(last))
        drifts: list[str] = []
        for partition, message in last.items():
            in_clickhouse = stored[partition].mark if partition in stored else None
            for store, mark in (("ClickHouse", in_clickhouse), ("Redis", redis[partition])):
                problem = _mark_problem(mark, message)
                if problem is not None:
                    drifts.append(f"partition {partition}: {store}'s mark {mark} {problem}")
        return drifts


def _mark_problem(mark: Mark | None, last: LastMessage | None) -> str | None:
    if mark is None:
        return "is missing"
    if last is None:
        return None  # never used, or all trimmed
    if mark.sequence < last.sequence:
        return f"is behind the ledger's {last.sequence}"
    if mark.sequence == last.sequence and mark.digest != digest_of(last.payload):
        return "names another message than the ledger holds"
    return None


def _balance_checks(comparison: Comparison) -> list[Check]:
    return [
        Check(
            "balances_equal_ledger",
            comparison.drifting == 0,
            comparison.examined,
            comparison.drifts[:DRIFTS_NAMED_MAX],
        ),
        Check(
            "reserved_equals_open_leases",
            not comparison.broken_books,
            comparison.examined,
            comparison.broken_books[:DRIFTS_NAMED_MAX],
        ),
    ]


class ContinuousCheck:
    """Compares a few partitions' balances a minute, in turn; drifts become metrics and logs."""

    def __init__(
        self,
        partitions: Sequence[int],
        balances: BalanceCheck,
        metrics: BillingMetrics,
        *,
        interval_s: float = 60.0,
        partitions_per_round: int = 8,
    ) -> None:
        self._partitions = list(partitions)
        self._balances = balances
        self._metrics = metrics
        self._interval_s = interval_s
        self._partitions_per_round = max(1, min(partitions_per_round, len(self._partitions)))
        self._found: dict[int, Comparison] = {}  # by first partition of the round
        self._next = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.check_round()
            except _STORES_AWAY as error:
                logger.warning("balance check skipped", extra={"error": str(error)[:500]})

    async def check_round(self) -> None:
        start, self._next = self._next, self._next + self._partitions_per_round
        comparison = await self._balances.compare(self._partitions[start : self._next])
        if self._next >= len(self._partitions):
            self._next = 0
        self._found[start] = comparison
        for drift in comparison.drifts:
            logger.error("balance drift", extra={"drift": drift})
        self._metrics.drift_accounts.set(sum(found.drifting for found in self._found.values()))
        self._metrics.drift_nanousd.set(sum(found.drift_nanousd for found in self._found.values()))
        self._metrics.drift_checked_at.set(time.time())


class ContinuousProof:
    """The whole proof, again and again; each check's drifts become a metric and a log."""

    def __init__(self, reconciler: Reconciler, metrics: BillingMetrics, *, interval_s: float = 600.0) -> None:
        self._reconciler = reconciler
        self._metrics = metrics
        self._interval_s = interval_s

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.prove()
            except Unavailable as error:
                logger.warning("proof skipped", extra={"error": str(error)[:500]})

    async def prove(self) -> None:
        """Raises Unavailable."""
        report = await self._reconciler.run()
        for check in report.checks:
            drifts = 0 if check.is_ok else max(1, len(check.drifts))
            self._metrics.proof_drifts.labels(check.name).set(drifts)
            for drift in check.drifts if drifts else ():
                logger.error("drift", extra={"check": check.name, "drift": drift})
        self._metrics.recorded_dead_letters.set(report.dead_letters)
        self._metrics.proved_at.set(time.time())
