"""The supervisor with small stand-in processes: order, restarts, ports, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from deploy.local.child import Backoff, ChildState
from deploy.local.errors import PortTaken, StartFailed
from deploy.local.probes import http_url
from deploy.local.process_spec import ProcessSpec
from deploy.local.supervisor import Supervisor
from tests.fixtures.engines import free_port

QUICK = Backoff(first_s=0.02, longest_s=0.1, stable_s=30)


def stand_in(name: str, *options: str, after: tuple[str, ...] = (), port: int = 0, **fields: object) -> ProcessSpec:
    port = port or free_port()
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", "tests.integration.local_stack.stand_in", str(port), *options),
        ports=(port,),
        ready_url=http_url(port),
        after=after,
        **fields,  # type: ignore[arg-type]
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # the condition lives in another process
            await asyncio.sleep(0.01)


@asynccontextmanager
async def supervised(logs: Path, *specs: ProcessSpec, backoff: Backoff = QUICK) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(specs, logs, backoff=backoff)
    supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def is_running(pid: int | None) -> bool:
    assert pid is not None
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_processes_start_after_what_they_need_and_stop_before_it(tmp_path: Path) -> None:
    changes: list[tuple[str, ChildState]] = []
    supervisor = Supervisor(
        [stand_in("user", after=("store",), uses=("engine",)), stand_in("store"), stand_in("engine")],
        tmp_path,
        backoff=QUICK,
        on_change=lambda child: changes.append((child.spec.name, child.state)),
    )
    supervisor.start()
    await supervisor.until_ready()
    await supervisor.stop()
    at = {change: moment for moment, change in enumerate(changes)}
    assert len(at) == len(changes) == 9
    assert at["store", ChildState.READY] < at["user", ChildState.STARTING]
    assert at["user", ChildState.STOPPED] < at["store", ChildState.STOPPED]
    assert at["user", ChildState.STOPPED] < at["engine", ChildState.STOPPED]


def test_processes_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cycle"):
        Supervisor([stand_in("one", after=("two",)), stand_in("two", uses=("one",))], tmp_path)


async def test_killed_process_is_started_again_on_its_port(tmp_path: Path) -> None:
    async with supervised(tmp_path, stand_in("one")) as supervisor:
        await supervisor.until_ready()
        child = supervisor.children["one"]
        for restarts in (1, 2):
            first = child.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda before=first: child.state is ChildState.READY and child.pid != before)  # type: ignore[misc]
            assert child.restarts == restarts
            assert child.problem is None


async def test_process_that_cannot_start_fails_the_start_with_its_words(tmp_path: Path) -> None:
    async with supervised(
        tmp_path, stand_in("broken", "--exit", "7"), stand_in("user", after=("broken",))
    ) as supervisor:
        with pytest.raises(StartFailed, match="broken did not start: ended with exit code 7"):
            await supervisor.until_ready()
        assert supervisor.children["user"].pid is None


async def test_process_that_never_gets_ready_is_killed_and_reported(tmp_path: Path) -> None:
    port = free_port()
    spec = ProcessSpec(
        name="mute",
        argv=(sys.executable, "-c", "import time; time.sleep(600)"),
        ports=(port,),
        ready_url=http_url(port),
        ready_timeout_s=0.2,
    )
    async with supervised(tmp_path, spec) as supervisor:
        with pytest.raises(StartFailed, match=f"not ready after .* port {port}"):
            await supervisor.until_ready()


async def test_port_of_somebody_else_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        supervisor = Supervisor([stand_in("fine"), stand_in("late", port=port)], tmp_path)
        with pytest.raises(PortTaken, match=rf"port {port} .* taken by process {os.getpid()} \("):
            supervisor.start()
        assert supervisor.children == {}


async def test_port_answered_by_a_stranger_does_not_count_as_ready(tmp_path: Path) -> None:
    """Somebody else may take the port between our check and our child's bind."""
    stranger, mute = stand_in("stranger"), free_port()
    async with supervised(tmp_path, stranger) as other:
        await other.until_ready()
        spec = ProcessSpec(
            name="one",
            argv=(sys.executable, "-c", "import time; time.sleep(600)"),
            ports=(mute,),
            ready_url=stranger.ready_url,
        )
        async with supervised(tmp_path, spec) as supervisor:
            with pytest.raises(PortTaken, match=str(mute)):
                await supervisor.until_ready()


async def test_process_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    spec = stand_in("stubborn", "--ignore-term", "--child", stop_timeout_s=0.2)
    async with supervised(tmp_path, spec) as supervisor:
        await supervisor.until_ready()
        pid = supervisor.children["stubborn"].pid
        grandchild = int((tmp_path / "stubborn.log").read_text().split()[-1])
        assert is_running(grandchild)
    assert not is_running(pid)
    await until(lambda: not is_running(grandchild))


async def test_stop_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    async with supervised(tmp_path, stand_in("one"), stand_in("two", after=("one",))) as supervisor:
        await until(lambda: supervisor.children["one"].pid is not None)
        pid = supervisor.children["one"].pid
    assert not is_running(pid)
    assert supervisor.children["two"].pid is None


def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    port = free_port()
    program = (
        "import asyncio, pathlib, sys\n"
        "from tests.integration.local_stack.test_supervisor import Supervisor, stand_in\n"
        "async def main():\n"
        f"    logs = pathlib.Path({str(tmp_path)!r})\n"
        f"    supervisor = Supervisor([stand_in('one', '--ignore-term', port={port})], logs)\n"
        "    supervisor.start()\n"
        "    await supervisor.until_ready()\n"
        "    print(supervisor.children['one'].pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    deadline = time.monotonic() + 5
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
