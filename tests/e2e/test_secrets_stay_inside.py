"""Canaries: a client's key, a provider's key and a prompt go through a real stack in every way a request can end; then
nothing that is written down, measured or sent elsewhere holds any of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.local.stack import SIMULATOR_KEY
from tests.e2e.test_errors import CLAUDE, ENDPOINTS, body_for
from tests.fixtures.stack import Customer, Stack, until

PROMPT = "canary prompt 91b7e4: my diagnosis is"
BAD_KEY = "sk-lumen-canarybadkey7d20aa"
FORGED_KEY = "sk-foreign-canary-31cc"
HOP_BY_HOP = {
    "te": "trailers",
    "proxy-authorization": "Basic canary-proxy",
    "keep-alive": "timeout=5",
    "x-forwarded-for": "203.0.113.77",
    "cookie": "canary=cookie",
    "x-api-key": FORGED_KEY,
    "x-goog-api-key": FORGED_KEY,
    "openai-organization": "org-canary",
}


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """With the fullest logs there are."""
    state_dir = tmp_path_factory.mktemp("canaries") / "state"
    with Stack(state_dir, {"LUMEN_LOG_LEVEL": "DEBUG"}) as running:
        yield running


@pytest.fixture(scope="module")
def customer(own_stack: Stack) -> Customer:
    return own_stack.customer("10")


def answers(stack: Stack, customer: Customer) -> dict[str, httpx.Response]:
    """Requests that end in every way there is, by what they are."""
    found: dict[str, httpx.Response] = {}

    def ask(name: str, endpoint: str, key: str, prompt: str = PROMPT, content: bytes | None = None) -> None:
        body = None if content is not None else body_for(endpoint, prompt=prompt)
        headers = {"authorization": f"Bearer {key}", **HOP_BY_HOP}
        found[f"{name} {endpoint}"] = httpx.post(
            stack.base_url + endpoint, json=body, content=content, headers=headers, timeout=30
        )

    for endpoint in ENDPOINTS:
        ask("served", endpoint, customer.key)
    for endpoint in ENDPOINTS:  # some of them open breakers
        for status in (400, 401, 429, 500):
            echo = f"{PROMPT} [[sim status={status}]]"
            ask(f"provider {status}", endpoint, customer.key, echo)
        ask("cut", endpoint, customer.key, f"{PROMPT} [[sim cut_after=0]]")
        ask("bad key", endpoint, BAD_KEY)
        ask("foreign key", endpoint, FORGED_KEY)
        ask("malformed", endpoint, customer.key, content=b'{"model": "' + PROMPT.encode() + b'", "messages": [')
        ask("no such model", endpoint, customer.key, content=b'{"model": "%b"}' % PROMPT.encode())
    return found


def raw(stack: Stack, head: bytes) -> bytes:
    host = urlsplit(stack.base_url)
    with socket.create_connection((host.hostname, host.port), timeout=10) as connection:
        connection.sendall(head)
        connection.settimeout(10)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            pytest.fail(f"neither answered nor closed: {received!r}")
    return received


def test_no_secret_or_prompt_is_logged_measured_or_sent_on(own_stack: Stack, customer: Customer) -> None:
    found = answers(own_stack, customer)
    statuses = {name: answer.status_code for name, answer in found.items()}
    assert {statuses[f"served {endpoint}"] for endpoint in ENDPOINTS} == {200}, statuses
    assert {statuses[f"bad key {endpoint}"] for endpoint in ENDPOINTS} == {401}
    assert {statuses[f"malformed {endpoint}"] for endpoint in ENDPOINTS} == {400}
    raw(own_stack, b"GET /" + BAD_KEY.encode() + b" HTTP/9\r\n" + PROMPT.encode() + b"\r\n\r\n")

    secrets = (customer.key, SIMULATOR_KEY, BAD_KEY, FORGED_KEY, PROMPT, "canary-proxy", "canary=cookie")
    # nothing of what one client sent comes back but what it names itself (its model), and never a provider's key
    for name, answer in found.items():
        assert SIMULATOR_KEY not in answer.text + str(answer.headers), name
        assert customer.key not in answer.text + str(answer.headers), name

    sent = own_stack.provider_requests(last=1000)
    assert len([request for request in sent if PROMPT in str(request["body"])]) > 2 * len(ENDPOINTS)
    assert any(SIMULATOR_KEY in str(request["headers"]) for request in sent), "the canary is the key that is used"
    for request in sent:
        text = str(request["headers"]).lower()
        for foreign in (customer.key, BAD_KEY, FORGED_KEY, "canary-proxy", "canary=cookie", "org-canary", "203.0.113"):
            assert foreign.lower() not in text, request
        names = {str(name).lower() for name in dict(request["headers"])}
        assert not names & {"te", "keep-alive", "proxy-authorization", "cookie", "x-forwarded-for", "upgrade"}, names

    base = int(own_stack.base_url.rpartition(":")[2])
    metrics = {port: httpx.get(f"http://127.0.0.1:{base + port}/metrics").text for port in range(10, 15)}
    until(lambda: "request" in own_stack.log("edge"), "the edge logs something")
    logs = {path.name: path.read_text(errors="replace") for path in (own_stack.state_dir / "logs").iterdir()}
    assert len(logs) >= 8
    for secret in secrets:
        for where, text in (*metrics.items(), *logs.items()):
            line = next((line for line in text.splitlines() if secret in line), None)
            assert line is None, f"{secret!r} is in {where}: {line[:300]}"


def test_nothing_that_is_kept_on_disk_holds_a_key_or_prompt(own_stack: Stack, customer: Customer) -> None:
    """Stores and spool: keys are kept as hashes, prompts not at all. (`env` is the operator's own file: it holds the
    demo account's key, which is another.)"""
    httpx.post(
        own_stack.base_url + "/v1/messages",
        json=body_for("/v1/messages", prompt=PROMPT),
        headers={"authorization": f"Bearer {customer.key}"},
        timeout=30,
    ).raise_for_status()
    looked_at = 0
    for folder, _, names in os.walk(own_stack.state_dir):
        for name in names:
            data = (Path(folder) / name).read_bytes() if (Path(folder) / name).is_file() else b""
            looked_at += len(data)
            for secret in (customer.key, PROMPT):
                assert secret.encode() not in data, f"{folder}/{name}"
    assert looked_at > 10_000


@pytest.mark.parametrize("value", [b"a\rb", b"a\nx-injected: 1", b"a\x00b", b"a\r\n b"])
@pytest.mark.parametrize("name", [b"user-agent", b"anthropic-beta"])
def test_a_line_break_in_a_header_is_refused_and_never_sent_on(
    own_stack: Stack, customer: Customer, name: bytes, value: bytes
) -> None:
    body = httpx.Request("POST", "http://x", json=body_for("/v1/messages", CLAUDE)).content
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    head += b"authorization: Bearer %b\r\n%b: %b\r\ncontent-length: %d\r\n\r\n"
    before = len(own_stack.provider_requests(last=1000))
    answer = raw(own_stack, head % (customer.key.encode(), name, value, len(body)) + body)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert len(own_stack.provider_requests(last=1000)) == before
