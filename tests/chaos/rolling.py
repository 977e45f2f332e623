"""A rolling change under load: every service replaced process by process, old and new side by side, nothing lost.

`python -m tests.chaos.rolling --base REV [--requests 400]` (`make rolling BASE=REV`) begins with the services of an
earlier revision, from a git worktree of it, and ends with today's; `test_rolling.py` does the same with today's alone.

    stack (today)      engines, simulator, console; its auth, router and billing are the second replicas
    fleet              two edges, one auth, one router, one billing: first of the base, then, one by one, today's

Clients know both edges and go to the other where a connection is refused, or a kept one was closed before a byte of
an answer came (an ending edge closes it after the answer that it was sending; a stream's head cannot say so any more).
Every HTTP client does that. Nothing else is forgiven: an answer that is not 200 or has no end is a failed request. A
request that had been served all the same would show: as a charge that no client knows.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Self
from urllib.parse import urlsplit

from deploy.local.layout import Layout
from deploy.local.stack import stack_environment
from lumen.platform.children import die_with_parent
from tests.chaos.faults import is_ready
from tests.chaos.load import priced_calls
from tests.chaos.proof import Tally, charges_of, prove
from tests.fixtures.engines import free_port, signal_group_kill
from tests.fixtures.stack import Customer, Stack, until
from tests.load.calls import Call
from tests.load.clients import Client, Outcome, Target

TODAY = Path(__file__).parents[2]
SERVICES = ("edge", "auth", "router", "billing")
_START_S_MAX = 90.0
_STOP_S_MAX = 60.0
_WAIT_S_MAX = 300.0
_CONNECTIONS = 4
_TRIES_MAX = 4
CLOSED_BY_SERVER = "closed by the server"  # as tests.load.http_exchange says it


class Replica:
    """One service process; `replace` gives its ports and its state to a process of another tree."""

    def __init__(self, service: str, tree: Path, environment: dict[str, str], log: Path) -> None:
        self.service = service
        self.port, self._ops_port = free_port(), free_port()
        self._log = log
        name = f"LUMEN_{service.upper()}"
        self._environment = {
            **os.environ,
            **environment,
            f"{name}_PORT": str(self.port),
            f"{name}_OPS_PORT": str(self._ops_port),
            "LUMEN_BILLING_QUERIES_PORT": "0",
        }
        self._process = self._launch(tree)

    def _launch(self, tree: Path) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"services.{self.service}"], cwd=tree, env=self._environment,
                stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent(),
            )  # fmt: skip

    def until_ready(self) -> None:
        def look() -> bool:
            assert self._process.poll() is None, f"{self.service} died: {self._log.read_text()[-3000:]}"
            return is_ready(self._ops_port)

        until(look, f"{self.service} is ready", _START_S_MAX)

    def replace(self, tree: Path) -> None:
        """SIGTERM, its own time to end, then the other's start. Raises AssertionError when it did not end well."""
        self._process.terminate()
        code = self._process.wait(_STOP_S_MAX)
        assert code == 0, f"{self.service} ended with {code}: {self._log.read_text()[-3000:]}"
        self._process = self._launch(tree)
        self.until_ready()

    def kill(self) -> None:
        signal_group_kill(self._process)


@dataclass(slots=True)
class Fleet:
    """See the module's docstring. `of(service)`: its replicas outside of the stack."""

    replicas: list[Replica] = field(default_factory=list)

    def of(self, service: str) -> list[Replica]:
        return [replica for replica in self.replicas if replica.service == service]

    @property
    def edge_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{replica.port}" for replica in self.of("edge")]


@contextmanager
def fleet(stack: Stack, tree: Path, folder: Path) -> Iterator[Fleet]:
    """All ready."""
    layout = Layout(stack.state_dir, urlsplit(stack.base_url).port or 0)
    shared = stack_environment(layout, stack.env["LUMEN_ADMIN_TOKEN"]) | {"LUMEN_BILLING_GROUP_LINGER_S": "0.02"}
    shared.pop("LUMEN_BILLING_QUERIES_ADDRESS")
    running = Fleet()
    with ExitStack() as exits:

        def add(service: str, number: int, **more: str) -> Replica:
            replica = Replica(service, tree, shared | more, folder / f"{service}-{number}.log")
            exits.callback(replica.kill)
            running.replicas.append(replica)
            return replica

        for service in ("auth", "router", "billing"):
            add(service, 0)
        both = {
            f"LUMEN_{service.upper()}_ADDRESS": (
                f"ipv4:127.0.0.1:{layout.port(service)},127.0.0.1:{running.of(service)[0].port}"
            )
            for service in ("auth", "router")
        }
        for number in range(2):
            add("edge", number, **both, LUMEN_EDGE_STATE_DIR=str(folder / f"edge-{number}"))
        for replica in running.replicas:
            replica.until_ready()
        yield running


