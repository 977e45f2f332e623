"""`GET /v1/balance` and `GET /v1/usage`: the account's balance and the key's own usage, for whoever holds the key.

Both are asked of billing over gRPC and never touch the path of a model request: few at once, few per key and minute.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from lumen.money.amounts import format_usd
from lumen.platform.grpc import request_metadata
from lumen.protocols.errors import ApiError, ErrorKind
from protos import billing_pb2
from services.edge.account_rate import AccountRate
from services.edge.key_cache import ApiKey
from services.edge.metrics import EdgeMetrics

if TYPE_CHECKING:
    from protos.billing_pb2_grpc import AccountQueriesAsyncStub

_Answer = TypeVar("_Answer")

DAYS_MAX = 31
_DAYS_DEFAULT = 30
_PER_MINUTE = 60  # of one key
_AT_ONCE_MAX = 16
_GROUPINGS = ("model", "day")
_QUERY_FIELDS = frozenset({"since", "until", "by"})


class AccountApi:
    """`stub` None: this edge was given no billing to ask. Raises ApiError 400, 429, 503."""

    def __init__(
        self,
        stub: AccountQueriesAsyncStub | None,
        metrics: EdgeMetrics,
        *,
        keys_max: int,
        timeout_s: float,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._stub = stub
        self._metrics = metrics
        self._rate = AccountRate(_PER_MINUTE, keys_max)
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._asking = 0

    async def balance(self, key: ApiKey) -> dict[str, Any]:
        stub = self._admit(key)
        answer = await self._ask(stub.GetBalance, billing_pb2.GetBalanceRequest(account_id=key.account_id))
        return {
            "object": "balance",
            "currency": "USD",
            **_amounts("balance", answer.balance_nanousd),
            **_amounts("reserved", answer.reserved_nanousd),
            **_amounts("available", answer.available_nanousd),
            "is_live": answer.is_live,
        }

    async def usage(self, key: ApiKey, query: Mapping[str, str]) -> dict[str, Any]:
        """`since` and `until` (exclusive) are days in UTC, `by` is model or day."""
        stub = self._admit(key)
        since, until, by = self._asked(query)
        request = billing_pb2.KeyUsageRequest(
            account_id=key.account_id,
            key_id=key.key_id,
            since_s=_unix_s(since),
            until_s=_unix_s(until),
            by_day=by == "day",
        )
        answer = await self._ask(stub.GetKeyUsage, request)
        rows = [_row(by, row) for row in answer.rows]
        totals = {name: sum(row[name] for row in rows) for name in _COUNTS}
        return {
            "object": "usage",
            "key_id": key.key_id,
            "since": str(since),
            "until": str(until),
            "by": by,
            "currency": "USD",
            "data": rows,
            "total": {**totals, "cost_usd": format_usd(totals["cost_nanousd"])},
        }

    def _admit(self, key: ApiKey) -> AccountQueriesAsyncStub:
        if self._stub is None:
            raise ApiError(ErrorKind.OVERLOADED, "Balance and usage are not available here.", retry_after_s=60)
        wait_s = self._rate.try_ask(key.key_id, time.monotonic())
        if wait_s > 0:
            raise ApiError(
                ErrorKind.RATE_LIMIT,
                f"Balance and usage may be asked {_PER_MINUTE} times a minute.",
                retry_after_s=max(1, math.ceil(wait_s)),
            )
        if self._asking >= _AT_ONCE_MAX:
            raise ApiError(ErrorKind.OVERLOADED, "Too many are asking for their usage. Please retry.", retry_after_s=1)
        return self._stub

    async def _ask(self, method: Callable[..., Awaitable[_Answer]], request: object) -> _Answer:
        self._asking += 1
        try:
            answer = await method(request, timeout=self._timeout_s, metadata=request_metadata())
        except grpc.aio.AioRpcError as error:
            self._metrics.account_queries.labels(error.code().name.lower()).inc()
            raise ApiError(
                ErrorKind.OVERLOADED, "Balance and usage cannot be read at the moment. Please retry.", retry_after_s=2
            ) from error
        finally:
            self._asking -= 1
        self._metrics.account_queries.labels("ok").inc()
        return answer

    def _asked(self, query: Mapping[str, str]) -> tuple[date, date, str]:
        for name in query:
            if name not in _QUERY_FIELDS:
                raise _refusal(name[:100], f"there is no such parameter; known: {', '.join(sorted(_QUERY_FIELDS))}")
        until = _day("until", query.get("until")) or datetime.fromtimestamp(self._now_s(), UTC).date() + timedelta(
            days=1
        )
        since = _day("since", query.get("since")) or until - timedelta(days=_DAYS_DEFAULT)
        if not timedelta(0) < until - since <= timedelta(days=DAYS_MAX):
            raise _refusal("since", f"must be before `until`, which is exclusive, by at most {DAYS_MAX} days")
        by = query.get("by", "model")
        if by not in _GROUPINGS:
            raise _refusal("by", "one of model, day")
        return since, until, by


_COUNTS = (
    "requests",
    "uncharged_requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanousd",
)


def _row(by: str, row: billing_pb2.KeyUsageRow) -> dict[str, Any]:
    counts = {name: getattr(row, name) for name in _COUNTS}
    return {by: row.value, **counts, "cost_usd": format_usd(row.cost_nanousd)}


def _amounts(name: str, nanousd: int) -> dict[str, Any]:
    return {f"{name}_nanousd": nanousd, f"{name}_usd": format_usd(nanousd)}


def _day(name: str, text: str | None) -> date | None:
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise _refusal(name, "write a day such as 2026-11-25 (UTC)") from error
    if not 2000 <= day.year < 2100:
        raise _refusal(name, "must be between 2000 and 2100")
    return day


def _refusal(name: str, message: str) -> ApiError:
    return ApiError(ErrorKind.INVALID_REQUEST, f"{name}: {message}", param=name)


def _unix_s(day: date) -> int:
    return int(datetime.combine(day, time_of_day(), UTC).timestamp())
