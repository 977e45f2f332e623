"""AccountQueries (protos/billing.proto): what edges ask for the holders of keys. It reads, and cannot do anything else.

On a port of its own: who can reach it cannot post credits. Bounded in days, rows and queries at once.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import grpc

from lumen.platform.clickhouse import ClickHouse, ClickHouseError
from protos import billing_pb2, billing_pb2_grpc
from services.billing.balances import Balances, balance_message
from services.billing.errors import InvalidRequest, Unavailable
from services.billing.metrics import BillingMetrics

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

DAYS_MAX = 31
ROWS_MAX = 1000
_AT_ONCE_MAX = 8
_DAY_S = 86_400
_TOKENS = (
    "ifNull(input_tokens, 0)",
    "ifNull(cache_read_tokens, 0)",
    "ifNull(cache_write_5m_tokens, 0) + ifNull(cache_write_1h_tokens, 0)",
    "ifNull(output_tokens, 0)",
    "ifNull(reasoning_tokens, 0)",
)
_USAGE_SQL = (
    "SELECT {value} AS value, countIf(is_billable), countIf(NOT is_billable), "
    + ", ".join(f"sumIf({tokens}, is_billable)" for tokens in _TOKENS)
    + ", sum(cost_nanousd) AS cost FROM usage FINAL WHERE account = {{account:String}}"
    # `hour` is in the sorting key, `started_at_us` is the exact bound.
    " AND hour >= toDateTime({{since_s:Int64}} - {{since_s:Int64}} % 3600, 'UTC')"
    " AND hour <= toDateTime({{until_s:Int64}}, 'UTC') AND started_at_us >= {{since_s:Int64}} * 1000000"
    " AND started_at_us < {{until_s:Int64}} * 1000000 AND key_id = {{key:String}}"
    f" GROUP BY value ORDER BY {{order}} LIMIT {ROWS_MAX}"
)
_BY_MODEL = _USAGE_SQL.format(value="model", order="cost DESC, value")
_BY_DAY = _USAGE_SQL.format(value="toString(toDate(hour))", order="value")


class AccountQueries(billing_pb2_grpc.AccountQueriesServicer):
    def __init__(self, balances: Balances, clickhouse: ClickHouse, metrics: BillingMetrics) -> None:
        self._balances = balances
        self._clickhouse = clickhouse
        self._metrics = metrics
        self._slots = asyncio.Semaphore(_AT_ONCE_MAX)

    async def GetBalance(self, request: billing_pb2.GetBalanceRequest, context: _Context) -> billing_pb2.Balance:
        if not request.account_id:
            raise InvalidRequest("account_id is missing")
        return balance_message(request.account_id, await self._balances.get(request.account_id))

    async def GetKeyUsage(self, request: billing_pb2.KeyUsageRequest, context: _Context) -> billing_pb2.KeyUsage:
        if not request.account_id or not request.key_id:
            raise InvalidRequest("account_id or key_id is missing")
        if not 0 <= request.since_s < request.until_s <= request.since_s + DAYS_MAX * _DAY_S:
            raise InvalidRequest(f"until_s: after since_s, and at most {DAYS_MAX} days")
        if self._slots.locked():
            self._metrics.refused_queries.inc()
            raise Unavailable("too many queries at once")
        async with self._slots:
            try:
                rows = await self._clickhouse.rows(
                    _BY_DAY if request.by_day else _BY_MODEL,
                    {
                        "account": request.account_id,
                        "key": request.key_id,
                        "since_s": request.since_s,
                        "until_s": request.until_s,
                    },
                )
            except ClickHouseError as error:
                raise Unavailable("ClickHouse is away") from error
        return billing_pb2.KeyUsage(
            rows=[
                billing_pb2.KeyUsageRow(
                    value=row[0],
                    requests=row[1],
                    uncharged_requests=row[2],
                    input_tokens=row[3],
                    cache_read_tokens=row[4],
                    cache_write_tokens=row[5],
                    output_tokens=row[6],
                    reasoning_tokens=row[7],
                    cost_nanousd=row[8],
                )
                for row in rows
            ]
        )
