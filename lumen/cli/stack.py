"""`lumen up`, `down`, `status`, and the services in the foreground.

The local stack is imported by the commands that need it: the others, and an image without it, do without.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from lumen.cli.admin_client import AsJson
from lumen.cli.env_file import find_state_dir
from lumen.cli.exit_codes import ExitCode

SERVICES = ("edge", "auth", "router", "billing", "console")
_DEFAULT_BASE_PORT = 7080

StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Where the stack keeps its data (LUMEN_STATE_DIR, else .lumen).")
]


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command()(status)
    for service in SERVICES:
        app.command(service, help=f"Run {service} in the foreground, with settings from the environment.")(
            _runner(f"services.{service}")
        )
    app.command("simulator", help="Run the provider simulator in the foreground.")(_runner("simulator"))


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is ready.")] = False,
    state_dir: StateDir = None,
    base_port: Annotated[int, typer.Option(help="The first of the 15 ports used.")] = _DEFAULT_BASE_PORT,
    catalog: Annotated[Path | None, typer.Option(help="Apply this catalog (first start: the demo catalog).")] = None,
    as_json: AsJson = False,
) -> None:
    """Start the whole of Lumen on this machine: engines, simulator, services, a demo account and key."""
    with _local_stack_errors():
        from deploy.local import commands

        options = commands.up_options(find_state_dir(state_dir), base_port, catalog)
        if detach:
            commands.up_detached(options, as_json=as_json)
        else:
            commands.up(options, as_json=as_json)


def down(state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Stop the stack of this state directory; its data stays."""
    with _local_stack_errors():
        from deploy.local import commands

        commands.down(find_state_dir(state_dir))
        print(json.dumps({"is_running": False}) if as_json else "stopped")


def status(
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the processes of the stack. Exit code 0: all ready; 1: not all; 3: not running."""
    with _local_stack_errors():
        from deploy.local import commands

        document = commands.status(find_state_dir(state_dir))
    print(json.dumps(document) if as_json else _table(document))
    if not document["is_ready"]:
        raise typer.Exit(ExitCode.FAILURE)


def _table(document: dict[str, Any]) -> str:
    rows = [("PROCESS", "STATE", "PID", "PORTS", "UPTIME", "RESTARTS")]
    for process in document["processes"]:
        rows.append(
            (
                process["name"],
                process["state"],
                str(process["pid"] or "-"),
                ",".join(map(str, process["ports"])),
                f"{process['uptime_s']:.0f} s" if process["uptime_s"] is not None else "-",
                str(process["restarts"]),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    problems = [f"{p['name']}: {p['problem']}" for p in document["processes"] if p["problem"] and not p["is_ready"]]
    return "\n".join([*lines, *problems])


def _runner(module: str) -> Any:
    def run() -> None:
        # exec: signals and the exit code are the service's own
        os.execv(sys.executable, [sys.executable, "-m", module])

    return run


@contextmanager
def _local_stack_errors() -> Iterator[None]:
    try:
        from deploy.local.errors import LocalStackError
    except ImportError as error:
        print(f"error: the local stack is not installed here ({error})", file=sys.stderr)
        raise typer.Exit(ExitCode.FAILURE) from error
    try:
        yield
    except LocalStackError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from error
