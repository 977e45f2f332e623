"""`lumen backup` and `lumen restore`: the stores themselves, past the services."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumen.cli.admin_client import AsJson, CommandFailed
from lumen.cli.env_file import find_state_dir, load_env
from lumen.cli.exit_codes import ExitCode
from lumen.cli.output import command, print_json

if TYPE_CHECKING:
    from lumen.backup.manifest import Manifest
    from lumen.backup.run import Stores

StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir", help="A local stack's (else LUMEN_NATS_URL, LUMEN_CLICKHOUSE_URL, LUMEN_REDIS_URL, else .lumen)."
    ),
]
Directory = Annotated[Path, typer.Argument(metavar="DIR", file_okay=False)]
_URLS = ("LUMEN_NATS_URL", "LUMEN_CLICKHOUSE_URL", "LUMEN_REDIS_URL")


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


@command
def backup(directory: Directory, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Copy ledger, control plane and ClickHouse into a new directory, while Lumen runs."""
    stores = _stores(state_dir)
    from lumen.backup.run import create

    _report(_run(create(stores, directory)), "backed up to", directory, as_json=as_json)


@command
def restore(directory: Directory, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Fill empty stores from a backup, before the services start. Exit code 5: a store is not empty; 6: no backup."""
    stores = _stores(state_dir)
    from lumen.backup.run import restore as restore_all

    _report(_run(restore_all(stores, directory)), "restored from", directory, as_json=as_json)


def _stores(state_dir: Path | None) -> Stores:
    from lumen.backup.run import Stores

    values: dict[str, str] = {name: os.environ[name] for name in _URLS if os.environ.get(name)}
    if state_dir is not None or len(values) < len(_URLS):
        try:
            values = load_env(find_state_dir(state_dir) / "env")
        except FileNotFoundError as error:
            raise CommandFailed(f"no stack here; set {', '.join(_URLS)}", ExitCode.UNREACHABLE) from error
    missing = [name for name in _URLS if not values.get(name)]
    if missing:
        raise CommandFailed(f"set {', '.join(missing)}", ExitCode.USAGE)
    return Stores(*(values[name] for name in _URLS))


def _run(work: Coroutine[Any, Any, Manifest]) -> Manifest:
    from lumen.backup.errors import BackupError, BrokenBackup, NotEmpty, StoreAway

    exit_codes = {StoreAway: ExitCode.UNREACHABLE, NotEmpty: ExitCode.CONFLICT, BrokenBackup: ExitCode.INVALID_INPUT}
    try:
        return asyncio.run(work)
    except BackupError as error:
        raise CommandFailed(str(error), exit_codes.get(type(error), ExitCode.FAILURE)) from error


def _report(manifest: Manifest, done: str, directory: Path, *, as_json: bool) -> None:
    tables = [table for table in manifest.tables if table.file is not None]
    if as_json:
        print_json(
            {
                "directory": str(directory),
                "started_at": manifest.started_at,
                "finished_at": manifest.finished_at,
                "lumen_version": manifest.lumen_version,
                "size_bytes": manifest.size_bytes,
                "streams": {stream.name: stream.messages for stream in manifest.streams},
                "tables": [table.name for table in tables],
            }
        )
        return
    print(f"{done} {directory}: {len(manifest.streams)} streams, {len(tables)} tables, {manifest.size_bytes} bytes")
