"""What `lumen up`, `down` and `status` do, apart from reading their options. Errors are LocalStackErrors."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.local.errors import LocalStackError, StartFailed
from deploy.local.layout import Layout
from deploy.local.next_steps import next_steps
from deploy.local.probes import probe
from deploy.local.state import load_status, running_supervisor
from deploy.local.supervisor import rotate
from deploy.local.up import UpOptions, run_stack
from lumen.cli.env_file import load_env
from lumen.cli.exit_codes import ExitCode

_DOWN_TIMEOUT_S = 60.0
_POLL_S = 0.05


def up(options: UpOptions, *, as_json: bool = False) -> None:
    """Stay in the foreground until Ctrl-C. `as_json`: print the variables of the env file when everything is ready."""
    started = time.monotonic()

    def on_ready(env: dict[str, str]) -> None:
        _say(f"everything is ready after {time.monotonic() - started:.1f} s")
        _tell(options.layout, env, is_detached=False, as_json=as_json)

    asyncio.run(run_stack(options, on_ready, _say))


def up_detached(options: UpOptions, *, as_json: bool = False) -> None:
    """Return when everything is ready, with the stack in a session of its own."""
    layout = options.layout
    layout.logs.mkdir(parents=True, exist_ok=True)
    report, report_end = os.pipe()
    argv = [sys.executable, "-m", "deploy.local", str(layout.state_dir), str(layout.base_port), str(report_end)]
    if options.catalog is not None:
        argv.append(str(options.catalog))
    log_path = layout.logs / "supervisor.log"
    rotate(log_path)
    with log_path.open("ab") as log:
        supervisor = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(report_end,),
            start_new_session=True,
        )
    os.close(report_end)
    try:
        with os.fdopen(report) as reports:
            line = reports.readline()  # or end of file: it ended without a word
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait(_DOWN_TIMEOUT_S)
        raise
    if not line:
        raise StartFailed(f"the supervisor ended with exit code {supervisor.wait()}; see {log_path}")
    outcome = json.loads(line)
    if outcome["exit_code"] != ExitCode.OK:
        supervisor.wait(_DOWN_TIMEOUT_S)
        error = LocalStackError(outcome["message"])
        error.exit_code = ExitCode(outcome["exit_code"])
        raise error
    _tell(layout, load_env(layout.env_file), is_detached=True, as_json=as_json)


def run_detached(options: UpOptions, report_fd: int) -> int:
    """The other end of `up_detached`: tells it through the pipe how the start went. Returns the exit code."""

    def report(exit_code: ExitCode, message: str) -> None:
        nonlocal report_fd
        if report_fd >= 0:
            os.write(report_fd, json.dumps({"exit_code": exit_code, "message": message}).encode() + b"\n")
            os.close(report_fd)
            report_fd = -1

    try:
        asyncio.run(run_stack(options, lambda env: report(ExitCode.OK, ""), _say))
    except LocalStackError as error:
        _say(str(error))
        report(error.exit_code, str(error))
        return error.exit_code
    return ExitCode.OK


def down(state_dir: Path) -> None:
    """Stop the stack and wait until it is gone. Raises NotRunning."""
    pid = running_supervisor(state_dir)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_TIMEOUT_S
    while _is_held_by(state_dir, pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)  # its children die with it
            raise LocalStackError(f"the stack did not stop within {_DOWN_TIMEOUT_S:.0f} s and was killed")
        time.sleep(_POLL_S)


def status(state_dir: Path) -> dict[str, Any]:
    """`base_port`, `phase`, `is_ready` and `processes`, each with `is_ready` as its own probe says now."""
    document = load_status(state_dir)
    processes = document["processes"]
    with ThreadPoolExecutor(max_workers=max(1, len(processes))) as pool:
        problems = pool.map(probe, [process["ready_url"] for process in processes])
        for process, problem in zip(processes, problems, strict=True):
            if process["state"] == "ready":
                process["problem"] = problem
            process["is_ready"] = process["state"] == "ready" and problem is None
    document["state_dir"] = str(state_dir)
    document["is_ready"] = document["phase"] == "ready" and all(p["is_ready"] for p in document["processes"])
    return document


def up_options(state_dir: Path, base_port: int, catalog: Path | None) -> UpOptions:
    """Raises LocalStackError (usage) for a base port that does not fit."""
    try:
        return UpOptions(Layout(state_dir, base_port), catalog.absolute() if catalog is not None else None)
    except ValueError as error:
        refused = LocalStackError(str(error))
        refused.exit_code = ExitCode.USAGE
        raise refused from error


def _tell(layout: Layout, env: dict[str, str], *, is_detached: bool, as_json: bool) -> None:
    text = json.dumps(env) if as_json else next_steps(layout.state_dir, env, _command(), is_detached=is_detached)
    print(text, flush=True)


def _command() -> str:
    """How the caller's shell finds this very `lumen`."""
    own = Path(sys.executable).with_name("lumen")
    on_path = shutil.which("lumen")
    return "lumen" if on_path is not None and Path(on_path).absolute() == own else os.path.relpath(own)


def _is_held_by(state_dir: Path, pid: int) -> bool:
    try:
        return running_supervisor(state_dir) == pid
    except LocalStackError:
        return False


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the stack is not
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
