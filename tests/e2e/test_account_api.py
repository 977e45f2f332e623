"""`GET /v1/balance` and `GET /v1/usage`: what the holder of a key is told, to the nano-dollar, and what not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fixtures.stack import Customer, Stack, until

MODEL = "claude-opus-4-8"


@pytest.fixture(scope="module")
def customer(stack: Stack) -> Customer:
    """Two answers by the key, one by another key of the same account; all posted."""
    customer = stack.customer("10")
    other = stack.admin("POST", "/keys", {"account": customer.account, "group": "default"})["secret"]
    for key in (customer.key, customer.key, other):
        body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}], "stream": False}
        headers = {"authorization": f"Bearer {key}"}
        httpx.post(f"{stack.base_url}/v1/chat/completions", json=body, headers=headers, timeout=30).raise_for_status()

    def is_posted() -> bool:
        total = stack.usage(customer.account)["total"]
        spent = customer.credits_nanousd - stack.balance_nanousd(customer.account)
        return bool(total["requests"] == 3 and spent == total["cost_nanousd"])

    until(is_posted, "three answers are posted")
    return customer


def get(stack: Stack, path: str, key: str | None, **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key is not None else {}
    return httpx.get(f"{stack.base_url}{path}", params=query, headers=headers, timeout=30)


def test_the_balance_is_the_ledgers(stack: Stack, customer: Customer) -> None:
    answer = get(stack, "/v1/balance", customer.key)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["object"], told["currency"], told["is_live"]) == ("balance", "USD", True)
    assert told["balance_nanousd"] == stack.balance_nanousd(customer.account)
    assert told["available_nanousd"] == told["balance_nanousd"] - told["reserved_nanousd"]
    assert answer.headers["x-request-id"].startswith("req_")


def test_usage_is_the_keys_own_and_equals_the_operators_figures(stack: Stack, customer: Customer) -> None:
    by_key = stack.admin("GET", "/usage", account=customer.account, by="key")["rows"]
    mine: Any = next(row for row in by_key if row["value"] == customer.key_id)
    told = get(stack, "/v1/usage", customer.key).json()
    [row] = told["data"]
    assert (row["model"], row["requests"], told["key_id"]) == (MODEL, 2, customer.key_id)
    for name in ("requests", "input_tokens", "output_tokens", "reasoning_tokens", "cost_nanousd", "cost_usd"):
        assert told["total"][name] == row[name] == mine[name], name
    today = datetime.now(UTC).date()
    [day] = get(stack, "/v1/usage", customer.key, by="day", since=str(today - timedelta(days=1))).json()["data"]
    assert day["day"] in (str(today), str(today - timedelta(days=1)))
    assert get(stack, "/v1/usage", customer.key, since="2021-01-01", until="2021-01-02").json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01"}, "until"),
        ({"since": "2026-01-02", "until": "2026-01-02"}, "since"),
        ({"since": "2026-01-01", "until": "2026-02-02"}, "since"),
        ({"by": "key"}, "by"),
        ({"account": "another"}, "account"),
        ({"since": "1970-01-01"}, "since"),
    ],
)
def test_what_cannot_be_asked_names_the_parameter(
    stack: Stack, customer: Customer, query: dict[str, str], param: str
) -> None:
    answer = get(stack, "/v1/usage", customer.key, **query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/usage"])
def test_strangers_are_told_nothing(stack: Stack, path: str) -> None:
    for key in (None, "sk-lumen-unknown"):
        answer = get(stack, path, key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert answer.headers["x-should-retry"] == "false"
    wrong = httpx.post(f"{stack.base_url}{path}", timeout=30)
    assert wrong.status_code == 405


def test_asking_too_often_is_429_and_leaves_models_alone(stack: Stack) -> None:
    customer = stack.customer("1")
    with httpx.Client(headers={"authorization": f"Bearer {customer.key}"}, timeout=30) as client:
        statuses = [client.get(f"{stack.base_url}/v1/balance").status_code for _ in range(62)]
        refused = client.get(f"{stack.base_url}/v1/balance")
        assert set(statuses) == {200, 429}
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get(f"{stack.base_url}/v1/models").status_code == 200
