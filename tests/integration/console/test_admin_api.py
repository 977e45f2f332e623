"""The admin REST API over real auth, router and billing: what operators and `lumen up` rely on."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.integration.console.stack import CATALOG, Stack, usage_entry

NewAccount = Callable[[], str]
M1_ENTRY_NANOUSD = 10 * 1_000 + 5 * 2_000  # of one usage_entry with m1


def error(answer: httpx.Response) -> dict[str, object]:
    document: dict[str, object] = answer.json()["error"]
    return document


def until_balance(client: httpx.Client, account: str, nanousd: int, *, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while (found := client.get(f"/admin/v1/accounts/{account}/balance").json())["balance_nanousd"] != nanousd:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.parametrize("token", ["", "wrong", "admin-token-of-the-tests2"])
def test_without_the_admin_token_nothing_is_told(stack: Stack, token: str) -> None:
    with stack.client(token or "-") as client:
        answer = client.get("/admin/v1/accounts")
        assert (answer.status_code, error(answer)["kind"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-request-id"]
        assert client.post("/admin/v1/accounts", content=b"{broken").status_code == 401


def test_request_id_is_taken_over_or_made(client: httpx.Client) -> None:
    assert client.get("/admin/v1/accounts", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("/admin/v1/accounts", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"
    assert client.get("/nowhere").headers["x-request-id"]


def test_catalog_problems_name_line_and_field_and_change_nothing(client: httpx.Client) -> None:
    before = client.get("/admin/v1/catalog").json()["revision"]
    broken = CATALOG.replace('output: "4"', 'output: "-4"').replace("weight", "weigth")
    answer = client.post("/admin/v1/catalog", json={"content": broken, "source_name": "x.yaml"})
    assert (answer.status_code, error(answer)["kind"]) == (422, "invalid_catalog")
    [problem] = answer.json()["error"]["problems"]
    assert (problem["line"], problem["field"]) == (4, "models[1].price.output")
    assert client.get("/admin/v1/catalog").json()["revision"] == before


def test_catalog_revisions_are_kept_and_rolled_back(client: httpx.Client) -> None:
    dry = client.post("/admin/v1/catalog", json={"content": CATALOG, "dry_run": True}).json()
    assert dry == {"revision": 0, "unchanged": True}
    changed = CATALOG.replace('output: "4"', 'output: "5"')
    revision = client.post("/admin/v1/catalog", json={"content": changed, "note": "dearer"}).json()["revision"]
    assert client.get("/admin/v1/catalog/history").json()["revisions"][0]["note"] == "dearer"
    rolled = client.post("/admin/v1/catalog/rollback", json={"revision": 1}).json()
    assert rolled == {"revision": revision + 1, "unchanged": False}
    shown = client.get("/admin/v1/catalog", params={"revision": revision}).json()
    assert shown["catalog"]["models"][1]["price"]["output"] == "5"
    assert [channel["channel"] for channel in shown["channels"]] == ["c1"]
    assert client.get("/admin/v1/catalog", params={"revision": 999}).status_code == 404


def test_account_is_found_by_id_and_name_and_its_name_is_unique(client: httpx.Client) -> None:
    created = client.post("/admin/v1/accounts", json={"name": "acme"})
    assert created.status_code == 201
    assert client.post("/admin/v1/accounts", json={"name": "acme"}).status_code == 409
    assert client.get("/admin/v1/accounts/acme").json() == created.json()
    assert client.get(f"/admin/v1/accounts/{created.json()['id']}").json() == created.json()
    assert created.json() in client.get("/admin/v1/accounts").json()["accounts"]
    assert client.get("/admin/v1/accounts/nobody").status_code == 404
    suspended = client.post("/admin/v1/accounts/acme/status", json={"status": "suspended"})
    assert suspended.json()["status"] == "suspended"
    assert client.post("/admin/v1/accounts/acme/status", json={"status": "gone"}).status_code == 422


def test_one_reference_is_one_credit(client: httpx.Client, new_account: NewAccount) -> None:
    account = new_account()
    body = {"amount_usd": "12.000000001", "reference": "r1", "paid": {"amount": "11.50", "currency": "eur"}}
    first = client.post(f"/admin/v1/accounts/{account}/credits", json=body)
    assert first.status_code == 201, first.text
    assert first.json()["amount_nanousd"] == 12_000_000_001
    assert first.json()["paid"] == {"amount": "11.50", "currency": "EUR"}
    again = client.post(f"/admin/v1/accounts/{account}/credits", json=body)
    assert (again.status_code, again.json()["already_existed"]) == (200, True)
    other = client.post(f"/admin/v1/accounts/{account}/credits", json={**body, "amount_usd": "13"})
    assert (other.status_code, error(other)["kind"]) == (409, "reference_conflict")
    balance = client.get(f"/admin/v1/accounts/{account}/balance").json()
    assert (balance["balance_nanousd"], balance["balance_usd"]) == (12_000_000_001, "12.000000001")
    assert (balance["available_usd"], balance["reserved_usd"]) == ("12.000000001", "0")
    assert balance["is_live"] is True


def test_credit_without_a_reference_is_a_new_one_each_time(client: httpx.Client, new_account: NewAccount) -> None:
    account = new_account()
    made = [client.post(f"/admin/v1/accounts/{account}/credits", json={"amount_usd": "1"}).json() for _ in range(2)]
    assert made[0]["reference"] != made[1]["reference"]
    taken = client.post(f"/admin/v1/accounts/{account}/credits", json={"amount_usd": "-0.5", "kind": "refund"})
    assert taken.status_code == 201
    assert client.get(f"/admin/v1/accounts/{account}/balance").json()["balance_usd"] == "1.5"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount_usd": 12.5}, "amount_usd"),
        ({"amount_usd": "0.0000000001"}, "amount_usd"),
        ({"amount_usd": "1e3"}, "amount_usd"),
        ({"amount_usd": "-1"}, "amount_usd"),
        ({"amount_usd": "0"}, "amount_usd"),
        ({"amount_usd": "9000000"}, "amount_usd"),
        ({"amount_usd": "1", "kind": "expiry"}, "kind"),
        ({"amount_usd": "1", "expires": "2020-01-01"}, "expires"),
        ({"amount_usd": "1", "paid": {"amount": "1", "currency": "EURO"}}, "paid.currency"),
        ({"amount_usd": "1", "amout": "2"}, "amout"),
    ],
)
def test_credit_that_is_not_plain_is_refused_by_field(
    client: httpx.Client, body: dict[str, object], field: str
) -> None:
    answer = client.post("/admin/v1/accounts/any/credits", json=body)
    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["error"]["problems"]] == [field]


def test_key_is_made_for_a_known_group_and_known_models(client: httpx.Client, new_account: NewAccount) -> None:
    account = new_account()
    body = {"account": account, "group": "default", "name": "k", "models": ["m1-2026", "m1"], "ips": ["10.0.0.0/8"]}
    created = client.post("/admin/v1/keys", json={**body, "spend_limit_usd": "5", "rpm": 60, "expires": "30d"})
    assert created.status_code == 201, created.text
    key = created.json()
    secret = key.pop("secret")
    assert secret.startswith(key["prefix"])
    assert (key["models"], key["spend_limit_usd"], key["rpm"], key["tpm"]) == (["m1"], "5", 60, None)
    assert client.get("/admin/v1/keys", params={"account": account}).json()["keys"] == [key]
    assert secret not in client.get("/admin/v1/keys").text
    revoked = client.post(f"/admin/v1/keys/{key['id']}/revoke").json()
    assert revoked["revoked"] is True
    assert revoked["revoked_at"]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"group": "nope"}, "group", "default, only_m1"),
        ({"models": ["m9"]}, "models", "m1, m2"),
        ({"group": "only_m1", "models": ["m2"]}, "models", "does not offer"),
    ],
)
def test_key_outside_the_catalog_is_refused_with_what_there_is(
    client: httpx.Client, new_account: NewAccount, change: dict[str, object], field: str, words: str
) -> None:
    answer = client.post("/admin/v1/keys", json={"account": new_account(), "group": "default", **change})
    assert answer.status_code == 422
    [problem] = answer.json()["error"]["problems"]
    assert problem["field"] == field
    assert words in problem["message"]


def test_usage_is_exact_by_model_key_and_day(stack: Stack, client: httpx.Client, new_account: NewAccount) -> None:
    account = new_account()
    credited = client.post(f"/admin/v1/accounts/{account}/credits", json={"amount_usd": "1"}).json()
    entries = [
        usage_entry(account, f"{account}-1"),
        usage_entry(account, f"{account}-2", key_id="k2"),
        usage_entry(account, f"{account}-3", model="m2"),
        usage_entry(account, f"{account}-4", is_billable=False, status=502),
    ]
    stack.use(account, entries, f"edge-{account}")
    cost = 2 * M1_ENTRY_NANOUSD + 10 * 3_000 + 5 * 4_000
    until_balance(client, account, credited["amount_nanousd"] - cost)
    by_model = client.get("/admin/v1/usage", params={"account": account, "since": "1h"}).json()
    assert [(row["value"], row["requests"], row["cost_nanousd"]) for row in by_model["rows"]] == [
        ("m2", 1, 50_000),
        ("m1", 2, 40_000),
    ]
    total = by_model["total"]
    assert (total["cost_nanousd"], total["cost_usd"], total["input_tokens"]) == (cost, "0.00009", 30)
    assert (total["requests"], total["unbilled_requests"]) == (3, 1)
    for by in ("key", "day"):
        grouped = client.get("/admin/v1/usage", params={"account": account, "by": by}).json()
        assert grouped["total"] == total
    past = client.get("/admin/v1/usage", params={"account": account, "since": "2d", "until": "1d"}).json()
    assert (past["rows"], past["total"]["cost_usd"]) == ([], "0")
    latest = client.get("/admin/v1/usage/requests", params={"account": account, "limit": 3}).json()["requests"]
    assert len(latest) == 3
    assert {row["cache_read_tokens"] for row in latest} == {None}
    report = client.get("/admin/v1/reconcile", params={"account": account}).json()
    assert report["is_ok"] is True, report


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"by": "colour"}, {"since": "1h", "until": "2h"}])
def test_usage_that_cannot_be_asked_names_the_parameter(client: httpx.Client, query: dict[str, str]) -> None:
    answer = client.get("/admin/v1/usage", params={"account": "any", **query})
    assert answer.status_code == 422
    assert answer.json()["error"]["problems"][0]["field"] in query


def test_unknown_paths_and_methods_have_the_same_error_shape(client: httpx.Client) -> None:
    assert error(client.get("/admin/v1/nope"))["kind"] == "not_found"
    assert error(client.delete("/admin/v1/accounts"))["kind"] == "method_not_allowed"
    assert client.post("/admin/v1/catalog", content=b"x" * 5_000_000).status_code == 413


def test_documentation_needs_no_other_host(client: httpx.Client) -> None:
    assert "/admin/v1/keys" in client.get("/openapi.json").json()["paths"]
    page = client.get("/docs/admin").text
    assert "/admin/v1/reconcile" in page
    assert "/openapi.json" in page
    assert 'src="http' not in page
    assert 'href="http' not in page
