"""One request's charge worked out again, line by line, from its row and the catalog revision that priced its hold.

Nothing is taken from what billing computed: buckets x price x multiplier x modifiers, one rounding, and the result is
compared with what was posted. Exact fractions of a nano-dollar are decimal strings.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from lumen.catalog.document import Catalog
from lumen.catalog.parse import catalog_from_json
from lumen.catalog.rates import client_rates, cost_rates
from lumen.ledger.keyspace import lease_id
from lumen.money.amounts import format_usd
from lumen.money.prices import MILLION, ChargeLine, RateCard, round_half_up
from lumen.money.usage import PRICED_BUCKETS, TokenUsage
from lumen.platform.clickhouse import ClickHouse
from services.console.errors import ConsoleError, Unavailable
from services.console.rows import Rows
from services.console.times import format_time_us

_ROWS_MAX = 100
_COUNTS = (*(f"{bucket}_tokens" for bucket in PRICED_BUCKETS if bucket != "server_tool_requests"), "reasoning_tokens")
_COLUMNS = (
    *("partition", "epoch", "sequence", "index", "producer", "batch_number", "request_id", "account", "key_id"),
    *("group", "model", "channel", "upstream_model", "client_dialect", "upstream_dialect", "catalog_revision"),
    *("started_at_us", "duration_us", "ttft_us", "status", "is_stream", "finish_reason", "is_estimated", "is_billable"),
    *("hold_nanousd", "lease_boot", "key_has_spend_limit", "modifiers", "attempts", "cost_nanousd"),
    *("upstream_cost_nanousd", *_COUNTS, "server_tool_requests"),
)


class LineView(BaseModel):
    """`count` x `price` of one bucket; `exact_nanousd` is its part after multiplier and modifiers, before rounding."""

    bucket: str
    count: int
    priced_as: str  # the bucket whose price applies
    price_usd_per_million: str | None  # null: no price, charged nothing
    exact_nanousd: str


class FactorView(BaseModel):
    name: str
    value: str
    factor: str


class ChargeView(BaseModel):
    """`payer`: the group whose clients pay, or the channel whose provider charges us. `posted_nanousd` is the ledger's;
    a request that is not billable is posted with 0 to the account, whatever its lines add up to."""

    payer: str
    prompt_tokens: int
    above_prompt_tokens: int  # the long-context tier in force; -1: base prices
    multiplier: str
    modifiers: list[FactorView]
    lines: list[LineView]
    exact_nanousd: str
    rounded_nanousd: int
    posted_nanousd: int
    posted_usd: str
    agrees: bool


class HoldView(BaseModel):
    """What was held at admission, what was settled of it, and from which lease."""

    held_nanousd: int
    settled_nanousd: int
    returned_nanousd: int  # negative: it cost more than was held
    lease: str
    key_has_spend_limit: bool


class AttemptView(BaseModel):
    channel: str
    status: int  # 0: no answer
    reason: str
    duration_us: int
    ttft_us: int


class EntryView(BaseModel):
    """One entry of the ledger. `position`: epoch:partition:sequence/index."""

    position: str
    batch: str
    account: str
    key: str
    group: str
    model: str
    channel: str
    upstream_model: str
    client_dialect: str
    upstream_dialect: str
    catalog_revision: int
    started_at: str
    duration_us: int
    ttft_us: int
    status: int
    is_stream: bool
    finish_reason: str
    is_estimated: bool
    is_billable: bool
    charge: ChargeView
    upstream_cost: ChargeView
    margin_nanousd: int
    hold: HoldView
    attempts: list[AttemptView]


class ExplanationView(BaseModel):
    request_id: str
    agrees: bool  # every figure posted is the one worked out here, and at most one entry is billable
    posted_nanousd: int
    posted_usd: str
    entries: list[EntryView]


class Explanations:
    """Raises Unavailable while ClickHouse is away, ConsoleError (not_found) for a request without an entry."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._rows = Rows(clickhouse)

    async def explain(self, request_id: str) -> ExplanationView:
        columns = ", ".join(f"`{column}`" for column in _COLUMNS)
        rows = await self._rows(
            f"SELECT {columns} FROM usage FINAL WHERE request_id = {{request_id:String}}"  # constants only
            f" ORDER BY epoch, sequence, `index` LIMIT {_ROWS_MAX}",
            {"request_id": request_id},
        )
        if not rows:
            raise ConsoleError(await self._why_not(request_id), kind="not_found")
        catalogs: dict[int, Catalog] = {}
        entries = []
        for row in rows:
            entry = dict(zip(_COLUMNS, row, strict=True))
            revision = entry["catalog_revision"]
            if revision not in catalogs:
                catalogs[revision] = await self._catalog(revision)
            entries.append(explain_entry(entry, catalogs[revision]))
        posted = sum(entry.charge.posted_nanousd for entry in entries)
        are_right = all(entry.charge.agrees and entry.upstream_cost.agrees for entry in entries)
        return ExplanationView(
            request_id=request_id,
            agrees=are_right and sum(entry.is_billable for entry in entries) <= 1,
            posted_nanousd=posted,
            posted_usd=format_usd(posted),
            entries=entries,
        )

    async def _why_not(self, request_id: str) -> str:
        rows = await self._rows(
            "SELECT epoch, `partition`, sequence, `index`, reason FROM dead_letters FINAL"
            " WHERE request_id = {request_id:String} ORDER BY epoch DESC, sequence DESC LIMIT 1",
            {"request_id": request_id},
        )
        if not rows:
            return f"no entry of request {request_id} has been posted"
        *place, reason = rows[0]
        return f"request {request_id} is dead letter {'-'.join(map(str, place))} ({reason}): recorded, not charged"

    async def _catalog(self, revision: int) -> Catalog:
        rows = await self._rows(
            "SELECT catalog FROM catalog_revisions FINAL WHERE revision = {revision:UInt64}", {"revision": revision}
        )
        if not rows:
            raise Unavailable(f"catalog revision {revision} is not in ClickHouse yet")
        return catalog_from_json(rows[0][0].encode())


