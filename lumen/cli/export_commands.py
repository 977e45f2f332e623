"""`lumen export usage|focus`: rows into a file, whole or not at all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lumen.cli.admin_client import CommandFailed, StateDir, find_api
from lumen.cli.exit_codes import ExitCode
from lumen.cli.output import command

_PROGRESS_S = 0.5


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


_Since = Annotated[str, typer.Option(help="First day, YYYY-MM-DD (UTC); else 30 days up to today.")]
_Until = Annotated[str, typer.Option(help="Day after the last (UTC); else tomorrow.")]
_Account = Annotated[str, typer.Option(help="Only this account (id or name).")]
_Format = Annotated[Format, typer.Option("--format", help="csv or parquet.")]
_Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write; it appears when it is whole.")]


def register(app: typer.Typer) -> None:
    exports = typer.Typer(help="Rows for a warehouse, a spreadsheet or a FinOps tool.", no_args_is_help=True)
    exports.command()(usage)
    exports.command()(focus)
    app.add_typer(exports, name="export")


@command
def usage(
    output: _Output,
    since: _Since = "",
    until: _Until = "",
    account: _Account = "",
    format: _Format = Format.CSV,  # noqa: A002  # the option's name
    state_dir: StateDir = None,
) -> None:
    """Every recorded request with its tokens, cost and upstream cost. Amounts are exact decimals in USD."""
    _export("usage", output, state_dir, since=since, until=until, account=account, format=format.value)


@command
def focus(
    output: _Output,
    since: _Since = "",
    until: _Until = "",
    account: _Account = "",
    format: _Format = Format.CSV,  # noqa: A002
    state_dir: StateDir = None,
) -> None:
    """Usage and credits as FOCUS 1.2, the FinOps cost and usage specification."""
    _export("focus", output, state_dir, since=since, until=until, account=account, format=format.value)


def _export(name: str, output: Path, state_dir: Path | None, **query: str) -> None:
    """Written beside the file and renamed: a file with the name asked for is a whole export."""
    api = find_api(state_dir)
    partial = output.with_name(f"{output.name}.part")
    try:
        with partial.open("wb") as file:
            received = api.download(f"/finance/exports/{name}", file, _progress(name), **query)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(output)
    except OSError as error:
        raise CommandFailed(f"cannot write {output}: {error.strerror or error}", ExitCode.FAILURE) from error
    finally:
        partial.unlink(missing_ok=True)
    print(f"{chr(13) if sys.stderr.isatty() else ''}{output}: {received} bytes", file=sys.stderr)


def _progress(name: str) -> Callable[[int], None]:
    """On stderr: one line that is written over on a terminal, nothing elsewhere."""
    started = time.monotonic()
    told_at = started
    is_terminal = sys.stderr.isatty()

    def tell(received: int) -> None:
        nonlocal told_at
        now = time.monotonic()
        if is_terminal and now - told_at >= _PROGRESS_S:
            told_at = now
            rate = received / 1e6 / (now - started)
            print(f"\r{name}: {received / 1e6:.1f} MB, {rate:.1f} MB/s ", end="", file=sys.stderr, flush=True)

    return tell
