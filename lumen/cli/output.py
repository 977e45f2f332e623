"""What commands print: one JSON document for scripts, tables for people. Amounts are printed as the API said them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec

from lumen.cli.admin_client import CommandFailed, fail

_P = ParamSpec("_P")


def command(function: Callable[_P, None]) -> Callable[_P, None]:
    """A command whose CommandFailed becomes a line on stderr and an exit code."""

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except CommandFailed as error:
            raise fail(error) from error

    return run


def print_json(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> None:
    """Columns of text; those named in `right` are figures and end together."""
    cells = [list(headings), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    is_right = [heading in set(right) for heading in headings]
    for row in cells:
        padded = [
            cell.rjust(width) if ends else cell.ljust(width)
            for cell, width, ends in zip(row, widths, is_right, strict=True)
        ]
        print("  ".join(padded).rstrip())


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """One `name  value` line each; empty values are left out."""
    shown = [(name, _cell(value)) for name, value in fields if value not in (None, "", [])]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        print(f"{name.ljust(width)}  {text}")


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return str(value)
