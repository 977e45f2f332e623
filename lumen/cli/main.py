"""The `lumen` command."""

from __future__ import annotations

import importlib
import importlib.util

import typer

from lumen.cli import stack


def create_app() -> typer.Typer:
    app = typer.Typer(
        name="lumen",
        help="One key, every large model. `lumen up` starts everything on this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    stack.register(app)
    if importlib.util.find_spec("lumen.cli.admin") is not None:
        importlib.import_module("lumen.cli.admin").register(app)
    return app


def main() -> None:
    create_app()()
