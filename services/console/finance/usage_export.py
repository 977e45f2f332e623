"""The export `usage`: every row of the ledger's usage, as billing rated it, in the table's own order."""

from __future__ import annotations

from lumen.money.usage import COUNT_COLUMNS
from services.console.finance.columns import Column, Kind, iso, usd


def _plain(kind: Kind, *names: str) -> list[Column]:
    return [Column(name.strip("`"), kind, (name,)) for name in names]


USAGE_COLUMNS: tuple[Column, ...] = (
    Column("started_at", "time", (iso("started_at", microseconds=True),)),
    *_plain("string", "request_id", "account", "key_id", "`group`", "model", "channel", "upstream_model"),
    *_plain("string", "client_dialect", "upstream_dialect", "finish_reason"),
    *_plain("integer", "status", "catalog_revision", "duration_us", "ttft_us"),
    *_plain("boolean", "is_stream", "is_estimated", "is_billable"),
    *_plain("integer", *COUNT_COLUMNS),  # empty: the provider did not report it
    Column("cost_usd", "decimal", (usd("cost_nanousd"),)),
    Column("upstream_cost_usd", "decimal", (usd("upstream_cost_nanousd"),)),
    Column("margin_usd", "decimal", (usd("cost_nanousd - upstream_cost_nanousd"),)),
    *_plain("string", "modifiers", "producer"),
    # Where it is in the ledger: one row, for ever.
    *_plain("integer", "`partition`", "epoch", "sequence", "`index`"),
)
USAGE_SOURCE = "usage FINAL"
# The table's sorting key: rows are read in this order, nothing is sorted and nothing kept.
USAGE_ORDER = "account, hour, `partition`, epoch, sequence, `index`"
