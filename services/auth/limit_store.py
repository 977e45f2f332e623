"""Limits shared among edge workers: one Redis hash per limit, one script (`lumen/ledger/scripts/share_limit.lua`).

Auth keeps nothing of them: any replica answers for any limit. A hash has a hash tag of its own and a call touches one
hash, so limits spread over a Redis Cluster. A Redis that comes back empty forgets rates (one burst more) and requests
in flight until workers tell of them again, within seconds; what live workers have spent in a window they tell whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lumen.ledger.redis_scripts import Script, ScriptCall
from protos import auth_pb2
from services.auth.errors import Unavailable

# A worker unheard of for so long has died or is cut off, and has stopped using what it held (`services/edge/limits`).
SILENT_MS = 30_000
_RATE_OUTLIVES_MS = 600_000
_SPEND_OUTLIVES_MS = {auth_pb2.LIMIT_SPEND_DAY: 3 * 86_400_000, auth_pb2.LIMIT_SPEND_MONTH: 40 * 86_400_000}
_DRAINING = frozenset({auth_pb2.LIMIT_REQUESTS, auth_pb2.LIMIT_TOKENS})
_CALLS_AT_ONCE_MAX = 16  # of the Redis connections, which leases need too
_AWAY = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class ShareOrder:
    """One limit as its worker asserts it; see protos/auth.proto's LimitShare."""

    scope: str
    kind: auth_pb2.LimitKind
    window: str
    limit: int
    used: int
    used_known: int
    held: int
    need: int
    waiting: int
    ahead: int
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class ShareAnswer:
    granted: int
    available: int
    wait_ms: int
    is_scarce: bool


def limit_key(scope: str, kind: auth_pb2.LimitKind, window: str) -> str:
    """The hash of one limit."""
    return f"lumen:{{limit:{scope}:{auth_pb2.LimitKind.Name(kind).lower()}:{window}}}"


class LimitStore:
    """`now_ms`: 0 leaves the time to Redis; tests bring their own."""

    def __init__(self, redis: Redis, *, now_ms: Callable[[], int] = lambda: 0) -> None:
        self._redis = redis
        self._now_ms = now_ms
        self._script = Script("share_limit")
        self._slots = asyncio.Semaphore(_CALLS_AT_ONCE_MAX)

    async def share(self, lease: str, sequence: int, orders: Sequence[ShareOrder], workers: int) -> list[ShareAnswer]:
        """One round trip for all. Raises Unavailable: some may have been answered; the next call tells all again."""
        calls = [self._call(lease, sequence, order, workers) for order in orders]
        if not calls:
            return []
        try:
            async with self._slots:
                answers = await self._script.run_many(self._redis, calls)
        except _AWAY as error:
            raise Unavailable("the store of limits is not reachable") from error
        for answer in answers:
            if isinstance(answer, Exception):
                raise Unavailable("the store of limits refused a call") from answer
        return [
            ShareAnswer(int(granted), int(available), int(wait_ms), bool(is_scarce))
            for granted, available, wait_ms, is_scarce in answers
        ]

    def _call(self, lease: str, sequence: int, order: ShareOrder, workers: int) -> ScriptCall:
        outlives_ms = _SPEND_OUTLIVES_MS.get(order.kind, _RATE_OUTLIVES_MS)
        args: list[str | int] = [lease, self._now_ms(), sequence, SILENT_MS, outlives_ms]
        args += [int(order.kind in _DRAINING), int(order.kind in _SPEND_OUTLIVES_MS)]
        args += [order.limit, order.used, order.used_known, order.held, order.need, order.waiting, order.ahead]
        args += [max(1, workers), int(order.is_new)]
        return [limit_key(order.scope, order.kind, order.window)], args
