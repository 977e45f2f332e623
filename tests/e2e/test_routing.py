"""Several channels under scripted faults: what clients see, where conversations go, who probes, what is charged.

Each channel has a path of its own at the simulator (`/c1/...`), so that faults and requests can be told apart.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack, until

CLAUDE, SONNET, GPT = "claude-opus-4-8", "claude-sonnet-4-6", "gpt-5.5"
DEAD_URL = "http://127.0.0.1:9"
BREAKER_OPEN_S = 1.0


@pytest.fixture(scope="module")
def routing_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state_dir = tmp_path_factory.mktemp("routing") / "state"
    with Stack(state_dir, {"LUMEN_EDGE_BREAKER_OPEN_S": str(BREAKER_OPEN_S)}) as running:
        yield running


@pytest.fixture
def customer(routing_stack: Stack) -> Customer:
    return routing_stack.customer("100")


@pytest.fixture
def catalog(routing_stack: Stack) -> Iterator[dict[str, Any]]:
    """The demo catalog to change and `apply`; put back afterwards, without faults."""
    text = (routing_stack.state_dir / "catalog.yaml").read_text()
    yield yaml.safe_load(text)
    routing_stack.clear_faults()
    routing_stack.admin("POST", "/catalog", {"content": text, "source_name": "demo"})


def apply(stack: Stack, document: dict[str, Any]) -> None:
    revision = stack.admin("POST", "/catalog", {"content": yaml.safe_dump(document), "source_name": "test"})["revision"]
    until(lambda: metric(stack, "lumen_edge_catalog_revision") == revision, "the edge has it", 5)


def metric(stack: Stack, name: str) -> float:
    """The sum over the metric's labels; `name` may have labels in braces."""
    base, _, port = stack.base_url.rpartition(":")
    text = httpx.get(f"{base}:{int(port) + 10}/metrics").text
    lines = [line for line in text.splitlines() if line.startswith((name + " ", name + "{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def channel(catalog: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    """The demo channel under a path of its own."""
    demo = catalog["channels"][0]
    url = demo["dialects"]["anthropic_messages"].removesuffix("/anthropic")
    dialects = {
        "anthropic_messages": f"{url}/{name}/anthropic",
        "openai_chat": f"{url}/{name}/openai/v1",
    }
    return {**demo, "name": name, "dialects": dialects, **fields}


def ask(
    stack: Stack,
    customer: Customer,
    prompt: Any,
    *,
    model: str = CLAUDE,
    stream: bool = False,
    path: str = "/v1/messages",
) -> httpx.Response:
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    body = {"model": model, "max_tokens": 900, "stream": stream, "messages": messages}
    headers = {"authorization": f"Bearer {customer.key}"}
    return httpx.post(f"{stack.base_url}{path}", json=body, headers=headers, timeout=60)


def is_whole(answer: httpx.Response) -> bool:
    if answer.status_code != 200:
        return False
    if "event-stream" in answer.headers["content-type"]:
        return "message_stop" in answer.text and '"error"' not in answer.text
    return bool(answer.json()["content"])


def paths(stack: Stack, last: int = 1000) -> list[str]:
    """The channels of the provider's latest requests."""
    return [request["path"].split("/")[1] for request in stack.provider_requests(last)]


def provider_total(stack: Stack) -> int:
    answer = httpx.get(f"{stack.env['LUMEN_SIMULATOR_URL']}/_sim/requests", params={"last": 1})
    return int(answer.json()["total"])


def test_with_one_healthy_channel_left_clients_see_no_error(
    routing_stack: Stack, customer: Customer, catalog: dict[str, Any]
) -> None:
    timeouts = {"connect_s": 1, "first_byte_s": 0.7, "idle_s": 5, "total_s": 60}
    names = ("c1", "slow", "limited", "cutting")
    catalog["channels"] = [channel(catalog, name, timeouts=timeouts) for name in names]
    catalog["channels"].append(channel(catalog, "dead", dialects={"anthropic_messages": DEAD_URL}, timeouts=timeouts))
    apply(routing_stack, catalog)
    routing_stack.add_fault({"first_byte_ms": 5000}, path="/slow/")
    routing_stack.add_fault({"status": 429, "retry_after": 3}, path="/limited/")
    routing_stack.add_fault({"cut_after": 0}, path="/cutting/")
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(
                lambda number: ask(
                    routing_stack, customer, f"question {number} [[sim tokens=4 input=5]]", stream=number % 2 == 0
                ),
                range(160),
            )
        )
    assert Counter(answer.status_code for answer in answers) == {200: 160}
    assert all(map(is_whole, answers))
    served = Counter(paths(routing_stack))
    assert served["c1"] >= 160
    # The breakers hold: the four sick channels were asked a few times each, not 32 times.
    assert sum(count for name, count in served.items() if name != "c1") < 80
    routing_stack.until_balance(
        customer.account, customer.credits_nanousd - 160 * cost_nanousd(CLAUDE, input=5, output=4)
    )


def test_conversations_stay_at_their_channel_in_any_dialect(
    routing_stack: Stack, customer: Customer, catalog: dict[str, Any]
) -> None:
    catalog["channels"] = [channel(catalog, name) for name in ("c1", "c2", "c3")]
    apply(routing_stack, catalog)
    before = metric(routing_stack, 'lumen_edge_affinity_total{result="hit"}')
    homes: dict[int, set[str]] = defaultdict(set)
    for conversation in range(12):
        messages = [{"role": "user", "content": f"conversation {conversation}"}]
        for turn in range(4):
            path = "/v1/chat/completions" if turn % 2 else "/v1/messages"
            assert ask(routing_stack, customer, messages, path=path).status_code == 200
            homes[conversation] |= set(paths(routing_stack, 1))
            messages += [{"role": "assistant", "content": "I see."}, {"role": "user", "content": f"turn {turn}"}]
    assert all(len(found) == 1 for found in homes.values()), homes
    assert len(set.union(*homes.values())) > 1
    assert metric(routing_stack, 'lumen_edge_affinity_total{result="hit"}') - before == 48


@pytest.mark.slow
def test_a_channel_that_recovers_is_probed_by_one_request_at_a_time(
    routing_stack: Stack, customer: Customer, catalog: dict[str, Any]
) -> None:
    catalog["channels"] = [channel(catalog, "c1"), channel(catalog, "c2", priority=1)]
    apply(routing_stack, catalog)
    routing_stack.add_fault({"status": 500}, path="/c1/")
    for number in range(5):
        assert ask(routing_stack, customer, f"before {number}").status_code == 200
    assert metric(routing_stack, "lumen_edge_breaker_state") == 2
    routing_stack.clear_faults()
    routing_stack.add_fault({"first_byte_ms": 8000}, path="/c1/")
    until(lambda: metric(routing_stack, "lumen_edge_breaker_state") == 1, "half-open", 10)
    total = provider_total(routing_stack)
    with ThreadPoolExecutor(7) as pool:
        probe = pool.submit(ask, routing_stack, customer, "the probe")
        until(lambda: provider_total(routing_stack) == total + 1, "the probe is under way")
        answers = list(pool.map(lambda number: ask(routing_stack, customer, f"after {number}"), range(6)))
        assert not probe.done(), "the others were meant to come while it is under way"
        assert all(answer.status_code == 200 for answer in [*answers, probe.result()])
    assert Counter(paths(routing_stack, provider_total(routing_stack) - total)) == {"c1": 1, "c2": 6}
    routing_stack.clear_faults()
    assert metric(routing_stack, "lumen_edge_breaker_state") == 0
    assert ask(routing_stack, customer, "well again").status_code == 200
    assert paths(routing_stack, 1) == ["c1"]


def test_a_refused_account_disables_its_channel_until_the_catalog_changes(
    routing_stack: Stack, customer: Customer, catalog: dict[str, Any]
) -> None:
    catalog["channels"] = [channel(catalog, "c1"), channel(catalog, "c2", priority=1)]
    apply(routing_stack, catalog)
    faults = metric(routing_stack, "lumen_edge_channel_account_faults_total")
    routing_stack.add_fault({"status": 401}, path="/c1/")
    total = provider_total(routing_stack)
    assert all(ask(routing_stack, customer, f"x {number}").status_code == 200 for number in range(6))
    assert Counter(paths(routing_stack, provider_total(routing_stack) - total)) == {"c1": 1, "c2": 6}
    assert metric(routing_stack, "lumen_edge_channel_account_faults_total") == faults + 1
    routing_stack.clear_faults()
    catalog["channels"][0]["weight"] = 2
    apply(routing_stack, catalog)
    assert ask(routing_stack, customer, "again").status_code == 200
    assert paths(routing_stack, 1) == ["c1"]


def test_the_only_channel_is_tried_whatever_its_breaker_says(
    routing_stack: Stack, customer: Customer, catalog: dict[str, Any]
) -> None:
    catalog["channels"] = [channel(catalog, "c1")]
    apply(routing_stack, catalog)
    routing_stack.add_fault({"status": 529, "retry_after": 60}, path="/c1/")
    for _ in range(7):
        answer = ask(routing_stack, customer, "x")
        assert (answer.status_code, answer.headers["retry-after"]) == (529, "60")
    routing_stack.clear_faults()
    assert ask(routing_stack, customer, "x").status_code == 200
    assert metric(routing_stack, "lumen_edge_breaker_state") == 0


@pytest.mark.parametrize("stream", [False, True])
def test_another_model_answers_by_name_and_at_its_price(
    routing_stack: Stack, customer: Customer, catalog: dict[str, Any], stream: bool
) -> None:
    for model in catalog["models"]:
        if model["code"] == CLAUDE:
            model["fallbacks"] = [GPT, SONNET]
    catalog["channels"] = [
        channel(catalog, "c1", models={CLAUDE: CLAUDE}),
        channel(catalog, "c2", models={GPT: GPT}),
        channel(catalog, "c3", models={SONNET: SONNET}),
    ]
    apply(routing_stack, catalog)
    directive = "[[sim tokens=6 input=9]]"
    well = ask(routing_stack, customer, directive, stream=stream)
    assert is_whole(well)
    assert "x-lumen-model" not in well.headers
    routing_stack.add_fault({"status": 503}, path="/c1/")
    routing_stack.add_fault({"status": 500}, path="/c2/")
    served = ask(routing_stack, customer, directive, stream=stream)
    assert is_whole(served), served.text
    assert served.headers["x-lumen-model"] == SONNET
    spent = cost_nanousd(CLAUDE, input=9, output=6) + cost_nanousd(SONNET, input=9, output=6)
    routing_stack.until_balance(customer.account, customer.credits_nanousd - spent)
    rows = {row["value"]: row["cost_nanousd"] for row in routing_stack.usage(customer.account)["rows"]}
    assert rows == {
        CLAUDE: cost_nanousd(CLAUDE, input=9, output=6),
        SONNET: cost_nanousd(SONNET, input=9, output=6),
    }
    routing_stack.add_fault({"status": 500}, path="/c3/")
    failed = ask(routing_stack, customer, directive, stream=stream)
    assert failed.status_code == 503  # of the model that was asked for
    assert "x-lumen-model" not in failed.headers
    assert routing_stack.lumen("reconcile")["is_ok"]


def test_a_key_limited_to_a_model_never_gets_another(routing_stack: Stack, catalog: dict[str, Any]) -> None:
    for model in catalog["models"]:
        if model["code"] == CLAUDE:
            model["fallbacks"] = [SONNET]
    catalog["channels"] = [
        channel(catalog, "c1", models={CLAUDE: CLAUDE}),
        channel(catalog, "c2", models={SONNET: SONNET}),
    ]
    apply(routing_stack, catalog)
    routing_stack.add_fault({"status": 500}, path="/c1/")
    limited = routing_stack.customer("5", models=[CLAUDE])
    assert ask(routing_stack, limited, "x").status_code == 500


def test_explain_names_each_candidate_and_why(
    routing_stack: Stack, customer: Customer, catalog: dict[str, Any]
) -> None:
    catalog["channels"] = [
        channel(catalog, "c1"),
        channel(catalog, "c2", priority=1),
        channel(catalog, "keyless", secret="env:LUMEN_TEST_NO_SUCH_KEY"),
    ]
    apply(routing_stack, catalog)
    routing_stack.add_fault({"status": 429, "retry_after": 60}, path="/c1/")
    assert ask(routing_stack, customer, "x").status_code == 200
    for key in (customer.key, customer.key_id):
        shown = routing_stack.lumen("route", "explain", "--key", key, "--model", "claude-opus-4-8-20260801")
        assert (shown["account"], shown["group"], shown["refusal"]) == (customer.account, "default", None)
        [edge] = shown["edges"]
        found = {each["channel"]: each for each in edge["candidates"]}
        assert [name for name, each in found.items() if each["is_chosen"]] == ["c2"]
        assert "retry-after 60 s" in found["c1"]["reason"]
        assert "LUMEN_TEST_NO_SUCH_KEY" in found["keyless"]["reason"]
    table = routing_stack.run(
        "route", "explain", "--key", customer.key_id, "--model", CLAUDE, "--state-dir", str(routing_stack.state_dir)
    ).stdout
    assert "*  c2" in table
    with pytest.raises(httpx.HTTPStatusError) as unknown:
        routing_stack.admin("POST", "/route/explain", {"key": "key_nobody", "model": CLAUDE})
    assert unknown.value.response.status_code == 404


def test_an_outage_of_router_is_invisible(routing_stack: Stack, customer: Customer, catalog: dict[str, Any]) -> None:
    """Frozen, not killed, so that it stays away: longer than the watch's silence limit (2 s) and a renewal or two."""
    catalog["channels"] = [channel(catalog, "c1"), channel(catalog, "c2")]
    apply(routing_stack, catalog)
    router = psutil.Process(routing_stack.pid("router"))
    router.suspend()
    try:
        routing_stack.add_fault({"status": 500}, path="/c1/")
        started = time.monotonic()
        number = 0
        has_opened = False
        while (elapsed := time.monotonic() - started) < 6 or not has_opened:
            assert elapsed < 60, "the breaker of the failing channel never opened"
            number += 1
            assert ask(routing_stack, customer, f"question {number}").status_code == 200
            has_opened = has_opened or metric(routing_stack, "lumen_edge_breaker_state") > 0
    finally:
        router.resume()
    routing_stack.clear_faults()
    catalog["channels"][1]["weight"] = 3
    apply(routing_stack, catalog)  # the edge listens again
    assert ask(routing_stack, customer, "x").status_code == 200
