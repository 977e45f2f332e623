"""`make bench`: what Lumen costs, as a ratio to a plain nginx in front of the same upstream in the same run.

`python -m tests.load.bench [--quick] [--cases chat-single,chat-stream|all] [--json FILE] ...`; see README.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from deploy.local.errors import LocalStackError
from lumen.protocols.dialects import Dialect
from tests.fixtures.stack import CommandFailed
from tests.load import translation_cost
from tests.load.calls import make_call, stream_of_frames
from tests.load.clients import Target, run
from tests.load.latency import Latency, measure_latency
from tests.load.local_stack import SIMULATOR, LocalStack, LoneSimulator, StackFailed
from tests.load.machine import is_busy, machine_facts
from tests.load.many_keys import make_keys
from tests.load.nginx import STREAM_PREFIX, Nginx, NginxError
from tests.load.processes import ProcessGone, ProcessGroup
from tests.load.report import Report
from tests.load.rounds import Bench, Case, CaseResult, Server
from tests.load.system_packages import ToolMissing, find_tools
from tests.load.wrk import LoadFailed

_FRAMES = 50
_FRAME_DELAY_MS = 2.0
_UPSTREAM_KEY = "bench"
_CREDIT_USD = "100000"
_DIALECTS = {
    "chat": Dialect.OPENAI_CHAT,
    "messages": Dialect.ANTHROPIC_MESSAGES,
    "responses": Dialect.OPENAI_RESPONSES,
}
_MANY_CONNECTIONS = 512
_LARGE_BODY_BYTES = 1024 * 1024
# Edge's CPU in nginx's, at most.
_GOALS = {"single": 4.5, "stream": 2.0, "translated": 4.5}
_TRANSLATED_MODEL = "claude-opus-4-8"  # the demo catalog's channel for it speaks only Anthropic's dialect
CASES = (
    *(f"{dialect}-{kind}" for dialect in _DIALECTS for kind in ("single", "stream")),
    "translated-stream",  # a chat client, an Anthropic upstream
    "many-connections",  # chat-single at 512
    "large-body",  # chat-single with a prompt of 1 MB
    "many-keys",  # chat-single with --keys keys, each of an account of its own
)
_CASES_DEFAULT = "chat-single,chat-stream,translated-stream,many-connections,large-body"
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
            port = stack.layout.port(SIMULATOR)
        nginx = resources.enter_context(Nginx(tools.nginx, _new(directory, "nginx"), port))
        servers = [_nginx_server(nginx)]
        if stack is not None:
            servers.append(edge_server("edge", stack, options.keys if "many-keys" in options.cases else 0))
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
    connections = {"connections": options.connections, "stream_connections": options.stream_connections}
    results = [_measure_case(bench, make_case(name, **connections)) for name in options.cases]
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


def edge_server(name: str, stack: LocalStack, key_count: int = 0) -> Server:
    """`key_count`: of the case many-keys, each of an account of its own; making them takes a while."""
    env = stack.env
    keys: list[str] = []
    if key_count:
        _say(f"making {key_count} accounts with a key each")
        keys = run(make_keys(env["LUMEN_ADMIN_URL"], env["LUMEN_ADMIN_TOKEN"], key_count))
    group = ProcessGroup({each: pid for each, pid in stack.pids().items() if each != SIMULATOR})
    _say("measuring the idle system")
    return Server(
        name,
        "edge",
        group,
        env["LUMEN_BASE_URL"],
        env["LUMEN_API_KEY"],
        is_edge=True,
        idle_cores=group.idle_cores(5.0),
        keys=keys,
    )


def parse_cases(text: str) -> Sequence[str]:
    """Raises ValueError for an unknown one."""
    names: Sequence[str] = CASES if text == "all" else text.split(",")
    if unknown := set(names) - set(CASES):
        raise ValueError(f"unknown cases: {', '.join(sorted(unknown))}")
    return names


def make_case(name: str, *, connections: int = 16, stream_connections: int = 16) -> Case:
    """One of CASES."""
    single = make_call(is_stream=False)
    if name == "translated-stream":
        chat = stream_of_frames(Dialect.OPENAI_CHAT, _FRAMES, _FRAME_DELAY_MS, model=_TRANSLATED_MODEL)
        plain = stream_of_frames(Dialect.ANTHROPIC_MESSAGES, _FRAMES, _FRAME_DELAY_MS, model=_TRANSLATED_MODEL)
        return Case(name, chat, stream_connections, _FRAMES, plain, goal=_GOALS["translated"])
    if name == "many-connections":
        return Case(name, single, _MANY_CONNECTIONS)
    if name == "large-body":
        return Case(name, make_call(is_stream=False, text="lighthouse " * (_LARGE_BODY_BYTES // 11)), connections)
    if name == "many-keys":
        return Case(name, single, connections, has_many_keys=True)
    dialect, _, kind = name.partition("-")
    if kind == "stream":
        call = stream_of_frames(_DIALECTS[dialect], _FRAMES, _FRAME_DELAY_MS)
        return Case(name, call, stream_connections, _FRAMES, goal=_GOALS["stream"])
    call = make_call(_DIALECTS[dialect], is_stream=False)
    return Case(name, call, connections, goal=_GOALS["single"])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s, fewer latency requests: a first look")
    parser.add_argument("--rounds", type=_at_least(1), default=None, help="per case and server [5]")
    parser.add_argument("--seconds", type=_at_least(1), default=None, help="per round [4]")
    parser.add_argument("--connections", type=_at_least(1), default=16, help="for single responses [16]")
    parser.add_argument("--stream-connections", type=_at_least(1), default=16, help="for streams [16]")
    parser.add_argument("--latency-requests", type=int, default=None, help="per target, 0: none [400]")
    parser.add_argument("--cases", default=_CASES_DEFAULT, help=f"all, or some of {','.join(CASES)} [{_CASES_DEFAULT}]")
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("artifacts/bench.json"),
        metavar="FILE",
        help="everything measured [%(default)s]",
    )
    parser.add_argument("--keys", type=_at_least(2), default=10_000, help="of the case many-keys [10000]")
    parser.add_argument("--nginx-only", action="store_true", help="without Lumen: the machine's yardstick alone")
    parser.add_argument("--keep", action="store_true", help="keep the stack's state and logs")
    options = parser.parse_args(arguments)
    defaults: dict[str, Any] = {"rounds": 5, "seconds": 4, "latency_requests": 400}
    quick: dict[str, Any] = {"rounds": 2, "seconds": 2, "latency_requests": 100}
    for name, value in (quick if options.quick else defaults).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    try:
        options.cases = parse_cases(options.cases)
    except ValueError as error:
        parser.error(str(error))
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
