"""Tells both sinks about a group, in the one order that a crash anywhere cannot hurt.

    amounts of expiries -> rows -> dead letters -> ClickHouse marks
        -> Redis (each partition: balances and mark, together)

Everything before a mark is idempotent by position, so after a crash the range is simply told again. Redis never knows
more than ClickHouse, so ClickHouse can always rebuild it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from redis.exceptions import RedisError

from lumen.platform.clickhouse import ClickHouseError
from services.billing.dead_letters import DeadLetterRace
from services.billing.groups import Group, PartitionPost
from services.billing.health import Persistence
from services.billing.marks import Mark
from services.billing.metrics import BillingMetrics

logger = logging.getLogger(__name__)

_CLICKHOUSE_AWAY = (ClickHouseError,)
_REDIS_AWAY = (RedisError, OSError, TimeoutError)
_NATS_AWAY = (NatsError, JetStreamError, OSError, TimeoutError, DeadLetterRace)


class RowSink(Protocol):
    async def store_rows(self, group: Group) -> None: ...

    async def store_marks(self, marks: Mapping[int, Mark]) -> None: ...


class BalanceSink(Protocol):
    async def post(self, posts: list[PartitionPost]) -> None: ...


class Applier:
    """Raises MarkConflict from the balance sink; waits for everything else, however long it takes."""

    def __init__(
        self,
        rows: RowSink,
        complete_expiries: Callable[[Group], Awaitable[None]],
        publish_dead_letters: Callable[[Group], Awaitable[None]],
        balances: BalanceSink,
        *,
        on_rows_stored: Callable[[Group], None],
        on_credited: Callable[[set[str]], Awaitable[None]],
        persistence: Persistence,
        metrics: BillingMetrics,
    ) -> None:
        self._rows = rows
        self._complete_expiries = complete_expiries
        self._publish_dead_letters = publish_dead_letters
        self._balances = balances
        self._on_rows_stored = on_rows_stored
        self._on_credited = on_credited
        self._persistence = persistence
        self._metrics = metrics

    async def apply(self, group: Group) -> None:
        until_done = self._persistence.until_done
        if group.expiries:
            await until_done("expiries", lambda: self._complete_expiries(group), _CLICKHOUSE_AWAY)
        if group.marks:
            await until_done("clickhouse", lambda: self._rows.store_rows(group), _CLICKHOUSE_AWAY)
            if group.dead_letters:
                await until_done("dead_letters", lambda: self._publish_dead_letters(group), _NATS_AWAY)
            await until_done("clickhouse_marks", lambda: self._rows.store_marks(group.marks), _CLICKHOUSE_AWAY)
            self._on_rows_stored(group)
        if group.posts:
            posts = list(group.posts.values())
            await until_done("redis", lambda: self._balances.post(posts), _REDIS_AWAY)
        if group.credited_accounts:
            await self._on_credited(group.credited_accounts)
        self._observe(group)

    def _observe(self, group: Group) -> None:
        metrics = self._metrics
        metrics.messages.inc(group.messages)
        metrics.entries.inc(group.entries)
        metrics.rows.labels("usage").inc(len(group.usage))
        metrics.rows.labels("credits").inc(len(group.credits))
        metrics.rows.labels("dead_letters").inc(len(group.dead_letters))
        for place, flaw in group.dead_letters:
            metrics.dead_letters.labels(flaw.reason.value).inc()
            logger.error(
                "dead letter",
                extra={
                    "partition": place.partition,
                    "sequence": place.sequence,
                    "index": flaw.index,
                    "reason": flaw.reason.value,
                    "detail": flaw.detail[:500],
                },
            )
        if group.oldest_published_ns:
            metrics.lag_seconds.set(max(0.0, time.time() - group.oldest_published_ns / 1e9))