class RollingLoad:
    """Clients that go to the next edge as the module's docstring says, and forgive nothing else."""

    def __init__(self, urls: Sequence[str], key: str) -> None:
        self._targets = [Target(url, key) for url in urls]
        self._prices = dict(priced_calls(Random(7)))
        self._calls = itertools.cycle(self._prices)
        self._stopping = False
        self.complete: dict[str, int] = {}
        self.failed: list[Outcome] = []
        self.refused = 0
        self.resent = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="rolling-load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(90)
        assert not self._thread.is_alive()

    def until_ended(self, more: int) -> None:
        wanted = len(self.complete) + more
        until(
            lambda: len(self.complete) >= wanted or not self._thread.is_alive(), f"{more} further answers", _WAIT_S_MAX
        )
        assert self._thread.is_alive(), "the load has stopped"

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(_CONNECTIONS):
                group.create_task(self._work(number))

    async def _work(self, number: int) -> None:
        clients = [Client(target) for target in self._targets]
        current = number % len(clients)
        try:
            while not self._stopping:
                call = next(self._calls)
                for _ in range(_TRIES_MAX):
                    outcome = await clients[current].send(call)
                    if outcome.error.startswith("connect:"):
                        self.refused += 1
                    elif outcome.error.endswith(CLOSED_BY_SERVER) and outcome.status == 0:
                        self.resent += 1
                    else:
                        break
                    current = (current + 1) % len(clients)
                self._note(call, outcome)
        finally:
            for client in clients:
                client.close()

    def _note(self, call: Call, outcome: Outcome) -> None:
        if outcome.is_complete and outcome.status == 200:
            assert outcome.request_id not in self.complete
            self.complete[outcome.request_id] = self._prices[call]
        else:
            self.failed.append(outcome)


@dataclass(frozen=True, slots=True)
class Step:
    """What clients saw while one service was replaced."""

    service: str
    answers: int
    refused: int
    resent: int
    failed: int


def roll(
    stack: Stack, running: Fleet, customer: Customer, tree: Path, requests: int, say: Callable[[str], None]
) -> list[Step]:
    """Replace every replica by `tree`'s and the stack's own by itself, then prove. Raises AssertionError."""
    steps: list[Step] = []
    with RollingLoad(running.edge_urls, customer.key) as load:
        load.until_ended(requests)
        for service in ("billing", "auth", "router", "edge"):
            before = (len(load.complete), load.refused, load.resent, len(load.failed))
            for replica in running.of(service):
                replica.replace(tree)
                load.until_ended(requests)
            if service != "edge":
                _restart_in_stack(stack, service)
                load.until_ended(requests)
            now = (len(load.complete), load.refused, load.resent, len(load.failed))
            step = Step(service, *(after - earlier for after, earlier in zip(now, before, strict=True)))
            steps.append(step)
            say(
                f"{service:8} {step.answers:6} answers, {step.refused} connections refused,"
                f" {step.resent} closed unused, {step.failed} failed"
            )
    assert not load.failed, load.failed[:3]
    tally: Tally = prove("rolling change", stack, customer, load.complete)
    # Nobody was answered twice for one request, and nothing was recorded that no client saw the end of.
    assert set(charges_of(stack, customer.account)) == set(load.complete)
    say(f"{tally.complete} complete, {tally.charges} charges, {tally.lost} lost, {tally.doubled} doubled")
    return steps


def _restart_in_stack(stack: Stack, service: str) -> None:
    """SIGTERM; its supervisor starts another."""
    pid = stack.pid(service)
    os.kill(pid, 15)
    until(
        lambda: int(stack.env.get(f"LUMEN_PID_{service.upper()}", "0")) not in (0, pid), f"{service} anew", _START_S_MAX
    )
    stack.until_ready()


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lumen-rolling-") as folder:
        tree = Path(folder) / "tree"
        git = ("git", "-C", str(TODAY), "worktree")
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rolling", description=__doc__)
    parser.add_argument("--base", required=True, help="the revision that is replaced, for example HEAD~20")
    parser.add_argument("--requests", type=int, default=400, help="answers to wait for after each replacement [400]")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="lumen-rolling-") as folder,
        worktree(arguments.base) as base,
        Stack(Path(folder) / "stack") as stack,
        fleet(stack, base, Path(folder)) as running,
    ):
        print(f"from {arguments.base} to this tree")
        roll(stack, running, stack.customer("1000"), TODAY, arguments.requests, print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
