"""Every wait has its limit: slow providers, busy channels, clients that leave, stall or send too slowly.

A stack of its own with short limits, and a catalog in which each model's channel has one trait.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.e2e.prices import cost_nanousd
from tests.fixtures.stack import Customer, Stack, until

DRAINED, CANCELLED, ALONE, SLOW, DEAD, LIMITING = (
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-sonnet-4-6",
    "gpt-5.5",
    "glm-5",
    "kimi-k2.6",
)
DRAIN_S_MAX = 1.0


@pytest.fixture(scope="module")
def limited_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state_dir = tmp_path_factory.mktemp("limits") / "state"
    limits = {
        "LUMEN_EDGE_CLIENT_STALLED_S_MAX": "0.5",
        "LUMEN_EDGE_DRAIN_DISCONNECTED_S_MAX": str(DRAIN_S_MAX),
        "LUMEN_EDGE_BODY_READ_S_MAX": "0.3",
        "LUMEN_EDGE_CHANNEL_WAIT_S_MAX": "0.2",
        "LUMEN_EDGE_REQUESTS_IN_FLIGHT_MAX": "6",
    }
    with Stack(state_dir, limits) as running:
        document = yaml.safe_load((running.state_dir / "catalog.yaml").read_text())
        template = document["channels"][0]

        def channel(name: str, model: str, **traits: Any) -> dict[str, Any]:
            return {**template, "name": name, "models": {model: model}, **traits}

        nowhere = dict.fromkeys(("anthropic_messages", "openai_chat"), "http://127.0.0.1:9")
        document["channels"] = [
            channel("drained", DRAINED, priority=0),
            channel("spare", DRAINED, priority=1),
            channel("cancelled", CANCELLED, on_disconnect="cancel"),
            channel("alone", ALONE, limits={"concurrency": 1}),
            channel("slow", SLOW, timeouts={"connect_s": 1, "first_byte_s": 0.3, "idle_s": 1, "total_s": 5}),
            channel("dead", DEAD, dialects=nowhere),
            channel("limiting", LIMITING, priority=0),
            channel("unreachable", LIMITING, priority=1, dialects=nowhere),
        ]
        running.admin("POST", "/catalog", {"content": yaml.safe_dump(document), "source_name": "limits"})
        until(lambda: has_revision(running, 2), "the edge has the catalog")
        yield running


def ops_metrics(stack: Stack) -> str:
    host, _, port = stack.base_url.rpartition(":")
    return httpx.get(f"{host}:{int(port) + 10}/metrics").text


def has_revision(stack: Stack, revision: int) -> bool:
    return f"lumen_edge_catalog_revision {float(revision)}" in ops_metrics(stack)


def metric(stack: Stack, name: str) -> float:
    """The series' value, 0 when it does not exist yet."""
    lines = [line for line in ops_metrics(stack).splitlines() if line.startswith(name + " ")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


@pytest.fixture
def customer(limited_stack: Stack) -> Customer:
    return limited_stack.customer("10")


def call(stack: Stack, customer: Customer, model: str, directive: str, *, stream: bool = False) -> dict[str, Any]:
    """Arguments for httpx."""
    prompt = f"[[sim {directive}]]"
    body = {"model": model, "max_tokens": 4000, "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    headers = {"authorization": f"Bearer {customer.key}"}
    return {"url": f"{stack.base_url}/v1/messages", "json": body, "headers": headers, "timeout": 30}


@contextmanager
def raw_request(
    stack: Stack, customer: Customer, body: bytes, *headers: str, length: int | None = None
) -> Iterator[socket.socket]:
    """A connection on which a request to /v1/messages has been sent; closed without reading."""
    host, _, port = stack.base_url.removeprefix("http://").rpartition(":")
    lines = [
        "POST /v1/messages HTTP/1.1",
        f"host: {host}",
        f"authorization: Bearer {customer.key}",
        f"content-length: {len(body) if length is None else length}",
        *headers,
    ]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        yield connection


def message_body(model: str, directive: str, *, stream: bool) -> bytes:
    return httpx.Request(
        "POST",
        "http://x",
        json={
            "model": model,
            "max_tokens": 4000,
            "stream": stream,
            "messages": [{"role": "user", "content": f"[[sim {directive}]]"}],
        },
    ).content


def rows_of(stack: Stack, customer: Customer) -> Any:
    return stack.usage(customer.account)["rows"]


def provider_is_working(stack: Stack, customer: Customer) -> bool:
    return metric(stack, "lumen_edge_requests_in_flight") > 0


# ---- clients that leave


def leave(stack: Stack, customer: Customer, model: str, directive: str, *, stream: bool) -> None:
    """Send a request and go before the provider's head has come."""
    before = len(stack.provider_requests(500))
    with raw_request(stack, customer, message_body(model, directive, stream=stream)):
        until(lambda: len(stack.provider_requests(500)) > before, "the provider has the request")


@pytest.mark.parametrize("stream", [False, True])
def test_cancel_stops_a_provider_that_has_not_answered_yet(
    limited_stack: Stack, customer: Customer, stream: bool
) -> None:
    leave(limited_stack, customer, CANCELLED, "tokens=5 first_byte_ms=20000", stream=stream)
    row = until(lambda: rows_of(limited_stack, customer), "the row of the abandoned request", 10)[0]
    assert row["cost_nanousd"] == 0  # nothing was delivered
    until(lambda: not provider_is_working(limited_stack, customer), "the request is over", 5)
    assert limited_stack.balance_nanousd(customer.account) == customer.credits_nanousd


@pytest.mark.parametrize("stream", [False, True])
def test_drain_reads_an_answer_on_and_charges_it(limited_stack: Stack, customer: Customer, stream: bool) -> None:
    leave(limited_stack, customer, DRAINED, "tokens=7 input=9 first_byte_ms=400", stream=stream)
    cost = cost_nanousd(DRAINED, input=9, output=7)
    limited_stack.until_balance(customer.account, customer.credits_nanousd - cost)


@pytest.mark.parametrize("stream", [False, True])
def test_drain_is_bounded_in_time_and_counted(limited_stack: Stack, customer: Customer, stream: bool) -> None:
    before = metric(limited_stack, 'lumen_edge_client_disconnects_total{policy="drain"}')
    started = time.monotonic()
    leave(limited_stack, customer, DRAINED, "tokens=5 first_byte_ms=20000", stream=stream)
    until(lambda: metric(limited_stack, "lumen_edge_disconnected_draining") == 1, "it is counted as draining")
    until(lambda: metric(limited_stack, "lumen_edge_disconnected_draining") == 0, "the drain ends", 10)
    assert DRAIN_S_MAX <= time.monotonic() - started < 15
    assert metric(limited_stack, 'lumen_edge_client_disconnects_total{policy="drain"}') == before + 1
    until(lambda: rows_of(limited_stack, customer), "the row")
    assert limited_stack.balance_nanousd(customer.account) == customer.credits_nanousd


def test_no_other_provider_is_tried_for_a_client_that_has_left(limited_stack: Stack, customer: Customer) -> None:
    leave(limited_stack, customer, DRAINED, "status=500 first_byte_ms=401", stream=False)
    until(lambda: rows_of(limited_stack, customer), "the row")
    asked = [request for request in limited_stack.provider_requests(500) if "first_byte_ms=401" in str(request)]
    assert len(asked) == 1, "two channels serve the model, one was asked"


def test_an_error_after_text_is_not_charged_to_a_client_that_left(limited_stack: Stack, customer: Customer) -> None:
    arguments = call(limited_stack, customer, DRAINED, "tokens=90 delay_ms=5 error_after=60", stream=True)
    with httpx.stream("POST", **arguments) as answer:
        next(line for line in answer.iter_lines() if "content_block_delta" in line)
    row = until(lambda: rows_of(limited_stack, customer), "the row")[0]
    assert row["cost_nanousd"] == 0


# ---- clients that stop reading


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_stops_reading_gives_its_slot_back(
    limited_stack: Stack, customer: Customer, stream: bool
) -> None:
    stalled = metric(limited_stack, "lumen_edge_stalled_clients_total")
    body = message_body(ALONE, "tokens=3 input=2 frame_bytes=3900000", stream=stream)
    with raw_request(limited_stack, customer, body):
        until(lambda: metric(limited_stack, "lumen_edge_stalled_clients_total") > stalled, "it is cut off", 15)
        answer = httpx.post(**call(limited_stack, customer, ALONE, "tokens=1"))
        assert answer.status_code == 200, answer.text  # one slot is all that the channel has


# ---- providers and channels


def test_a_provider_that_does_not_answer_in_time_is_504(limited_stack: Stack, customer: Customer) -> None:
    answer = httpx.post(**call(limited_stack, customer, SLOW, "tokens=1 first_byte_ms=3000"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")


def test_a_provider_that_cannot_be_reached_is_502(limited_stack: Stack, customer: Customer) -> None:
    answer = httpx.post(**call(limited_stack, customer, DEAD, "tokens=1"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "api_error")


def test_a_channel_without_a_free_slot_is_503_with_retry_after(limited_stack: Stack, customer: Customer) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: httpx.post(**call(limited_stack, customer, ALONE, "tokens=1 first_byte_ms=6000")))
        until(lambda: provider_is_working(limited_stack, customer), "the first request holds the slot")
        second = httpx.post(**call(limited_stack, customer, ALONE, "tokens=1"))
        assert (second.status_code, second.json()["error"]["type"]) == (503, "overloaded_error")
        assert int(second.headers["retry-after"]) >= 1
        assert first.result().status_code == 200


def test_more_requests_than_allowed_at_once_are_503(limited_stack: Stack, customer: Customer) -> None:
    def one(_: int) -> int:
        return httpx.post(**call(limited_stack, customer, DRAINED, "tokens=1 first_byte_ms=1500")).status_code

    with ThreadPoolExecutor(9) as pool:
        statuses = list(pool.map(one, range(9)))
    assert set(statuses) == {200, 503}
    assert statuses.count(200) == 6


def test_a_connect_failure_does_not_hide_what_another_provider_said(limited_stack: Stack, customer: Customer) -> None:
    answer = httpx.post(**call(limited_stack, customer, LIMITING, "status=429 retry_after=11"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "11")


# ---- requests that do not come


def test_a_body_that_does_not_come_is_408_and_closes(limited_stack: Stack, customer: Customer) -> None:
    with raw_request(limited_stack, customer, b'{"model"', length=100) as connection:
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer


def test_a_body_declared_too_large_is_refused_before_it_is_sent(limited_stack: Stack, customer: Customer) -> None:
    with raw_request(limited_stack, customer, b"", "expect: 100-continue", length=10**9) as connection:
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_asks_first_is_told_to_go_on(limited_stack: Stack, customer: Customer) -> None:
    body = message_body(DRAINED, "tokens=1", stream=False)
    with raw_request(
        limited_stack, customer, b"", "expect: 100-continue", "connection: close", length=len(body)
    ) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 ")


def read_to_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


# ---- a ledger that does not answer


@pytest.mark.slow
def test_an_answer_that_cannot_be_recorded_has_no_clean_end(new_stack: Any) -> None:
    stack: Stack = new_stack(LUMEN_EDGE_HAS_SPOOL="false", LUMEN_EDGE_RECORD_S_MAX="1")
    customer = stack.customer("10")
    nats = psutil.Process(stack.pid("nats"))
    arguments = call(stack, customer, DRAINED, "tokens=40 delay_ms=20", stream=True)
    with httpx.stream("POST", **arguments) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if "content_block_delta" in line)
        nats.send_signal(signal.SIGSTOP)
        try:
            rest = list(lines)
        finally:
            nats.send_signal(signal.SIGCONT)
    assert not any("message_stop" in line for line in rest)
    assert any("overloaded_error" in line for line in rest)
    cost = cost_nanousd(DRAINED, output=40)
    until(lambda: stack.balance_nanousd(customer.account) < customer.credits_nanousd, "it is charged once NATS is back")
    assert customer.credits_nanousd - stack.balance_nanousd(customer.account) <= cost + cost_nanousd(DRAINED, input=100)
