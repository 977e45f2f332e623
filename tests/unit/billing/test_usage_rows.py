"""Usage by column: what the rows say, and what of it goes over the wire."""

from __future__ import annotations

from lumen.ledger.entries import Attempt
from lumen.money.usage import TokenUsage
from services.billing.clickhouse_sink import sent_columns
from services.billing.rating import Charge
from services.billing.tables import USAGE, Place
from services.billing.usage_rows import UsageRows
from tests.integration.billing.conftest import usage_entry

PLACE = Place(7, 2, 99, "edge-1", 5, 1)


def rows_of(*usages: TokenUsage) -> UsageRows:
    rows = UsageRows()
    for index, usage in enumerate(usages):
        attempts = [Attempt("c", 503, "status", 5), Attempt("d", 200, "ok", 9, 3)]
        entry = usage_entry(
            "acc", f"r{index}", usage=usage, attempts=attempts[index:], modifiers={"tier": "x"} if index else {}
        )
        rows.add(PLACE, index + 3, entry, Charge(11, 22 + index))
    return rows


def test_a_row_holds_its_place_its_entry_and_its_charge() -> None:
    rows = rows_of(TokenUsage(input=1, output=0), TokenUsage(server_tool_requests=4))
    first, second = (dict(zip(USAGE.columns, row, strict=True)) for row in rows)
    assert [first[name] for name in ("partition", "epoch", "sequence", "index")] == [7, 2, 99, 3]
    assert [first[name] for name in ("producer", "batch_number", "request_id", "account")] == ["edge-1", 5, "r0", "acc"]
    assert [first[name] for name in ("input_tokens", "output_tokens", "server_tool_requests")] == [1, 0, None]
    assert [first["modifiers"], second["modifiers"]] == ["{}", '{"tier":"x"}']
    assert [first["attempts"], second["attempts"]] == [
        '[["c",503,"status",5,0],["d",200,"ok",9,3]]',
        '[["d",200,"ok",9,3]]',
    ]
    assert [first["cost_nanousd"], second["upstream_cost_nanousd"]] == [11, 23]
    assert [second["index"], second["input_tokens"], second["server_tool_requests"]] == [4, None, 4]


def test_no_rows_are_no_columns() -> None:
    assert (len(UsageRows()), UsageRows().columns()) == (0, [])


def test_only_counts_that_some_row_has_are_sent_and_nullable_only_where_some_has_none() -> None:
    rows = rows_of(TokenUsage(input=1, output=0), TokenUsage(input=2, reasoning=3))
    sent = {name: (wire_type, list(values)) for name, wire_type, values in sent_columns(USAGE, rows.columns())}
    assert {name: sent[name] for name in USAGE.columns if name in sent and name.endswith("_tokens")} == {
        "input_tokens": ("Int64", [1, 2]),
        "output_tokens": ("Nullable(Int64)", [0, None]),
        "reasoning_tokens": ("Nullable(Int64)", [None, 3]),
    }
    assert "server_tool_requests" not in sent
    assert sent["key_has_spend_limit"] == ("Bool", [False, False])
