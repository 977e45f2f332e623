"""What a catalog or a setting changes while the stack runs: failover, disconnects, keepalives, drain on SIGTERM."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack, until

CLAUDE = "claude-opus-4-8"


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state_dir = tmp_path_factory.mktemp("own") / "state"
    with Stack(state_dir, {"LUMEN_EDGE_KEEPALIVE_INTERVAL_S": "0.2"}) as running:
        yield running


@pytest.fixture
def customer(own_stack: Stack) -> Customer:
    return own_stack.customer("10")


@pytest.fixture
def catalog(own_stack: Stack) -> Iterator[dict[str, Any]]:
    """The demo catalog to change and `apply`; put back afterwards."""
    text = (own_stack.state_dir / "catalog.yaml").read_text()
    yield yaml.safe_load(text)
    own_stack.admin("POST", "/catalog", {"content": text, "source_name": "demo"})


def apply(stack: Stack, tmp_path: Path, document: dict[str, Any]) -> None:
    """By the command; every edge has it within a second."""
    path = tmp_path / "catalog.yaml"
    path.write_text(yaml.safe_dump(document))
    revision = stack.lumen("apply", "-f", str(path))["revision"]
    metrics = stack.env["LUMEN_BASE_URL"].rpartition(":")
    ops = f"{metrics[0]}:{int(metrics[2]) + 10}/metrics"
    until(lambda: f"lumen_edge_catalog_revision {float(revision)}" in httpx.get(ops).text, "the edge has it", 2)


def request(stack: Stack, customer: Customer, directive: str, *, stream: bool) -> dict[str, Any]:
    """Arguments for httpx."""
    prompt = f"[[sim {directive}]]"
    body = {"model": CLAUDE, "max_tokens": 900, "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    headers = {"authorization": f"Bearer {customer.key}"}
    return {"url": f"{stack.base_url}/v1/messages", "json": body, "headers": headers, "timeout": 30}


def test_a_dead_channel_is_passed_over(
    own_stack: Stack, customer: Customer, catalog: dict[str, Any], tmp_path: Path
) -> None:
    live = catalog["channels"][0]
    dead = {**live, "name": "dead", "dialects": {"anthropic_messages": "http://127.0.0.1:9"}, "priority": 0}
    catalog["channels"] = [dead, {**live, "priority": 1}]
    apply(own_stack, tmp_path, catalog)
    answer = httpx.post(**request(own_stack, customer, "tokens=4 input=5", stream=False))
    assert answer.status_code == 200, answer.text
    cost = cost_nanousd(CLAUDE, input=5, output=4)
    own_stack.until_balance(customer.account, customer.credits_nanousd - cost)


def test_a_channel_without_its_secret_is_shown_as_disabled(
    own_stack: Stack, customer: Customer, catalog: dict[str, Any], tmp_path: Path
) -> None:
    catalog["channels"].append({**catalog["channels"][0], "name": "keyless", "secret": "env:LUMEN_TEST_NO_SUCH_KEY"})
    apply(own_stack, tmp_path, catalog)
    assert httpx.post(**request(own_stack, customer, "tokens=1", stream=False)).status_code == 200

    def disabled() -> bool:
        states = {channel["channel"]: channel for channel in own_stack.admin("GET", "/catalog")["channels"]}
        return states["keyless"]["state"] == "disabled" and "LUMEN_TEST_NO_SUCH_KEY" in states["keyless"]["reason"]

    until(disabled, "the channel is shown as disabled")


def test_cancel_stops_the_provider_when_the_client_leaves_and_charges_what_was_delivered(
    own_stack: Stack, customer: Customer, catalog: dict[str, Any], tmp_path: Path
) -> None:
    catalog["channels"][0]["on_disconnect"] = "cancel"
    apply(own_stack, tmp_path, catalog)
    # 800 tokens 20 ms apart would take 16 s: the row comes long before.
    with httpx.stream("POST", **request(own_stack, customer, "tokens=800 input=10 delay_ms=20", stream=True)) as answer:
        next(line for line in answer.iter_lines() if "content_block_delta" in line)
    rows = until(lambda: own_stack.usage(customer.account)["rows"], "the row", 8)
    assert 0 < rows[0]["cost_nanousd"] < cost_nanousd(CLAUDE, input=40, output=200)


def test_a_strict_group_sends_a_cap_upstream(own_stack: Stack) -> None:
    strict = own_stack.customer("10", "strict")
    call = request(own_stack, strict, "tokens=3", stream=False)
    call["json"]["max_tokens"] = 50
    assert httpx.post(**call).status_code == 200
    unbounded = request(own_stack, strict, "tokens=3", stream=False)
    unbounded["json"]["messages"][0]["content"] = [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}}
    ]
    assert httpx.post(**unbounded).status_code == 400


@pytest.mark.parametrize(
    ("path", "keepalive"), [("/v1/messages", 'data: {"type": "ping"}'), ("/v1/chat/completions", ": keepalive")]
)
def test_keepalives_while_a_provider_thinks(own_stack: Stack, customer: Customer, path: str, keepalive: str) -> None:
    call = request(own_stack, customer, "tokens=2 first_frame_ms=1200", stream=True)
    call["url"] = own_stack.base_url + path
    with httpx.stream("POST", **call) as answer:
        lines = list(answer.iter_lines())
    first_frame = next(number for number, line in enumerate(lines) if "message_start" in line or '"role"' in line)
    assert keepalive in lines[:first_frame]


def test_sigterm_lets_open_streams_finish(own_stack: Stack, customer: Customer) -> None:
    pid = own_stack.pid("edge")
    call = request(own_stack, customer, "tokens=60 input=10 delay_ms=20", stream=True)
    with httpx.stream("POST", **call) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if "content_block_delta" in line)
        os.kill(pid, signal.SIGTERM)
        assert any("message_stop" in line for line in lines)
    cost = cost_nanousd(CLAUDE, input=10, output=60)
    own_stack.until_balance(customer.account, customer.credits_nanousd - cost)
    until(lambda: own_stack.env.get("LUMEN_PID_EDGE") not in (None, str(pid)), "another edge runs")
