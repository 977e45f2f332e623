"""Four edge processes of one system: what they agree on, and what they get through without auth and router."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.fixtures.edges import EdgeProcess, metric_at
from tests.fixtures.engines import free_port
from tests.fixtures.stack import Customer, Stack, until

pytestmark = pytest.mark.slow

CLAUDE = "claude-opus-4-8"
SETTINGS = {"LUMEN_EDGE_BREAKER_OPEN_S": "1", "LUMEN_EDGE_BREAKER_FAILURES_MAX": "3"}
AGREED_S_MAX = 1.0


class StacksEdge:
    """The edge that belongs to the stack, with the face of the others."""

    def __init__(self, stack: Stack) -> None:
        self.base_url = stack.base_url
        base, _, port = stack.base_url.rpartition(":")
        self._ops_url = f"{base}:{int(port) + 10}"

    def metric(self, name: str) -> float:
        return metric_at(self._ops_url, name)


Edge = EdgeProcess | StacksEdge


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, list[Edge]]]:
    directory = tmp_path_factory.mktemp("several")
    with ExitStack() as exits:
        stack = exits.enter_context(Stack(directory / "state", SETTINGS))
        more = [exits.enter_context(EdgeProcess(stack, directory / f"edge{each}", SETTINGS)) for each in range(3)]
        yield stack, [StacksEdge(stack), *more]


@pytest.fixture
def stack(several: tuple[Stack, list[Edge]]) -> Stack:
    return several[0]


@pytest.fixture
def edges(several: tuple[Stack, list[Edge]]) -> list[Edge]:
    return several[1]


@pytest.fixture
def catalog(stack: Stack) -> Iterator[dict[str, Any]]:
    """The demo catalog to change and `apply`; put back afterwards, without faults."""
    text = (stack.state_dir / "catalog.yaml").read_text()
    yield yaml.safe_load(text)
    stack.clear_faults()
    stack.admin("POST", "/catalog", {"content": text, "source_name": "demo"})


def until_all(edges: list[Edge], name: str, value: float, since: float) -> float:
    """Until every edge's metric has this value: seconds after `since`, without what it takes to look.

    Looking at all takes some 30 ms on an idle machine. Where it takes longer the machine is busy with other things, and
    what is measured is worth as much less: ten looks' time is taken off.
    """

    look_s = 0.0

    def look() -> bool:
        nonlocal look_s
        begun = time.monotonic()
        found = [edge.metric(name) == value for edge in edges]
        look_s = time.monotonic() - begun
        return all(found)

    until(look, f"{name} is {value} everywhere", 30)
    return time.monotonic() - since - 10 * look_s


def apply(stack: Stack, edges: list[Edge], document: dict[str, Any]) -> float:
    """Until every edge has it; seconds after the command's answer."""
    body = {"content": yaml.safe_dump(document), "source_name": "test"}
    revision = stack.admin("POST", "/catalog", body)["revision"]
    return until_all(edges, "lumen_edge_catalog_revision", revision, time.monotonic())


