"""`make bench`: what Lumen costs, as a ratio to a plain nginx in front of the same upstream in the same run.

`python -m tests.load.bench [--quick] [--cases chat-single,chat-stream|all] [--json FILE] ...`; see README.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from deploy.local.errors import LocalStackError
from lumen.protocols.dialects import Dialect
from tests.fixtures.stack import CommandFailed
from tests.load import translation_cost
from tests.load.bench_catalog import TRANSLATED_MODEL, apply_bench_catalog, make_keys
from tests.load.calls import make_call, stream_of_frames
from tests.load.clients import Target
from tests.load.goals import BASE, LARGE_BODY, judge
from tests.load.latency import Latency, measure_latency
from tests.load.local_stack import SIMULATOR, LocalStack, LoneSimulator, StackFailed
from tests.load.machine import is_busy, machine_facts
from tests.load.nginx import STREAM_PREFIX, Nginx, NginxError
from tests.load.processes import ProcessGone, ProcessGroup
from tests.load.report import Report
from tests.load.rounds import Bench, Case, CaseResult, Server
from tests.load.system_packages import ToolMissing, find_tools
from tests.load.wrk import LoadFailed

_JSON = Path("artifacts/bench.json")
_FRAMES = 50
_FRAME_DELAY_MS = 2.0
_UPSTREAM_KEY = "bench"
_CREDIT_USD = "100000"
_DIALECTS = {
    "chat": Dialect.OPENAI_CHAT,
    "messages": Dialect.ANTHROPIC_MESSAGES,
    "responses": Dialect.OPENAI_RESPONSES,
}
_TRANSLATED = "chat-to-messages-stream"
_KEYS = "chat-single-keys"
_MANY_CONNECTIONS = 512
_CASES = (
    *(f"{dialect}-{kind}" for dialect in _DIALECTS for kind in ("single", "stream")),
    _TRANSLATED,
    LARGE_BODY,
    f"{BASE}-{_MANY_CONNECTIONS}",
    _KEYS,
)
_CASES_DEFAULT = f"chat-single,chat-stream,{_TRANSLATED},{LARGE_BODY}"
_LARGE_TEXT = "lighthouse " * 95_000
_PARSES = 20
_FAILURES = (CommandFailed, LoadFailed, LocalStackError, NginxError, ProcessGone, StackFailed, ToolMissing)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    directory = Path(tempfile.mkdtemp(prefix="lumen-bench-"))
    try:
        report = _run(options, directory)
    except _FAILURES as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    finally:
        if options.keep:
            print(f"state kept: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(f"\n{report.text()}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    report.store(options.json)
    return 1 if report.reconcile.startswith("FAILED") else 0


def _run(options: argparse.Namespace, directory: Path) -> Report:
    tools = find_tools()
    facts = machine_facts(tools)
    if is_busy():
        _say(f"this machine is busy ({facts['busy']}): figures will be worse and less steady than on a quiet one")
    with ExitStack() as resources:
        if options.nginx_only:
            stack, port = None, resources.enter_context(LoneSimulator()).port
        else:
            _say("starting a Lumen of our own")
            stack = resources.enter_context(LocalStack(directory))
            stack.add_credit(_CREDIT_USD)
            apply_bench_catalog(stack)
            port = stack.layout.port(SIMULATOR)
        nginx = resources.enter_context(Nginx(tools.nginx, _new(directory, "nginx"), port))
        servers = [_nginx_server(nginx)]
        if stack is not None:
            servers.append(_edge_server(stack))
        bench = Bench(servers, tools.wrk, _new(directory, "wrk"), rounds=options.rounds, round_s=options.seconds)
        return _measure(options, facts, bench, servers, stack, f"http://127.0.0.1:{port}")


def _measure(
    options: argparse.Namespace,
    facts: dict[str, str],
    bench: Bench,
    servers: Sequence[Server],
    stack: LocalStack | None,
    simulator_url: str,
) -> Report:
    edge = servers[-1]
    memory_mb = {"at idle": edge.rss_mb()} if edge.is_edge else {}
    latency = _latency(servers, simulator_url, options.latency_requests) if options.latency_requests else {}
    before = stack.lease_counts() if stack is not None else None
    results = [_measure_case(bench, case) for case in _cases(options, stack)]
    parse_ms = _parse_ms()
    leases = stack.lease_counts().since(before) if stack is not None and before is not None else None
    if edge.is_edge:
        memory_mb["after the load"] = edge.rss_mb()
    return Report(
        machine=facts,
        settings={"rounds": options.rounds, "seconds": options.seconds, "latency requests": options.latency_requests},
        cases=results,
        latency=latency,
        memory_mb=memory_mb,
        idle_cores=edge.idle_cores,
        delta_us=translation_cost.measure(),
        reconcile=stack.reconcile() if stack is not None else "",  # speed counts only when all was charged, once
        lease_rpcs_per_1000=None if leases is None else leases.rpcs_per_1000,
        verdicts=judge(results, latency, memory_mb.get("at idle"), parse_ms),
    )


def _measure_case(bench: Bench, case: Case) -> CaseResult:
    _say(f"{case.name}, {case.connections} connections")
    return bench.measure(case)


def _latency(servers: Sequence[Server], simulator_url: str, requests: int) -> dict[str, Latency]:
    _say("latency at one connection")
    stream, single = make_call(is_stream=True), make_call(is_stream=False)
    direct = Target(simulator_url, _UPSTREAM_KEY, is_edge=False)
    targets = {"direct": (direct, direct)}
    targets |= {server.name: (server.target(stream), server.target(single)) for server in servers}
    return measure_latency(targets, requests)


def _nginx_server(nginx: Nginx) -> Server:
    group = ProcessGroup({"nginx": nginx.pid})
    return Server("nginx", "nginx", group, nginx.url, _UPSTREAM_KEY, is_edge=False, stream_prefix=STREAM_PREFIX)


def _edge_server(stack: LocalStack) -> Server:
    env = stack.env
    group = ProcessGroup({name: pid for name, pid in stack.pids().items() if name != SIMULATOR})
    _say("measuring the idle system")
    idle_cores = group.idle_cores(5.0)
    return Server(
        "edge", "edge", group, env["LUMEN_BASE_URL"], env["LUMEN_API_KEY"], is_edge=True, idle_cores=idle_cores
    )


def _parse_ms() -> float:
    """CPU of one parse of the large body's JSON, as the edge would: the least of some."""
    body, least = make_call(is_stream=False, text=_LARGE_TEXT).body, float("inf")
    for _ in range(_PARSES):
        started = time.process_time()
        msgspec.json.decode(body)
        least = min(least, time.process_time() - started)
    return least * 1e3


