"""`lumen apply` and `lumen catalog`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lumen.cli.admin_client import AsJson, CommandFailed, StateDir, find_api
from lumen.cli.exit_codes import ExitCode
from lumen.cli.output import command, print_json, print_table

_STDIN = "-"


def register(app: typer.Typer) -> None:
    app.command()(apply)
    catalog = typer.Typer(help="The catalog: models, prices, groups, channels.", no_args_is_help=True)
    catalog.command()(show)
    catalog.command()(history)
    catalog.command()(rollback)
    app.add_typer(catalog, name="catalog")


@command
def apply(
    file: Annotated[str, typer.Option("--file", "-f", help="The catalog, YAML or JSON; - reads standard input.")],
    note: Annotated[str, typer.Option(help="Kept with the revision.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it.")] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a catalog the current one: checked whole, applied at once. Exit code 6: it has problems."""
    source_name, content = _read(file)
    body = {"content": content, "source_name": source_name, "note": note, "dry_run": dry_run}
    try:
        answer = find_api(state_dir).post("/catalog", body)
    except CommandFailed as refused:
        for problem in refused.problems:
            print(_described(source_name, problem), file=sys.stderr)
        if as_json and refused.problems:
            print_json({"revision": 0, "unchanged": False, "problems": refused.problems})
        raise
    if as_json:
        print_json(answer)
    elif dry_run:
        print(f"{source_name} is fine" + ("; it is what runs now" if answer["unchanged"] else ""))
    else:
        _print_applied(answer)


@command
def show(
    revision: Annotated[int, typer.Option(help="An older revision (else the current one).", min=0)] = 0,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the catalog. With --json whole: `.catalog` of it can be applied again."""
    answer = find_api(state_dir).get("/catalog", revision=revision)
    if as_json:
        print_json(answer)
        return
    catalog = answer["catalog"]
    print(f"revision {answer['revision']}\n")
    print_table(
        ("MODEL", "VENDOR", "INPUT", "OUTPUT", "ALIASES"),
        (
            (model["code"], model["vendor"], model["price"]["input"], model["price"]["output"], model["aliases"])
            for model in catalog.get("models", [])
        ),
        right=("INPUT", "OUTPUT"),
    )
    print()
    print_table(
        ("GROUP", "MULTIPLIER", "MODELS", "HOLD", "CLIENTS"),
        (
            (group["name"], group["multiplier"], group["models"], group["hold"], group["clients"])
            for group in catalog.get("groups", [])
        ),
        right=("MULTIPLIER",),
    )
    print()
    states = {channel["channel"]: channel for channel in answer["channels"]}
    print_table(
        ("CHANNEL", "STATE", "PRIORITY", "WEIGHT", "DIALECTS", "REASON"),
        (_channel_row(channel, states.get(channel["name"], {})) for channel in catalog.get("channels", [])),
        right=("PRIORITY", "WEIGHT"),
    )


@command
def history(state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """List the catalog's revisions, newest first."""
    answer = find_api(state_dir).get_all("/catalog/history", "revisions")
    if as_json:
        print_json(answer)
        return
    print_table(
        ("REVISION", "CREATED", "NOTE"),
        ((info["revision"], info["created_at"], info["note"]) for info in answer["revisions"]),
        right=("REVISION",),
    )


@command
def rollback(
    revision: Annotated[int, typer.Argument(help="Whose content to use.", min=1)],
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an old revision's content current again, as a new revision."""
    answer = find_api(state_dir).post("/catalog/rollback", {"revision": revision})
    if as_json:
        print_json(answer)
    else:
        _print_applied(answer)


def _channel_row(channel: dict[str, Any], report: dict[str, Any]) -> tuple[object, ...]:
    dialects = list(channel["dialects"])
    return (
        channel["name"],
        report.get("state"),
        channel["priority"],
        channel["weight"],
        dialects,
        report.get("reason"),
    )


def _print_applied(answer: dict[str, Any]) -> None:
    suffix = " (unchanged)" if answer["unchanged"] else " is now in use"
    print(f"catalog revision {answer['revision']}{suffix}")


def _described(source_name: str, problem: dict[str, Any]) -> str:
    """`catalog.yaml:12: models[0].price.input: required`"""
    place = f"{source_name}:{problem['line']}" if problem["line"] else source_name
    return ": ".join(part for part in (place, problem["field"], problem["message"]) if part)


def _read(file: str) -> tuple[str, str]:
    """(name for messages, text)"""
    if file == _STDIN:
        return "stdin", _decoded("stdin", sys.stdin.buffer.read())
    try:
        return file, _decoded(file, Path(file).read_bytes())
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}", ExitCode.USAGE) from error


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{name} is not UTF-8 text: {error}", ExitCode.INVALID_INPUT) from error
