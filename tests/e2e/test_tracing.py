"""Traces over real processes: from the client's traceparent through edge and auth to billing's posting."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.otlp import Collector, ReceivedSpan
from tests.fixtures.stack import Customer, Stack, until

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_CLIENTS_SPAN = "b7ad6b7169203331"
_SECRET_TEXT = "a-prompt-that-no-trace-may-hold"
_MODEL = "claude-opus-4-8"


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environment = {
        "LUMEN_TRACING": "on",
        "LUMEN_TRACING_SAMPLE_RATIO": "0",  # only what a client asks for
        "LUMEN_EDGE_TRACING_TRUST_CLIENTS": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with Stack(tmp_path_factory.mktemp("traced") / "state", environment) as running:
        yield running


def _ask(
    stack: Stack, customer: Customer, traceparent: str | None, script: str = "tokens=3 input=20"
) -> httpx.Response:
    body = {
        "model": _MODEL,
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": f"{_SECRET_TEXT} [[sim {script}]]"}],
    }
    headers = {"authorization": f"Bearer {customer.key}"}
    if traceparent is not None:
        headers["traceparent"] = traceparent
    return httpx.post(f"{stack.base_url}/v1/messages", json=body, headers=headers, timeout=30)


def _only(spans: list[ReceivedSpan]) -> ReceivedSpan:
    (span,) = spans
    return span


def test_one_request_is_one_tree_from_the_client_to_billing(traced: Stack, collector: Collector) -> None:
    customer = traced.customer("5")
    answer = _ask(traced, customer, f"00-{_TRACE}-{_CLIENTS_SPAN}-01")
    assert answer.status_code == 200, answer.text
    until(lambda: collector.named("post"), "billing's span has come")
    until(lambda: collector.named(f"chat {_MODEL}", _TRACE), "the edge's spans have come")
    until(lambda: collector.named("lumen.auth.v1.Auth/Authenticate"), "auth's span has come")

    of_trace = [span for span in collector.spans if span.trace == _TRACE]
    request = _only([span for span in of_trace if span.parent == _CLIENTS_SPAN])
    assert (request.service, request.name) == ("lumen-edge", f"chat {_MODEL}")
    assert request.attributes["lumen.request_id"] == answer.headers["x-request-id"]
    assert request.attributes["gen_ai.operation.name"] == "chat"
    assert request.attributes["gen_ai.request.model"] == _MODEL
    assert request.attributes["gen_ai.provider.name"] == "anthropic"
    assert request.attributes["gen_ai.usage.input_tokens"] == 20
    assert request.attributes["gen_ai.usage.output_tokens"] == 3
    assert request.attributes["gen_ai.response.finish_reasons"] == ["end_turn"]
    assert request.attributes["http.response.status_code"] == 200

    children = {span.name: span for span in of_trace if span.parent == request.span}
    admission, record = children.pop("admission"), children.pop("record")
    attempt = _only(list(children.values()))
    assert attempt.attributes["lumen.channel"]
    assert attempt.attributes["server.address"] == "127.0.0.1"
    assert request.start_ns <= admission.start_ns <= admission.end_ns <= attempt.start_ns <= record.start_ns
    assert record.end_ns <= attempt.end_ns <= request.end_ns

    asked = [span for span in of_trace if span.parent == admission.span]
    assert {span.service for span in asked} == {"lumen-auth"}
    assert "lumen.auth.v1.Auth/Authenticate" in {span.name for span in asked}  # the key was new to the edge

    post = _only([span for span in collector.named("post") if (_TRACE, request.span) in span.links])
    assert post.service == "lumen-billing"
    assert post.start_ns >= record.start_ns


def test_every_attempt_has_a_span(traced: Stack, collector: Collector) -> None:
    trace = "1" * 32
    customer = traced.customer("5")
    traced.add_fault({"status": 529}, model=_MODEL)
    try:
        answer = _ask(traced, customer, f"00-{trace}-{_CLIENTS_SPAN}-01")
    finally:
        traced.clear_faults()
    until(lambda: any(s.trace == trace and s.parent == _CLIENTS_SPAN for s in collector.spans), "the request's span")
    spans = [span for span in collector.spans if span.trace == trace]
    attempts = [span for span in spans if "lumen.channel" in span.attributes]
    assert attempts
    assert {span.attributes["error.type"] for span in attempts} == {"status"}
    assert {span.attributes["http.response.status_code"] for span in attempts} == {529}
    request = _only([span for span in spans if span.parent == _CLIENTS_SPAN])
    assert request.attributes["http.response.status_code"] == answer.status_code == 529


def test_nobody_elses_requests_are_traced_and_no_trace_holds_text_or_keys(traced: Stack, collector: Collector) -> None:
    customer = traced.customer("5")
    before = len(collector.spans)
    for traceparent in (None, f"00-{'2' * 32}-{_CLIENTS_SPAN}-00", "not a traceparent"):
        assert _ask(traced, customer, traceparent).status_code == 200
    last = "3" * 32
    assert _ask(traced, customer, f"00-{last}-{_CLIENTS_SPAN}-01").status_code == 200
    until(lambda: any(s.trace == last and s.parent == _CLIENTS_SPAN for s in collector.spans), "the last one's span")
    # What was asked before it would have come before it.
    assert {span.trace for span in collector.spans[before:] if span.service == "lumen-edge"} == {last}
    everything = b"".join(collector.bodies)
    assert _SECRET_TEXT.encode() not in everything
    assert customer.key.encode() not in everything


def test_providers_see_no_traceparent(traced: Stack) -> None:
    customer = traced.customer("5")
    assert _ask(traced, customer, f"00-{'4' * 32}-{_CLIENTS_SPAN}-01").status_code == 200
    (request,) = traced.provider_requests()
    assert "traceparent" not in json.dumps(request).lower()


def test_log_lines_of_a_traced_request_carry_its_ids(traced: Stack) -> None:
    trace = "5" * 32
    customer = traced.customer("5")
    traced.add_fault({"status": 401}, model=_MODEL)
    try:
        answer = _ask(traced, customer, f"00-{trace}-{_CLIENTS_SPAN}-01")
    finally:
        traced.clear_faults()
    lines = [json.loads(line) for line in traced.log("edge").splitlines() if line.startswith("{")]
    found = [line for line in lines if line.get("trace_id") == trace]
    assert found
    assert {line["request_id"] for line in found} == {answer.headers["x-request-id"]}
