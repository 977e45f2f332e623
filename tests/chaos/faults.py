"""What is done to a stack: processes killed, held down or paused, stores emptied and put back, billing doubled.

Every fault is a context manager that mends what it broke and waits until the stack is ready again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import redis

from deploy.local.layout import Layout
from lumen.platform.children import die_with_parent, signal_group
from tests.fixtures.engines import free_port
from tests.fixtures.stack import Stack, until

_START_S_MAX = 60.0


@contextmanager
def held_down(stack: Stack, *processes: str) -> Iterator[None]:
    """kill -9, and not started again before the end: the supervisor itself is stopped meanwhile."""
    supervisor = psutil.Process(json.loads((stack.state_dir / "status.json").read_text())["supervisor_pid"])
    pids = {process: stack.pid(process) for process in processes}
    supervisor.suspend()
    try:
        for pid in pids.values():
            kill_group(pid)
        yield
    finally:
        supervisor.resume()
        until(
            lambda: all(_pid(stack, process) not in (0, pid) for process, pid in pids.items()),
            f"{', '.join(processes)} started again",
            _START_S_MAX,
        )
        stack.until_ready()


@contextmanager
def paused(*pids: int) -> Iterator[None]:
    """SIGSTOP, SIGCONT: alive, connected and silent; what reached its sockets is worked off afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def kill_group(pid: int) -> None:
    """kill -9, and return when it runs no more (its parent may be stopped and not have noticed)."""
    signal_group(pid, signal.SIGKILL)
    until(lambda: _is_dead(pid), f"{pid} is dead")


@contextmanager
def second_billing(stack: Stack) -> Iterator[int]:
    """Another billing of the same partitions on the same stores; its pid. Killed at the end."""
    ops_port = free_port()
    environment = {
        **os.environ,
        **stack.env,
        "LUMEN_BILLING_PORT": str(free_port()),
        "LUMEN_BILLING_OPS_PORT": str(ops_port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.billing"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(),
    )
    try:
        until(lambda: is_ready(ops_port), "the second billing is ready", _START_S_MAX)
        yield process.pid
    finally:
        process.kill()
        process.wait(10)


def is_ready(ops_port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{ops_port}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def flush_redis(stack: Stack) -> None:
    with redis.Redis.from_url(stack.env["LUMEN_REDIS_URL"]) as client:
        client.flushall()


def back_up(stack: Stack, engine: str) -> Path:
    """A copy of an engine's files as they are now (of a live one: as after kill -9)."""
    data = stack.state_dir / engine
    copy = stack.state_dir / f"{engine}-backup"
    shutil.rmtree(copy, ignore_errors=True)
    for attempt in range(20):
        try:
            shutil.copytree(data, copy)
        except shutil.Error:  # a file was replaced while being copied
            shutil.rmtree(copy, ignore_errors=True)
            assert attempt < 19, f"no steady copy of {engine}"
        else:
            break
    return copy


def put_back(stack: Stack, engine: str, copy: Path) -> None:
    """Only while it is held down."""
    data = stack.state_dir / engine
    shutil.rmtree(data)
    shutil.copytree(copy, data)


def ops_text(stack: Stack, process: str, path: str) -> str:
    """What the process' ops port answers."""
    layout = Layout(stack.state_dir, int(stack.base_url.rpartition(":")[2]))
    return httpx.get(f"http://127.0.0.1:{layout.ops_port(process)}{path}", timeout=5).text


def metric(stack: Stack, process: str, name: str) -> float:
    """The sum of a metric over its labels."""
    text = ops_text(stack, process, "/metrics")
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def _pid(stack: Stack, process: str) -> int:
    return int(stack.env.get(f"LUMEN_PID_{process.upper()}", "0"))


def _is_dead(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
