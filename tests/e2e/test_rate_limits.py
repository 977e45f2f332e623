"""Limits of keys, accounts, groups and channels as clients and operators see them, in every dialect."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import yaml

from tests.fixtures.stack import Customer, Stack, until

pytestmark = pytest.mark.slow

CLAUDE = "claude-opus-4-8"
PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+s|\d+ms)")


def ask(
    stack: Stack, customer: Customer, path: str = "/v1/messages", prompt: str = "[[sim tokens=2 input=3]]",
    *, stream: bool = False, model: str = CLAUDE, max_tokens: int = 50,
) -> httpx.Response:  # fmt: skip
    body: dict[str, Any] = {"model": model, "stream": stream}
    if path == "/v1/responses":
        body |= {"input": prompt, "max_output_tokens": max_tokens}
    else:
        body |= {"messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
    headers = {"authorization": f"Bearer {customer.key}"}
    return httpx.post(f"{stack.base_url}{path}", json=body, headers=headers, timeout=60)


def limits_in(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if "ratelimit" in name}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_official_headers_tell_what_is_left(stack: Stack, path: str, stream: bool) -> None:
    rpm, tpm = 20, 600  # so little that nothing worth counting comes back between two answers on a busy machine
    limited = stack.customer("5", rpm=rpm, tpm=tpm)
    first, second = (limits_in(ask(stack, limited, path, stream=stream)) for _ in range(2))
    if path == "/v1/messages":
        names = [f"anthropic-ratelimit-{what}-{{}}" for what in ("requests", "tokens")]
        is_reset = RFC3339
    else:
        names = [f"x-ratelimit-{{}}-{what}" for what in ("requests", "tokens")]
        is_reset = DURATION
    assert set(first) == {name.format(figure) for name in names for figure in ("limit", "remaining", "reset")}
    for name, limit in zip(names, (rpm, tpm), strict=True):
        assert int(first[name.format("limit")]) == limit
        assert limit - 50 <= int(first[name.format("remaining")]) < limit
        assert is_reset.fullmatch(first[name.format("reset")])
    remaining = names[0].format("remaining")
    assert int(second[remaining]) == int(first[remaining]) - 1


@pytest.mark.parametrize("path", PATHS)
def test_an_unlimited_key_gets_none_and_never_the_providers(stack: Stack, path: str) -> None:
    customer = stack.customer("5")
    for stream in (False, True):
        answer = ask(stack, customer, path, stream=stream)
        assert answer.status_code == 200
        assert limits_in(answer) == {}  # the simulator sends its own with every answer
    refused = ask(stack, customer, path, "[[sim status=429 retry_after=7]]")
    assert (refused.status_code, refused.headers["retry-after"], limits_in(refused)) == (429, "7", {})


@pytest.mark.parametrize("path", PATHS)
def test_too_many_tokens_are_429_in_the_clients_dialect(stack: Stack, path: str) -> None:
    limited = stack.customer("5", tpm=1000)
    assert ask(stack, limited, path, "[[sim tokens=2 input=3000]]").status_code == 200  # crosses the limit
    answer = until(lambda: (found := ask(stack, limited, path)).status_code == 429 and found, "its usage counts", 5)
    error = answer.json()["error"]
    assert "1000 tokens per minute" in error["message"]
    assert error["type" if path == "/v1/messages" else "code"] in ("rate_limit_error", "rate_limit_exceeded")
    assert 60 <= int(answer.headers["retry-after"]) <= 125
    assert limits_in(answer)


def test_requests_at_once_are_limited_over_keys_of_an_account(stack: Stack) -> None:
    customer = stack.customer("5")
    limited = stack.lumen("account", "limit", customer.account, "--concurrency", "2", "--rpm", "1000")
    assert (limited["limits"]["concurrency"], limited["limits"]["rpm"], limited["limits"]["tpm"]) == (2, 1000, None)
    created = stack.admin("POST", "/keys", {"account": customer.account, "group": "default"})
    other = Customer(customer.account, created["secret"], created["id"], 0)
    with ThreadPoolExecutor(2) as pool:
        slow = [
            pool.submit(ask, stack, each, "/v1/messages", "[[sim tokens=1 first_byte_ms=1500]]")
            for each in (customer, other)
        ]
        until(lambda: in_flight(stack) >= 2, "both are served")
        refused = ask(stack, customer, "/v1/chat/completions")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "your account reached: 2 requests at once" in refused.json()["error"]["message"]
        assert [each.result().status_code for each in slow] == [200, 200]
    assert ask(stack, customer).status_code == 200
    # Taken away again, the rest stays.
    assert stack.lumen("account", "limit", customer.account, "--concurrency", "0")["limits"]["rpm"] == 1000
    until(lambda: "anthropic-ratelimit-requests-limit" in ask(stack, customer).headers, "the edge knows")


def in_flight(stack: Stack) -> float:
    base, _, port = stack.base_url.rpartition(":")
    text = httpx.get(f"{base}:{int(port) + 10}/metrics").text
    return next(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("lumen_edge_requests_in_flight ")
    )


def test_the_days_money_of_a_key_ends_with_402(stack: Stack) -> None:
    created = stack.lumen(
        "key", "create", stack.customer("5").account, "--group", "default",
        "--spend-day", "0.01", "--spend-month", "1", "--concurrency", "9",
    )  # fmt: skip
    assert (created["spend_day_usd"], created["spend_month_usd"], created["concurrency"]) == ("0.01", "1", 9)
    key = Customer(created["account"], created["secret"], created["id"], 0)
    statuses = [ask(stack, key, prompt="[[sim tokens=50 input=200]]").status_code for _ in range(12)]
    assert statuses[0] == 200
    assert statuses[-1] == 402
    assert statuses == sorted(statuses)
    assert "spend limit per day of this API key" in ask(stack, key).json()["error"]["message"]


def test_limits_of_money_must_be_positive(stack: Stack) -> None:
    for body in ({"spend_day_usd": "0"}, {"spend_month_usd": "-1"}, {"rpm": 0}, {"rps": 3}):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            stack.admin("POST", f"/accounts/{stack.customer('0').account}/limits", body)
        assert refused.value.response.status_code == 422


# ---- groups and channels: a catalog of their own


@pytest.fixture(scope="module")
def catalog_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("rates") / "state") as running:
        yield running


@pytest.fixture
def catalog(catalog_stack: Stack) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((catalog_stack.state_dir / "catalog.yaml").read_text())
    return loaded


def apply(stack: Stack, document: dict[str, Any]) -> None:
    revision = stack.admin("POST", "/catalog", {"content": yaml.safe_dump(document), "source_name": "test"})["revision"]
    base, _, port = stack.base_url.rpartition(":")
    ops = f"{base}:{int(port) + 10}/metrics"
    until(lambda: f"lumen_edge_catalog_revision {float(revision)}" in httpx.get(ops).text, "the edge has it", 5)


def channel(catalog: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    demo = catalog["channels"][0]
    url = demo["dialects"]["anthropic_messages"].removesuffix("/anthropic")
    return {**demo, "name": name, "dialects": {"anthropic_messages": f"{url}/{name}/anthropic"}, **fields}


def served(stack: Stack, last: int) -> Counter[str]:
    return Counter(request["path"].split("/")[1] for request in stack.provider_requests(last))


def test_a_groups_limit_holds_for_all_its_accounts(catalog_stack: Stack, catalog: dict[str, Any]) -> None:
    for group in catalog["groups"]:
        if group["name"] == "default":
            group["limits"] = {"rpm": 3, "concurrency": 100}
    apply(catalog_stack, catalog)
    customers = [catalog_stack.customer("5") for _ in range(4)]
    statuses = [ask(catalog_stack, each).status_code for each in customers]
    assert statuses == [200, 200, 200, 429]


def test_a_channel_at_its_rate_spills_to_the_next(catalog_stack: Stack, catalog: dict[str, Any]) -> None:
    catalog["channels"] = [
        channel(catalog, "spill-a", priority=0, limits={"rpm": 6}),
        channel(catalog, "spill-b", priority=1),
    ]
    apply(catalog_stack, catalog)
    customer = catalog_stack.customer("5")
    started = time.monotonic()
    assert {ask(catalog_stack, customer).status_code for _ in range(20)} == {200}
    drained = (time.monotonic() - started) * 6 / 60
    found = served(catalog_stack, 20)
    assert 5 <= found["spill-a"] <= 6 + drained
    assert found["spill-b"] == 20 - found["spill-a"]


def test_a_channel_at_its_tokens_spills_once_it_is_known(catalog_stack: Stack, catalog: dict[str, Any]) -> None:
    catalog["channels"] = [
        channel(catalog, "tokens-a", priority=0, limits={"tpm": 1000}),
        channel(catalog, "tokens-b", priority=1),
    ]
    apply(catalog_stack, catalog)
    customer = catalog_stack.customer("5")
    until(lambda: ask(catalog_stack, customer).status_code == 200 and served(catalog_stack, 1)["tokens-a"], "in use", 5)
    assert ask(catalog_stack, customer, prompt="[[sim tokens=10 input=4000]]").status_code == 200
    assert {ask(catalog_stack, customer).status_code for _ in range(5)} == {200}
    assert served(catalog_stack, 5) == {"tokens-b": 5}


def test_when_all_are_at_their_rate_requests_wait_a_bounded_time(catalog_stack: Stack, catalog: dict[str, Any]) -> None:
    catalog["channels"] = [channel(catalog, "wait-a", limits={"rpm": 90})]
    apply(catalog_stack, catalog)
    customer = catalog_stack.customer("5")
    for _ in range(90):
        assert ask(catalog_stack, customer).status_code == 200
    # Two thirds of a second each: waited for, within the second that a request may wait.
    assert [ask(catalog_stack, customer).status_code for _ in range(3)] == [200] * 3
    catalog["channels"] = [channel(catalog, "wait-b", limits={"rpm": 2})]
    apply(catalog_stack, catalog)
    answers = [ask(catalog_stack, customer) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert int(answers[-1].headers["retry-after"]) >= 1
