"""`lumen up`, `status` and `down` as processes: what they write, print, return and leave behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import commands
from deploy.local.errors import NotRunning
from deploy.local.layout import Layout
from lumen.cli.env_file import load_env
from lumen.cli.exit_codes import ExitCode
from tests.fixtures.ports import free_base_port

PROCESSES = ("nats", "valkey", "clickhouse", "simulator", "auth", "router", "billing", "console", "edge")
EXPORTED = [
    "LUMEN_BASE_URL",
    "LUMEN_API_KEY",
    "LUMEN_ACCOUNT",
    "LUMEN_ADMIN_URL",
    "LUMEN_ADMIN_TOKEN",
    "LUMEN_CONSOLE_URL",
    "LUMEN_DEMO_PASSWORD",
    "LUMEN_NATS_URL",
    "LUMEN_REDIS_URL",
    "LUMEN_CLICKHOUSE_URL",
    "LUMEN_SIMULATOR_URL",
    *(f"LUMEN_PID_{name.upper()}" for name in PROCESSES),
]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


class SmallStack:
    """A running `small_stack` process."""

    def __init__(self, state_dir: Path, base_port: int) -> None:
        self.layout = Layout(state_dir, base_port)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.local_stack.small_stack", str(state_dir), str(base_port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "READY\n":
                return
        raise AssertionError(self.process.stderr.read() if self.process.stderr else "")

    def env(self) -> dict[str, str]:
        return load_env(self.layout.env_file)

    def pids(self) -> list[int]:
        return [int(value) for name, value in self.env().items() if name.startswith("LUMEN_PID_")]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[SmallStack]:
    stack = SmallStack(tmp_path / "state", free_base_port())
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.end()


def lumen(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lumen.cli", *arguments], capture_output=True, text=True, timeout=60)


def test_env_has_exactly_the_promised_variables_and_is_private(stack: SmallStack) -> None:
    env = stack.env()
    assert list(env) == EXPORTED
    assert stat.S_IMODE(stack.layout.env_file.stat().st_mode) == 0o600
    assert env["LUMEN_BASE_URL"] == f"http://127.0.0.1:{stack.layout.base_port}"
    assert env["LUMEN_API_KEY"] == "sk-lumen-demo"
    assert env["LUMEN_ACCOUNT"] == "acct-1"
    assert len(alive(stack.pids())) == len(PROCESSES)
    shell = f". {stack.layout.env_file} && printf %s $LUMEN_ADMIN_TOKEN"
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True).stdout == env["LUMEN_ADMIN_TOKEN"]


def test_first_start_sets_up_the_demo_once(stack: SmallStack) -> None:
    def calls() -> list[dict[str, object]]:
        return [json.loads(line) for line in (stack.layout.logs / "console.log").read_text().splitlines()]

    assert [call["path"] for call in calls()] == [
        "/admin/v1/catalog",
        "/admin/v1/accounts",
        "/admin/v1/accounts/acct-1/credits",
        "/admin/v1/keys",
        *["/admin/v1/users"] * 3,
    ]
    simulator = f"127.0.0.1:{stack.layout.port('simulator')}/anthropic"
    assert simulator in str(calls()[0]["body"])
    assert simulator in stack.layout.catalog_file.read_text()

    token = stack.env()["LUMEN_ADMIN_TOKEN"]
    stack.end()
    second = SmallStack(stack.layout.state_dir, stack.layout.base_port)
    second.wait_ready()
    try:
        assert len(calls()) == 7
        assert second.env()["LUMEN_ADMIN_TOKEN"] == token
        assert second.env()["LUMEN_API_KEY"] == "sk-lumen-demo"
    finally:
        second.end()


def test_killed_process_comes_back_with_its_new_pid_in_env_and_status(stack: SmallStack) -> None:
    before = stack.env()["LUMEN_PID_NATS"]
    os.kill(int(before), signal.SIGKILL)
    until(lambda: stack.env().get("LUMEN_PID_NATS", before) != before)
    until(lambda: commands.status(stack.layout.state_dir)["is_ready"])
    (nats,) = [p for p in commands.status(stack.layout.state_dir)["processes"] if p["name"] == "nats"]
    assert nats["restarts"] == 1
    assert nats["pid"] == int(stack.env()["LUMEN_PID_NATS"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_everything(stack: SmallStack, number: signal.Signals) -> None:
    pids = stack.pids()
    stack.process.send_signal(number)
    stack.process.communicate(timeout=30)
    assert stack.process.returncode == 0
    assert alive(pids) == []
    assert not any(name.startswith("LUMEN_PID_") for name in stack.env())
    with pytest.raises(NotRunning):
        commands.status(stack.layout.state_dir)


def test_killed_supervisor_takes_everything_with_it_and_the_next_start_works(stack: SmallStack) -> None:
    pids = stack.pids()
    stack.process.kill()
    stack.process.wait()
    until(lambda: alive(pids) == [])
    with pytest.raises(NotRunning):
        commands.status(stack.layout.state_dir)
    again = SmallStack(stack.layout.state_dir, stack.layout.base_port)
    again.wait_ready()
    again.end()


def test_commands_find_the_running_stack(stack: SmallStack) -> None:
    state_dir = str(stack.layout.state_dir)
    shown = lumen("status", "--state-dir", state_dir, "--json")
    assert shown.returncode == ExitCode.OK
    document = json.loads(shown.stdout)
    assert document["is_ready"]
    assert [process["name"] for process in document["processes"]] == list(PROCESSES)
    assert all(process["uptime_s"] >= 0 and process["ports"] for process in document["processes"])
    assert "billing" in lumen("status", "--state-dir", state_dir).stdout

    second = lumen("up", "--state-dir", state_dir, "--base-port", str(free_base_port()))
    assert second.returncode == ExitCode.CONFLICT
    assert "already runs" in second.stderr
    detached = lumen("up", "--detach", "--state-dir", state_dir, "--base-port", str(free_base_port()))
    assert detached.returncode == ExitCode.CONFLICT
    assert "already runs" in detached.stderr

    pids = stack.pids()
    assert lumen("down", "--state-dir", state_dir).returncode == ExitCode.OK
    assert alive(pids) == []
    assert lumen("status", "--state-dir", state_dir).returncode == ExitCode.UNREACHABLE
    assert lumen("down", "--state-dir", state_dir).returncode == ExitCode.UNREACHABLE


def test_two_stacks_run_side_by_side(stack: SmallStack, tmp_path: Path) -> None:
    other = SmallStack(tmp_path / "other", free_base_port())
    other.wait_ready()
    try:
        assert set(other.pids()).isdisjoint(stack.pids())
        other.process.send_signal(signal.SIGINT)
        other.process.communicate(timeout=30)
        assert commands.status(stack.layout.state_dir)["is_ready"]
    finally:
        other.end()


@pytest.mark.parametrize("flags", [[], ["--detach"]])
def test_taken_port_is_named_with_its_owner(tmp_path: Path, flags: list[str]) -> None:
    base_port = free_base_port()
    with socket.create_server(("127.0.0.1", base_port + 3)):
        refused = lumen("up", *flags, "--state-dir", str(tmp_path / "state"), "--base-port", str(base_port))
    assert refused.returncode == ExitCode.PORT_TAKEN
    assert f"port {base_port + 3} of 127.0.0.1 is taken by process {os.getpid()}" in refused.stderr


def test_wrong_options_are_told_before_anything_starts(tmp_path: Path) -> None:
    state_dir = str(tmp_path / "state")
    assert lumen("up", "--state-dir", state_dir, "--base-port", "65530").returncode == ExitCode.USAGE
    missing = lumen("up", "--state-dir", state_dir, "--catalog", str(tmp_path / "none.yaml"))
    assert missing.returncode == ExitCode.INVALID_INPUT
    assert "none.yaml" in missing.stderr