def explain_entry(row: dict[str, Any], catalog: Catalog) -> EntryView:
    """`row`: columns of `usage` by name; `catalog`: that of its revision, which rated it and so knows its names."""
    usage = TokenUsage(
        **{bucket: row[f"{bucket}_tokens"] for bucket in (*PRICED_BUCKETS, "reasoning") if f"{bucket}_tokens" in row},
        server_tool_requests=row["server_tool_requests"],
    )
    modifiers: dict[str, str] = json.loads(row["modifiers"])
    model = next(found for found in catalog.models if found.code == row["model"])
    group = next(found for found in catalog.groups if found.name == row["group"])
    channel = next(found for found in catalog.channels if found.name == row["channel"])
    cost, upstream_cost = row["cost_nanousd"], row["upstream_cost_nanousd"]
    is_billable = row["is_billable"]
    return EntryView(
        position=f"{row['epoch']}:{row['partition']}:{row['sequence']}/{row['index']}",
        batch=f"{row['producer']} {row['batch_number']}",
        key=row["key_id"],
        started_at=format_time_us(row["started_at_us"]),
        charge=_charge(group.name, client_rates(model, group), usage, modifiers, posted=cost, is_charged=is_billable),
        upstream_cost=_charge(
            channel.name, cost_rates(channel, model), usage, modifiers, posted=upstream_cost, is_charged=True
        ),
        margin_nanousd=cost - upstream_cost,
        hold=HoldView(
            held_nanousd=row["hold_nanousd"],
            settled_nanousd=cost,
            returned_nanousd=row["hold_nanousd"] - cost,
            lease=lease_id(row["producer"], row["lease_boot"]),
            key_has_spend_limit=row["key_has_spend_limit"],
        ),
        attempts=[
            AttemptView(**dict(zip(AttemptView.model_fields, attempt, strict=True)))
            for attempt in json.loads(row["attempts"])
        ],
        **{name: row[name] for name in EntryView.model_fields if name in row and name != "attempts"},
    )


def _charge(
    payer: str, card: RateCard, usage: TokenUsage, modifiers: dict[str, str], *, posted: int, is_charged: bool
) -> ChargeView:
    lines = card.lines(usage, modifiers)
    denominator = lines[0].denominator if lines else 1
    numerator = sum(line.numerator for line in lines)
    rounded = round_half_up(numerator, denominator)
    return ChargeView(
        payer=payer,
        prompt_tokens=usage.prompt_tokens(),
        above_prompt_tokens=lines[0].above_prompt_tokens if lines else -1,
        multiplier=exact_decimal(card.multiplier, MILLION),
        modifiers=[
            FactorView(name=name, value=value, factor=exact_decimal(card.modifiers[name][value], MILLION))
            for name, value in modifiers.items()
        ],
        lines=[_line(line) for line in lines],
        exact_nanousd=exact_decimal(numerator, denominator),
        rounded_nanousd=rounded,
        posted_nanousd=posted,
        posted_usd=format_usd(posted),
        agrees=posted == (rounded if is_charged else 0),
    )


def _line(line: ChargeLine) -> LineView:
    return LineView(
        bucket=line.bucket,
        count=line.count,
        priced_as=line.priced_as,
        price_usd_per_million=None if line.price is None else format_usd(line.price),
        exact_nanousd=exact_decimal(line.numerator, line.denominator),
    )


def exact_decimal(numerator: int, denominator: int) -> str:
    """numerator / denominator, at least zero, `denominator` a power of ten: every digit that there is."""
    whole, rest = divmod(numerator, denominator)
    digits = str(denominator + rest)[1:].rstrip("0") if denominator > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)
