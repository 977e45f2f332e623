"""Exports over real rows: whole, exact, the same in every format, and FOCUS by its own rules."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest

from lumen.cli.exit_codes import ExitCode
from lumen.money.usage import TokenUsage
from lumen.platform.clickhouse import ClickHouse, ClickHouseUnavailable
from tests.integration.console import focus_rules
from tests.integration.console.stack import Stack, usage_entry
from tests.integration.console.test_admin_api import until_balance
from tests.integration.console.test_money import clickhouse

START_US = int(datetime(2022, 5, 31, 23, tzinfo=UTC).timestamp()) * 1_000_000
WINDOW = {"since": "2022-05-01", "until": "2022-07-01"}
COST = 20_000  # nano-USD of a usage_entry
SPENT = 6 * COST + 3_000_000_001 * 1_000


@pytest.fixture(scope="module")
def account(stack: Stack) -> str:
    """Usage across the end of a month, one entry of three billion tokens, and credits of every kind (made today)."""
    with stack.client() as client:
        account = str(client.post("/admin/v1/accounts", json={"name": 'exp "o\'neil", \\'}).json()["id"])
        entries = [
            usage_entry(account, f"exp-{n}", key_id=f"ek{n % 2}", started_at_us=START_US + n * 1_500_000_000)
            for n in range(6)
        ]
        entries += [
            usage_entry(account, "exp-big", usage=TokenUsage(input=3_000_000_001), started_at_us=START_US),
            usage_entry(account, "exp-failed", is_billable=False, status=502, started_at_us=START_US),
        ]
        stack.use(account, entries, f"edge-{account}")
        for usd, kind in (
            ("5000.25", "topup"),
            ("10", "grant"),
            ("-1.5", "refund"),
            ("0.5", "refund"),
            ("-2", "adjustment"),
        ):
            paid = {"paid": {"amount": "4321.09", "currency": "EUR"}} if kind == "topup" else {}
            body = {"amount_usd": usd, "kind": kind, **paid}
            assert client.post(f"/admin/v1/accounts/{account}/credits", json=body).status_code == 201
        until_balance(client, account, 5_007_250_000_000 - SPENT)
    return account


def export(client: httpx.Client, name: str, **query: str) -> bytes:
    answer = client.get(f"/admin/v1/finance/exports/{name}", params={**WINDOW, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="lumen-{name}-')
    return answer.content


def read_csv(data: bytes) -> list[dict[str, str | None]]:
    rows = csv.DictReader(io.StringIO(data.decode()))
    return [{name: None if value == "\\N" else value for name, value in row.items()} for row in rows]


def read_parquet(data: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    return rows


def as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return None if value is None else str(value)


def test_usage_is_every_row_with_exact_decimals(stack: Stack, client: httpx.Client, account: str) -> None:
    rows = read_csv(export(client, "usage", account=account))
    direct = clickhouse(
        stack,
        "SELECT request_id, cost_nanousd, upstream_cost_nanousd, sequence FROM usage FINAL"
        f" WHERE account = '{account}' ORDER BY account, hour, `partition`, epoch, sequence, `index` FORMAT TSV",
    )
    told = [
        (
            row["request_id"],
            *(int(Decimal(row[name] or "") * 10**9) for name in ("cost_usd", "upstream_cost_usd")),
            row["sequence"],
        )
        for row in rows
    ]
    assert "".join("\t".join(map(str, row)) + "\n" for row in told) == direct
    assert len(rows) == 8
    big = next(row for row in rows if row["request_id"] == "exp-big")
    assert (big["cost_usd"], big["input_tokens"], big["output_tokens"]) == ("3000.000001", "3000000001", None)
    assert big["started_at"] == "2022-05-31T23:00:00.000000Z"
    assert sum(Decimal(row["margin_usd"] or "") for row in rows) == Decimal("-0.00002")


@pytest.mark.parametrize("name", ["usage", "focus"])
def test_parquet_holds_what_csv_holds(client: httpx.Client, account: str, name: str) -> None:
    flat = read_csv(export(client, name, account=account))
    columnar = read_parquet(export(client, name, account=account, format="parquet"))
    assert len(flat) == len(columnar) > 0
    for text, typed in zip(flat, columnar, strict=True):
        for column, value in typed.items():
            if isinstance(value, datetime):
                assert value == datetime.fromisoformat(text[column] or ""), column
                assert value.utcoffset() is not None
            else:
                assert as_text(value) == text[column], column


def everything(client: httpx.Client, account: str) -> list[dict[str, str | None]]:
    today = datetime.now(UTC).date()
    return read_csv(
        export(client, "focus", account=account, since="2022-05-01", until=str(today.replace(year=today.year + 1)))
    )


def test_focus_conforms_to_its_specification(client: httpx.Client, account: str) -> None:
    data = everything(client, account)
    assert focus_rules.check(list(data[0]), data) == []
    assert {row["ChargeCategory"] for row in data} == {"Usage", "Purchase", "Credit", "Adjustment"}
    assert {row["BillingAccountName"] for row in data} == {'exp "o\'neil", \\'}
    schema = client.get("/admin/v1/finance/exports/focus/schema").json()
    assert [column["ColumnName"] for column in schema["ColumnDefinition"]] == list(data[0])
    assert schema["FocusVersion"] == "1.2"


def test_focus_adds_up_to_revenue_payments_and_balance(client: httpx.Client, account: str) -> None:
    data = everything(client, account)

    def total(column: str, category: str | None = None) -> int:
        rows = [row for row in data if category in (None, row["ChargeCategory"])]
        return int(sum(Decimal(row[column] or "0") for row in rows) * 10**9)

    assert total("EffectiveCost") == total("EffectiveCost", "Usage") == SPENT
    assert total("BilledCost") == total("BilledCost", "Purchase") == 4_998_750_000_000  # paid in, and paid back
    assert total("x_CreditsChange") == 5_007_250_000_000 - SPENT  # the balance
    assert total("ConsumedQuantity") == (3_000_000_001 + 6 * 15) * 10**9
    months = {row["BillingPeriodStart"] for row in data if row["ChargeCategory"] == "Usage"}
    assert months == {"2022-05-01T00:00:00Z", "2022-06-01T00:00:00Z"}
    [bought] = [row for row in data if row["x_PaidAmount"]]
    assert (bought["x_PaidAmount"], bought["x_PaidCurrency"], bought["BilledCost"]) == ("4321.09", "EUR", "5000.25")


def test_the_focus_rules_can_fail(client: httpx.Client, account: str) -> None:
    good = everything(client, account)
    used = next(n for n, row in enumerate(good) if row["ChargeCategory"] == "Usage")
    for column, value in (
        ("EffectiveCost", None), ("ListCost", "1"), ("ChargePeriodEnd", "2022-05-31"), ("ChargeCategory", "Use"),
        ("BilledCost", "+1"), ("PricingUnit", None), ("ConsumedQuantity", None), ("BillingCurrency", "Credits"),
    ):  # fmt: skip
        bad = [dict(row) for row in good]
        bad[used][column] = value
        assert problems_of(bad), column
    assert problems_of(
        [{name: value for name, value in row.items() if name != "SkuId"} | {"SkuId": None} for row in good]
    )
    assert focus_rules.check([name for name in good[0] if name != "ListCost"], []) == ["ListCost is missing"]


def problems_of(rows: list[dict[str, str | None]]) -> list[str]:
    try:
        return focus_rules.check(list(rows[0]), rows)
    except (ValueError, KeyError) as error:
        return [repr(error)]


def test_nothing_is_a_head_alone(client: httpx.Client, account: str) -> None:
    empty = {"since": "2019-01-01", "until": "2019-02-01"}
    assert export(client, "usage", **empty).count(b"\n") == 1
    assert read_parquet(export(client, "focus", format="parquet", **empty)) == []


def test_the_command_writes_whole_files(stack: Stack, account: str, tmp_path: Path, client: httpx.Client) -> None:
    option = ("--state-dir", str(stack.state_dir), "--since", WINDOW["since"], "--until", WINDOW["until"])
    target = tmp_path / "usage.csv"
    done = stack.lumen("export", "usage", "--account", account, "-o", str(target), *option)
    assert done.returncode == ExitCode.OK, done.stderr
    assert target.read_bytes() == export(client, "usage", account=account)
    assert f"{target.stat().st_size} bytes" in done.stderr
    parquet = stack.lumen("export", "focus", "--format", "parquet", "-o", str(tmp_path / "focus.parquet"), *option)
    assert parquet.returncode == ExitCode.OK, parquet.stderr
    nobody = stack.lumen("export", "usage", "--account", "nobody", "-o", str(tmp_path / "no.csv"), *option)
    assert nobody.returncode == ExitCode.NOT_FOUND
    nowhere = stack.lumen("export", "usage", "-o", str(tmp_path / "none" / "no.csv"), *option)
    assert (nowhere.returncode, "cannot write" in nowhere.stderr) == (ExitCode.FAILURE, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["focus.parquet", "usage.csv"]


def test_exports_are_counted(stack: Stack, client: httpx.Client, account: str) -> None:
    size = len(export(client, "usage", account=account))
    metrics = httpx.get(f"http://127.0.0.1:{stack.ops_ports['console']}/metrics", trust_env=False).text
    counted = next(
        line
        for line in metrics.splitlines()
        if line.startswith('lumen_console_export_bytes_total{export="usage",format="csv"')
    )
    assert float(counted.split()[-1]) >= size
    assert "lumen_console_exports_open 0.0" in metrics


async def test_a_query_that_fails_half_way_is_no_whole_answer(stack: Stack) -> None:
    clickhouse_ = ClickHouse(stack.env["LUMEN_CLICKHOUSE_URL"])
    sql = "SELECT number, throwIf(number = {last:UInt64}, 'broken') FROM numbers(2000000)"
    try:
        with pytest.raises(ClickHouseUnavailable, match="while its answer was being sent"):
            await read_all(clickhouse_.stream_csv(sql, {"last": 1_900_000}))
        assert (await read_all(clickhouse_.stream_csv(sql, {"last": 2_000_000}))).count(b"\n") == 2_000_000
    finally:
        await clickhouse_.close()


async def read_all(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
