"""Finance's figures over a real control plane: each equals a direct query of the rows, a sum by hand, and the proof."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.console.pages import encode_cursor
from tests.integration.console.bookings import HALF, M1, M2, rolled_up
from tests.integration.console.stack import Stack, usage_entry
from tests.integration.console.test_admin_api import until_balance
from tests.integration.console.test_money import clickhouse

NewAccount = Callable[[], str]
WINDOW = {"since": "2021-02-01", "until": "2021-04-01"}


def margins(client: httpx.Client, **query: object) -> Any:
    answer = client.get("/admin/v1/finance/margins", params={**WINDOW, **query})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    return answer.json()


def figures(row: Any) -> tuple[int, int, int, int, int]:
    return (
        row["requests"],
        row["charged_requests"],
        *(row[name]["nanousd"] for name in ("revenue", "upstream_cost", "margin")),
    )


def by_value(answer: Any) -> dict[str, tuple[int, int, int, int, int]]:
    return {row["value"]: figures(row) for row in answer["rows"]}


def test_days_weeks_and_months_part_at_midnight_utc_also_for_what_came_late(
    client: httpx.Client, booked: dict[str, str]
) -> None:
    days = {row["period"]: figures(row) for row in margins(client)["rows"]}
    assert days == {
        "2021-02-28": (2, 2, 2 * M1, 2 * M1, 0),
        "2021-03-01": (1, 1, M1, M1, 0),
        "2021-03-02": (3, 1, M2, M2 + M1, -M1),
        "2021-03-09": (1, 1, HALF, M1, HALF - M1),
    }
    weeks = {row["period"]: figures(row)[2] for row in margins(client, period="week")["rows"]}
    assert weeks == {"2021-02-22": 2 * M1, "2021-03-01": M1 + M2, "2021-03-08": HALF}
    months = {row["period"]: figures(row)[2] for row in margins(client, period="month")["rows"]}
    assert months == {"2021-02-01": 2 * M1, "2021-03-01": M1 + M2 + HALF}
    whole = margins(client, period="all")
    assert (
        figures(whole["rows"][0]) == figures(whole["total"]) == (7, 5, 3 * M1 + M2 + HALF, 5 * M1 + M2, HALF - 2 * M1)
    )
    assert whole["total"]["margin"]["usd"] == "-0.00003"
    assert whole["is_current"] is True


def test_each_dimension_splits_the_same_total(client: httpx.Client, booked: dict[str, str]) -> None:
    one, two = booked["one"], booked["two"]
    split = {
        by: by_value(margins(client, period="all", by=by))
        for by in ("model", "provider", "channel", "group", "account", "key")
    }
    of_one = (5, 3, 2 * M1 + M2, 3 * M1 + M2, -M1)
    of_two = (2, 2, HALF + M1, 2 * M1, HALF - M1)
    everything = (7, 5, 3 * M1 + M2 + HALF, 5 * M1 + M2, HALF - 2 * M1)
    assert split["account"] == {one: of_one, two: of_two}
    assert split["channel"] == {"c1": everything}
    assert split["provider"] == {"127.0.0.1": everything}
    assert split["model"]["m2"] == (1, 1, M2, M2, 0)
    assert split["group"]["only_m1"] == (1, 1, HALF, M1, HALF - M1)
    assert split["key"] == {"fk1": (2, 2, 2 * M1, 2 * M1, 0), "fk2": (3, 1, M2, M2 + M1, -M1), "fk3": of_two}
    labels = {row["value"]: row["label"] for row in margins(client, by="account")["rows"]}
    assert labels == {one: "fin-one", two: "fin-two"}
    only = margins(client, period="all", by="model", account="fin-one", channel="c1")
    assert by_value(only) == {"m1": (4, 2, 2 * M1, 3 * M1, -M1), "m2": (1, 1, M2, M2, 0)}
    assert margins(client, provider="nobody.example")["rows"] == []


@pytest.mark.parametrize("by", ["model", "channel", "group", "account", "key"])
def test_every_figure_equals_a_direct_query_of_the_rows(
    stack: Stack, client: httpx.Client, booked: dict[str, str], by: str
) -> None:
    column = {"group": "`group`", "key": "key_id"}.get(by, by)
    direct = clickhouse(
        stack,
        f"SELECT toString(toDate(started_at)), {column}, count(), countIf(is_billable), sum(cost_nanousd),"
        " sum(upstream_cost_nanousd), sum(cost_nanousd) - sum(usage.upstream_cost_nanousd) FROM usage FINAL"
        f" WHERE started_at >= '{WINDOW['since']}' AND started_at < '{WINDOW['until']}' GROUP BY 1, 2 ORDER BY 1, 2"
        " FORMAT TSV",
    )
    rows = margins(client, by=by)["rows"]
    told = "".join("\t".join(map(str, (row["period"], row["value"], *figures(row)))) + "\n" for row in rows)
    assert told == direct


def test_pages_follow_one_another_without_gap_or_repetition(client: httpx.Client, booked: dict[str, str]) -> None:
    answer = margins(client, by="key")
    whole, whole_total = answer["rows"], answer["total"]
    paged: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = margins(client, by="key", limit=2, cursor=cursor)
        assert len(page["rows"]) <= 2
        paged += page["rows"]
        cursor = page["next_cursor"]
        assert page["total"] == whole_total
    assert paged == whole
    behind = encode_cursor("2021-03-31", "0", "")
    assert margins(client, by="key", cursor=behind)["total"] == whole_total
    answer = client.get("/admin/v1/finance/margins", params={"cursor": "bm8"})
    assert (answer.status_code, answer.json()["error"]["problems"][0]["field"]) == (422, "cursor")


def test_the_values_of_most_revenue_stand_alone_and_the_rest_is_summed_up(
    client: httpx.Client, booked: dict[str, str]
) -> None:
    whole = margins(client, period="month", by="key")
    answer = margins(client, period="month", by="key", top=1)
    assert answer["total"] == whole["total"]
    assert [(row["period"], row["value"], row["is_rest"], row["revenue"]["nanousd"]) for row in answer["rows"]] == [
        ("2021-02-01", "", True, 2 * M1),
        ("2021-03-01", "fk2", False, M2),
        ("2021-03-01", "", True, M1 + HALF),
    ]
    second = margins(client, period="month", by="key", top=1, limit=2)
    last = margins(client, period="month", by="key", top=1, cursor=second["next_cursor"])
    assert second["rows"] + last["rows"] == answer["rows"]
    assert margins(client, period="month", by="key", top=10)["rows"] == whole["rows"]


def test_movers_are_ordered_by_the_size_of_their_change(client: httpx.Client, booked: dict[str, str]) -> None:
    query = {"since": "2021-03-01", "until": "2021-03-08", "by": "account"}
    answer = client.get("/admin/v1/finance/movers", params=query).json()
    assert answer["before_since"] == "2021-02-22"
    moved = [
        (row["label"], *(row[name]["nanousd"] for name in ("before", "after", "change"))) for row in answer["movers"]
    ]
    assert moved == [("fin-one", M1, M1 + M2, M2), ("fin-two", M1, 0, -M1)]
    margin = client.get("/admin/v1/finance/movers", params={**query, "by": "key", "measure": "margin"}).json()
    assert [(row["value"], row["change"]["nanousd"]) for row in margin["movers"]] == [("fk2", -M1)]


def test_nothing_used_is_zero_and_no_rows(client: httpx.Client, stack: Stack) -> None:
    empty = {"since": "2020-01-01", "until": "2020-02-01"}
    answer = margins(client, **empty)
    assert (answer["rows"], figures(answer["total"]), answer["next_cursor"]) == ([], (0, 0, 0, 0, 0), None)
    assert client.get("/admin/v1/finance/movers", params=empty).json()["movers"] == []
    nobody = client.get("/admin/v1/finance/liabilities", params={"at": "2019-01-01"}).json()
    assert (nobody["accounts"], nobody["rows"], nobody["balance"]["nanousd"]) == (0, [], 0)


def liabilities(client: httpx.Client, **query: str) -> Any:
    answer = client.get("/admin/v1/finance/liabilities", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def liability(client: httpx.Client, account: str) -> tuple[int, int, int]:
    rolled_up(client)
    cursor: str | None = ""
    while cursor is not None:
        page = liabilities(client, limit="3", cursor=cursor)
        for row in page["rows"]:
            if row["account"] == account:
                return tuple(row[name]["nanousd"] for name in ("balance", "grants_open", "paid_open"))
        cursor = page["next_cursor"]
    raise AssertionError(f"{account} is on no page")


def test_grants_burn_before_what_was_paid_in_the_ledgers_order(
    stack: Stack, client: httpx.Client, new_account: NewAccount
) -> None:
    account = new_account()

    def credit(usd: str, kind: str) -> None:
        body = {"amount_usd": usd, "kind": kind}
        assert client.post(f"/admin/v1/accounts/{account}/credits", json=body).status_code == 201

    credit("1", "topup")
    credit("0.00003", "grant")
    stack.use(
        account, [usage_entry(account, f"{account}-1", model="m2")], f"edge-{account}"
    )  # 50,000 of 30,000 granted
    until_balance(client, account, 10**9 + 30_000 - M2)
    assert liability(client, account) == (10**9 - 20_000, 0, 10**9 - 20_000)
    credit("0.5", "grant")  # what was paid before is not given back
    credit("-0.2", "adjustment")  # is taken from what was paid
    assert liability(client, account) == (1_299_980_000, 500_000_000, 799_980_000)
    credit("-2", "refund")
    assert liability(client, account) == (-700_020_000, 0, -700_020_000)


def test_liabilities_equal_balances_the_view_and_the_sum_of_all_rows(
    stack: Stack, client: httpx.Client, booked: dict[str, str]
) -> None:
    rolled_up(client)
    told = liabilities(client, limit="1000")
    assert told["is_current"] is True
    sums = clickhouse(
        stack,
        "SELECT (SELECT sum(amount_nanousd) FROM credits FINAL)"
        " - (SELECT sum(cost_nanousd) FROM usage FINAL) FORMAT TSV",
    )
    assert told["balance"]["nanousd"] == int(sums) == sum(row["balance"]["nanousd"] for row in told["rows"])
    rest = told["grants_open"]["nanousd"] + told["paid_open"]["nanousd"] - told["overdrawn"]["nanousd"]
    assert rest == told["balance"]["nanousd"]
    viewed = clickhouse(
        stack,
        "SELECT account, balance_usd, grants_open_usd, paid_open_usd FROM finance.liabilities"
        " ORDER BY account FORMAT TSV",
    )
    assert viewed == "".join(
        "\t".join((row["account"], *(row[name]["usd"] for name in ("balance", "grants_open", "paid_open")))) + "\n"
        for row in told["rows"]
    )
    for row in told["rows"]:
        balance = client.get(f"/admin/v1/accounts/{row['account']}/balance").json()
        assert balance["balance_nanousd"] == row["balance"]["nanousd"]


def test_liabilities_as_of_a_day_hold_what_was_entered_before_it(client: httpx.Client, booked: dict[str, str]) -> None:
    before = {row["account"]: row["balance"]["nanousd"] for row in liabilities(client, at="2021-03-02")["rows"]}
    assert (before[booked["one"]], before[booked["two"]]) == (-2 * M1, -M1)
    assert liabilities(client, at="2021-03-02")["as_of"] == "2021-03-02T00:00:00Z"


def test_the_reconciliation_adds_up(client: httpx.Client, booked: dict[str, str]) -> None:
    rolled_up(client)
    answer = client.get("/admin/v1/finance/reconciliation").json()
    assert (answer["is_ok"], answer["is_current"], answer["difference"]["nanousd"]) == (True, True, 0)
    assert answer["balance"] == liabilities(client)["balance"]
    today = datetime.now(UTC).date() + timedelta(days=2)
    whole = margins(client, since="2020-01-01", until=str(today), period="all")
    assert answer["revenue"] == whole["total"]["revenue"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "2021-02-30"}, "since"),
        ({"since": "2021-03-02", "until": "2021-03-02"}, "since"),
        ({"since": "1999-01-01"}, "since"),
        ({"since": "2001-01-01", "until": "2099-01-01"}, "since"),
        ({"since": "2020-01-01", "until": "2101-01-01"}, "until"),
        ({"by": "colour"}, "by"),
        ({"period": "year"}, "period"),
        ({"limit": "0"}, "limit"),
    ],
)
def test_what_cannot_be_asked_names_the_parameter(client: httpx.Client, query: dict[str, str], field: str) -> None:
    answer = client.get("/admin/v1/finance/margins", params=query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["problems"][0]["field"] == field


def test_views_named_for_people_give_exact_decimals(stack: Stack, client: httpx.Client, booked: dict[str, str]) -> None:
    daily = "SELECT toString(day), sum(revenue_usd) FROM finance.revenue_daily"
    of_both = "WHERE day BETWEEN '2021-02-01' AND '2021-03-31'"
    assert clickhouse(stack, f"{daily} {of_both} GROUP BY day ORDER BY day FORMAT TSV") == (
        "2021-02-28\t0.00004\n2021-03-01\t0.00002\n2021-03-02\t0.00005\n2021-03-09\t0.00001\n"
    )
    for view in ("margin_by_channel_monthly", "margin_by_model_monthly", "margin_by_account_monthly"):
        sums = clickhouse(
            stack, f"SELECT sum(margin_usd), sum(revenue_usd) FROM finance.{view} WHERE month = '2021-03-01' FORMAT TSV"
        )
        assert sums == "-0.00003\t0.00008\n", view
    kinds = clickhouse(stack, "SELECT toTypeName(margin_usd) FROM finance.margin_daily LIMIT 1 FORMAT TSV")
    assert kinds == "Decimal(38, 9)\n"
