"""Requests one by one, newest first: what the admin API lists and what an account holder's page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from lumen.money.amounts import format_usd
from lumen.platform.clickhouse import ClickHouse
from services.console.errors import InvalidRequest
from services.console.rows import Rows
from services.console.times import format_time_us

Outcome = Literal["", "ok", "failed"]

CURSOR_PARTS = 4
_POSITION = "started_at_us, epoch, sequence, `index`"


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Empty fields do not filter. Unix seconds, `until_s` excluded. `status`: ok (2xx) or failed."""

    since_s: int = 0
    until_s: int = 0
    request_id: str = ""
    model: str = ""
    key: str = ""
    status: Outcome = ""

    @property
    def where(self) -> str:
        conditions = ["account = {account:String}"]
        if self.since_s:  # `hour` is in the sorting key, `started_at_us` is the exact bound
            conditions.append("hour >= toDateTime({since_s:Int64} - {since_s:Int64} % 3600, 'UTC')")
            conditions.append("started_at_us >= {since_s:Int64} * 1000000")
        if self.until_s:
            conditions.append(
                "hour <= toDateTime({until_s:Int64}, 'UTC') AND started_at_us < {until_s:Int64} * 1000000"
            )
        for column, value in (("request_id", self.request_id), ("model", self.model), ("key_id", self.key)):
            if value:
                conditions.append(f"{column} = {{{column}:String}}")
        if self.status:
            conditions.append(f"{'NOT ' if self.status == 'failed' else ''}(status >= 200 AND status < 300)")
        return " AND ".join(conditions)

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "since_s": self.since_s,
            "until_s": self.until_s,
            "request_id": self.request_id,
            "model": self.model,
            "key_id": self.key,
        }


class RequestRow(BaseModel):
    """One entry of the ledger. A count is null where the provider did not report it."""

    request_id: str
    started_at: str
    duration_us: int
    ttft_us: int = Field(description="until the first token; 0: there was none")
    key: str
    group: str
    model: str
    channel: str
    dialect: str
    status: int
    is_stream: bool
    is_estimated: bool
    is_billable: bool
    finish_reason: str
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_nanousd: int
    cost_usd: str


# What fills the fields, in their order; `cost_usd` says `cost_nanousd` again.
_COLUMNS = (
    "request_id, started_at_us, duration_us, ttft_us, key_id, `group`, model, channel, client_dialect, status,"
    " is_stream, is_estimated, is_billable, finish_reason, input_tokens, cache_read_tokens, cache_write_5m_tokens,"
    " cache_write_1h_tokens, output_tokens, reasoning_tokens, cost_nanousd"
)
_FIELDS = [name for name in RequestRow.model_fields if name != "cost_usd"]


class RequestsView(BaseModel):
    account: str
    requests: list[RequestRow]  # newest first
    next_cursor: str | None


class RequestLog:
    """Raises Unavailable while ClickHouse is away."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._rows = Rows(clickhouse)

    async def page(
        self, account: str, wanted: RequestFilter, before: Sequence[str] | None, limit: int
    ) -> tuple[list[RequestRow], tuple[str, ...] | None]:
        """The account's newest entries older than the key `before`, at most `limit`; the key to go on behind.

        Raises InvalidRequest for a key that is none.
        """
        behind = ""
        if before is not None:
            if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in before):
                raise InvalidRequest("cursor", "not a cursor of this list")
            behind = f" AND ({_POSITION}) < ({', '.join(before)})"  # digits only
        rows = await self._rows(
            f"SELECT {_COLUMNS}, {_POSITION} FROM usage FINAL WHERE {wanted.where}{behind}"
            " ORDER BY started_at_us DESC, epoch DESC, sequence DESC, `index` DESC LIMIT {limit:UInt32}",
            {"account": account, "limit": limit + 1, **wanted.parameters},
        )
        last = rows[limit - 1][len(_FIELDS) :] if len(rows) > limit else None
        return [_request_row(row) for row in rows[:limit]], tuple(map(str, last)) if last else None


def _request_row(row: tuple[Any, ...]) -> RequestRow:
    fields = dict(zip(_FIELDS, row, strict=False))
    fields["started_at"] = format_time_us(fields["started_at"])
    return RequestRow(**fields, cost_usd=format_usd(fields["cost_nanousd"]))