def _cases(options: argparse.Namespace, stack: LocalStack | None) -> list[Case]:
    cases = []
    for name in _CASES if options.cases == "all" else options.cases.split(","):
        dialect, _, kind = name.partition("-")
        if name == _TRANSLATED:
            upstream = stream_of_frames(Dialect.ANTHROPIC_MESSAGES, _FRAMES, _FRAME_DELAY_MS)
            call = stream_of_frames(Dialect.OPENAI_CHAT, _FRAMES, _FRAME_DELAY_MS, model=TRANSLATED_MODEL)
            cases.append(Case(name, call, options.stream_connections, _FRAMES, upstream))
        elif name == LARGE_BODY:
            cases.append(Case(name, make_call(is_stream=False, text=_LARGE_TEXT), options.connections))
        elif name == _KEYS:
            _say(f"making {options.keys} accounts and keys")
            keys = make_keys(stack, options.keys) if stack is not None else []
            cases.append(Case(name, make_call(is_stream=False), options.connections, api_keys=keys))
        elif name == f"{BASE}-{_MANY_CONNECTIONS}":
            cases.append(Case(name, make_call(is_stream=False), _MANY_CONNECTIONS))
        elif kind == "stream":
            call = stream_of_frames(_DIALECTS[dialect], _FRAMES, _FRAME_DELAY_MS)
            cases.append(Case(name, call, options.stream_connections, _FRAMES))
        else:
            cases.append(Case(name, make_call(_DIALECTS[dialect], is_stream=False), options.connections))
    return cases


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s, fewer latency requests: a first look")
    parser.add_argument("--rounds", type=_at_least(1), default=None, help="per case and server [5]")
    parser.add_argument("--seconds", type=_at_least(1), default=None, help="per round [4]")
    parser.add_argument("--connections", type=_at_least(1), default=16, help="for single responses [16]")
    parser.add_argument("--stream-connections", type=_at_least(1), default=16, help="for streams [16]")
    parser.add_argument("--latency-requests", type=int, default=None, help="per target, 0: none [400]")
    parser.add_argument(
        "--cases", default=_CASES_DEFAULT, help=f"all, or some of {','.join(_CASES)} [{_CASES_DEFAULT}]"
    )
    parser.add_argument("--keys", type=_at_least(1), default=10_000, help=f"accounts and keys of {_KEYS} [10000]")
    parser.add_argument(
        "--json", type=Path, default=_JSON, metavar="FILE", help=f"where everything measured is written [{_JSON}]"
    )
    parser.add_argument("--nginx-only", action="store_true", help="without Lumen: the machine's yardstick alone")
    parser.add_argument("--keep", action="store_true", help="keep the stack's state and logs")
    options = parser.parse_args(arguments)
    defaults: dict[str, Any] = {"rounds": 5, "seconds": 4, "latency_requests": 400}
    quick: dict[str, Any] = {"rounds": 2, "seconds": 2, "latency_requests": 100}
    for name, value in (quick if options.quick else defaults).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if unknown := set(options.cases.split(",")) - {*_CASES, "all"}:
        parser.error(f"unknown cases: {', '.join(sorted(unknown))}")
    return options


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"at least {minimum}")
        return value

    return number


def _new(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir()
    return path


def _say(text: str) -> None:
    print(f"- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