def channel(catalog: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    demo = catalog["channels"][0]
    url = demo["dialects"]["anthropic_messages"].removesuffix("/anthropic")
    return {**demo, "name": name, "dialects": {"anthropic_messages": f"{url}/{name}/anthropic"}, **fields}


def request_for(edge: Edge, customer: Customer, prompt: Any, *, stream: bool = False) -> dict[str, Any]:
    """Arguments for httpx."""
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    body = {"model": CLAUDE, "max_tokens": 900, "stream": stream, "messages": messages}
    headers = {"authorization": f"Bearer {customer.key}"}
    return {"url": f"{edge.base_url}/v1/messages", "json": body, "headers": headers, "timeout": 60}


def ask(edge: Edge, customer: Customer, prompt: Any = "[[sim tokens=2 input=3]]") -> httpx.Response:
    return httpx.post(**request_for(edge, customer, prompt))


def asked(stack: Stack, last: int) -> list[str]:
    """The channels of the provider's latest requests."""
    return [request["path"].split("/")[1] for request in stack.provider_requests(last)]


def provider_total(stack: Stack) -> int:
    answer = httpx.get(f"{stack.env['LUMEN_SIMULATOR_URL']}/_sim/requests", params={"last": 1})
    return int(answer.json()["total"])


# ---- limits


def test_a_keys_limit_holds_within_two_percent_over_four_processes(stack: Stack, edges: list[Edge]) -> None:
    per_minute = 240
    limited = stack.customer("100", rpm=per_minute)
    started = time.monotonic()
    is_over = Event()

    def flood(edge: Edge) -> int:
        admitted = 0
        with httpx.Client() as client:
            while not is_over.is_set():
                answer = client.post(**request_for(edge, limited, "[[sim tokens=1]]"))
                if answer.status_code == 200:
                    admitted += 1
                else:
                    assert answer.status_code == 429, answer.text
                    ended.append(time.monotonic())
                    if ended[-1] - ended[0] > 3.0:
                        is_over.set()
        return admitted

    ended: list[float] = []
    with ThreadPoolExecutor(8) as pool:
        admitted = sum(pool.map(flood, [*edges, *edges]))
    allowed = per_minute * (1 + (time.monotonic() - started) / 60)
    assert 0.98 * allowed - 1 <= admitted <= allowed


# ---- channels' health


def test_edges_agree_on_a_breaker_within_a_second_and_one_request_of_all_tries_again(
    stack: Stack, edges: list[Edge], catalog: dict[str, Any]
) -> None:
    catalog["channels"] = [channel(catalog, "b1"), channel(catalog, "b2", priority=1)]
    apply(stack, edges, catalog)
    customer = stack.customer("100")
    for edge in edges:
        assert ask(edge, customer).status_code == 200
    stack.add_fault({"status": 500}, path="/b1/")
    for _ in range(3):
        assert ask(edges[0], customer).status_code == 200
    assert edges[0].metric("lumen_edge_breaker_state") >= 1
    found = time.monotonic()
    assert until_all(edges[1:], "lumen_edge_breaker_state", 2, found) < AGREED_S_MAX
    # Recovery is slow to answer: everybody else stays away while one request tries.
    stack.clear_faults()
    stack.add_fault({"first_byte_ms": 8000}, path="/b1/")
    until(lambda: edges[0].metric("lumen_edge_breaker_state") == 1, "half-open where it was found", 10)
    total = provider_total(stack)
    with ThreadPoolExecutor(13) as pool:
        probe = pool.submit(ask, edges[0], customer)
        until(lambda: provider_total(stack) == total + 1, "the probe is under way")
        answers = list(pool.map(lambda edge: ask(edge, customer), edges * 3))
        assert not probe.done(), "the others were meant to come while it is under way"
        assert {answer.status_code for answer in [*answers, probe.result()]} == {200}
    ended = time.monotonic()
    assert Counter(asked(stack, provider_total(stack) - total)) == {"b1": 1, "b2": 12}
    assert until_all(edges, "lumen_edge_breaker_state", 0, ended) < AGREED_S_MAX


class _Provider:
    """Lists models and counts who asks."""

    def __init__(self, port: int) -> None:
        paths: list[str] = []
        self.paths = paths

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.append(self.path)
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    def __enter__(self) -> _Provider:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_active_probes_find_a_dead_provider_and_its_return_without_any_request(
    stack: Stack, edges: list[Edge], catalog: dict[str, Any]
) -> None:
    port = free_port()
    dead = {"anthropic_messages": f"http://127.0.0.1:{port}"}
    probe = {"probe": {"interval_s": 1}}
    catalog["channels"] = [channel(catalog, "p1", dialects=dead, resilience=probe), channel(catalog, "p2", priority=1)]
    apply(stack, edges, catalog)
    state = 'lumen_edge_breaker_state{channel="p1",model=""}'
    until(lambda: all(edge.metric(state) == 2 for edge in edges), "every edge knows it is dead", 30)
    with _Provider(port) as provider:
        started = time.time()
        until(lambda: all(edge.metric(state) == 0 for edge in edges), "every edge knows it is back", 30)
        until(lambda: len(provider.paths) >= 4, "it goes on")
        # One turn per second over all four edges; the windows at both ends are begun and not whole.
        assert len(provider.paths) <= time.time() - started + 2
        assert set(provider.paths) == {"/v1/models"}
        catalog["channels"][0]["resilience"] = {}
        apply(stack, edges, catalog)
        time.sleep(0.3)  # one that was under way
        count = len(provider.paths)
        time.sleep(2.5)  # that nothing comes is only seen by waiting: two turns and a half
        assert len(provider.paths) == count, "off by default"


# ---- conversations


def test_a_conversation_stays_at_its_channel_whichever_edge_serves_it(
    stack: Stack, edges: list[Edge], catalog: dict[str, Any]
) -> None:
    catalog["channels"] = [channel(catalog, name) for name in ("a1", "a2", "a3")]
    apply(stack, edges, catalog)
    customer = stack.customer("100")
    homes: dict[int, set[str]] = defaultdict(set)
    hits = 'lumen_edge_affinity_total{result="hit"}'
    before = sum(edge.metric(hits) for edge in edges)
    for conversation in range(9):
        messages = [{"role": "user", "content": f"conversation {conversation}"}]
        for edge in edges:
            assert ask(edge, customer, messages).status_code == 200
            homes[conversation] |= set(asked(stack, 1))
            messages += [{"role": "assistant", "content": "I see."}, {"role": "user", "content": "Go on."}]
    assert all(len(found) == 1 for found in homes.values()), homes
    assert len(set.union(*homes.values())) > 1
    assert sum(edge.metric(hits) for edge in edges) - before == 36


# ---- changes


def test_apply_reaches_every_edge_within_a_second_and_leaves_streams_alone(
    stack: Stack, edges: list[Edge], catalog: dict[str, Any]
) -> None:
    old, new = channel(catalog, "old"), channel(catalog, "new")
    catalog["channels"] = [old]
    apply(stack, edges, catalog)
    customer = stack.customer("100")
    with ExitStack() as exits:
        calls = [request_for(edge, customer, "[[sim tokens=100 delay_ms=20]]", stream=True) for edge in edges]
        streams = [exits.enter_context(httpx.stream("POST", **each)) for each in calls]
        lines = [stream.iter_lines() for stream in streams]
        for each in lines:
            next(line for line in each if "content_block_delta" in line)
        catalog["channels"] = [new]
        assert apply(stack, edges, catalog) < 1.0
        for edge in edges:
            assert ask(edge, customer).status_code == 200
        assert Counter(asked(stack, 2 * len(edges))) == {"old": len(edges), "new": len(edges)}
        rest = [list(each) for each in lines]
    assert all(any("message_stop" in line for line in each) for each in rest)
    assert not any('"error"' in line for each in rest for line in each)


# ---- outages


@contextmanager
def suspended(stack: Stack, *names: str) -> Iterator[None]:
    """Frozen, not killed, so that they stay away."""
    processes = [psutil.Process(stack.pid(name)) for name in names]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def serve_through(
    stack: Stack, edges: list[Edge], catalog: dict[str, Any], seconds: float, names: tuple[str, ...]
) -> None:
    """Known keys, limited or not, on every edge, while a channel dies."""
    catalog["channels"] = [channel(catalog, "o1"), channel(catalog, "o2")]
    apply(stack, edges, catalog)
    keys = [stack.customer("100"), stack.customer("100", rpm=2400, tpm=1_000_000, concurrency=50)]
    for edge in edges:
        for key in keys:
            assert ask(edge, key).status_code == 200
    with suspended(stack, *names):
        started = time.monotonic()
        stack.add_fault({"status": 500}, path="/o1/")
        number = 0
        while time.monotonic() - started < seconds:
            number += 1
            answer = ask(edges[number % 4], keys[number // 4 % 2], f"question {number}")
            assert answer.status_code == 200, answer.text
            time.sleep(0.01)  # a client, not a flood
    stack.clear_faults()
    catalog["channels"][1]["weight"] = 3
    apply(stack, edges, catalog)  # the edges listen again
    for edge in edges:
        for key in keys:
            until(lambda edge=edge, key=key: ask(edge, key).status_code == 200, "served", 10)  # type: ignore[misc]


def test_an_outage_of_auth_and_router_is_invisible_to_known_keys(
    stack: Stack, edges: list[Edge], catalog: dict[str, Any]
) -> None:
    """Longer than the silence at which streams are given up (2 s) and than a call's time."""
    serve_through(stack, edges, catalog, 5, ("auth", "router"))


@pytest.mark.long
def test_an_outage_of_a_whole_minute_is_invisible_to_known_keys(
    stack: Stack, edges: list[Edge], catalog: dict[str, Any]
) -> None:
    serve_through(stack, edges, catalog, 62, ("auth", "router"))
