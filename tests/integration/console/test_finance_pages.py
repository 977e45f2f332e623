"""Finance's pages show exactly what its API answers; what cannot be asked is said; exports are the API's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.console.people import Person
from tests.integration.console.stack import Stack
from tests.integration.console.test_finance import WINDOW, margins

SPAN = "since=2021-02-01&to=2021-03-31"  # WINDOW, with its last day
_EXACT = re.compile(r'<data class="fig" value="(-?[\d.]+)"')


@pytest.fixture(scope="module")
def finance(stack: Stack) -> Iterator[Person]:
    person = Person(stack, "finance")
    yield person
    person.client.close()


def shown(person: Person, path: str, status: int = 200) -> str:
    answer = person.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def table_rows(page: str) -> dict[str, list[str]]:
    """Exact figures of each row by its heading, of all tables."""
    found: dict[str, list[str]] = {}
    for row in re.findall(r"<tr[ >].*?</tr>|<tr>.*?</tr>", page, re.DOTALL):
        heading = re.search(r'<th scope="row".*?</th>', row, re.DOTALL)
        if heading is not None and (figures := _EXACT.findall(row)):
            found[" ".join(re.sub("<[^>]+>", " ", heading[0]).split())] = figures
    return found


def told(row: Any) -> list[str]:
    return [str(row["charged_requests"]), *(row[name]["usd"] for name in ("revenue", "upstream_cost", "margin"))]


@pytest.mark.parametrize("by", ["model", "provider", "channel", "group", "account", "key"])
def test_revenue_is_what_the_api_answers(
    finance: Person, client: httpx.Client, booked: dict[str, str], by: str
) -> None:
    page = table_rows(shown(finance, f"/finance?{SPAN}&by={by}"))
    whole = margins(client, period="all", by=by)
    for row in whole["rows"]:
        assert page[row["label"] or row["value"] or "(none)"] == told(row)
    assert page["Total"] == told(whole["total"])


def test_periods_are_days_weeks_and_months(finance: Person, client: httpx.Client, booked: dict[str, str]) -> None:
    for period, length in (("day", 10), ("week", 10), ("month", 7)):
        page = table_rows(shown(finance, f"/finance?{SPAN}&per={period}"))
        for row in margins(client, period=period)["rows"]:
            assert page[row["period"][:length]] == told(row)


def test_a_value_narrows_down_and_can_be_let_go(finance: Person, client: httpx.Client, booked: dict[str, str]) -> None:
    page = shown(finance, f"/finance?{SPAN}&by=key&account={booked['one']}&channel=c1")
    rows = table_rows(page)
    assert rows["Total"] == told(margins(client, period="all", account="fin-one", channel="c1")["total"])
    assert {"fk1", "fk2"} <= set(rows)
    assert "fk3" not in rows
    assert "Do not narrow down by account" in page
    assert "fin-one" in page
    assert shown(finance, f"/finance?{SPAN}&account=nobody", 404)


def test_long_times_are_told_in_longer_periods(finance: Person, booked: dict[str, str]) -> None:
    page = shown(finance, "/finance?since=2015-01-01&to=2021-12-31&per=day")
    assert "Revenue per month" in page
    assert page.count("<rect x=") < 200


@pytest.mark.parametrize(
    "path",
    [
        "/finance?since=2021-02-30&to=2021-03-01",
        "/finance?since=2021-03-02&to=2021-03-01",
        "/finance/movers?since=x&to=2021-03-01",
        "/finance/liabilities?at=yesterday",
        "/finance/liabilities?cursor=bm8",
        "/finance/exports/download?since=2021-03-02&to=2021-03-01",
    ],
)
def test_what_cannot_be_asked_is_said(finance: Person, path: str) -> None:
    assert 'role="alert"' in shown(finance, path, 422)


def test_movers_are_what_the_api_answers(finance: Person, client: httpx.Client, booked: dict[str, str]) -> None:
    page = shown(finance, "/finance/movers?since=2021-03-01&to=2021-03-07&by=account")
    query = {"since": "2021-03-01", "until": "2021-03-08", "by": "account"}
    answer = client.get("/admin/v1/finance/movers", params=query).json()
    assert {name: figures for name, figures in table_rows(page).items() if name in ("fin-one", "fin-two")} == {
        row["label"]: [row[name]["usd"] for name in ("before", "after", "change")] for row in answer["movers"]
    }
    assert "2021-02-22 to 2021-02-28" in page
    assert "Nothing moved" in shown(finance, "/finance/movers?since=2019-01-01&to=2019-02-01")


def test_liabilities_are_what_the_api_answers(finance: Person, client: httpx.Client, booked: dict[str, str]) -> None:
    page = shown(finance, "/finance/liabilities?at=2021-03-02")
    answer = client.get("/admin/v1/finance/liabilities", params={"at": "2021-03-02"}).json()
    tiles = _EXACT.findall(page)[:4]
    assert tiles == [answer[name]["usd"] for name in ("paid_open", "grants_open", "overdrawn", "balance")]
    rows = table_rows(page)
    for row in answer["rows"]:
        figures = [row[name]["usd"] for name in ("paid_open", "grants_open", "balance")]
        assert rows[f"{row['label']} {row['account']}"] == figures
    assert "No balances" in shown(finance, "/finance/liabilities?at=2019-01-01")


def test_the_proof_runs_when_it_is_asked_for(finance: Person, client: httpx.Client, booked: dict[str, str]) -> None:
    assert "Not proved in this visit" in shown(finance, "/finance/reconciliation")
    page = shown(finance, "/finance/reconciliation?run=yes")
    answer = client.get("/admin/v1/finance/reconciliation").json()
    assert "The books agree." in page
    assert page.count(">holds</span>") == len(answer["checks"])
    assert [answer["credits"]["usd"], answer["revenue"]["usd"], answer["balance"]["usd"]] == _EXACT.findall(page)[:3]


@pytest.mark.parametrize("kind", ["usage", "focus"])
def test_a_download_is_the_apis_export(
    finance: Person, client: httpx.Client, booked: dict[str, str], kind: str
) -> None:
    answer = finance.get(f"/finance/exports/download?kind={kind}&{SPAN}&account=fin-one")
    same = client.get(f"/admin/v1/finance/exports/{kind}", params={**WINDOW, "account": "fin-one"})
    assert (answer.status_code, answer.content) == (200, same.content)
    assert answer.headers["content-disposition"] == same.headers["content-disposition"]
    if kind == "usage":
        assert int(answer.headers["x-lumen-rows-expected"]) == answer.text.count("\n") - 1 == 5
    assert finance.get(f"/finance/exports/download?kind={kind}&account=nobody").status_code == 404
    assert finance.get(f"/finance/exports/download?kind={kind}&format=xlsx").status_code == 404


def test_no_usage_is_said(finance: Person) -> None:
    assert "No usage in this time." in shown(finance, "/finance?since=2019-01-01&to=2019-01-31")
