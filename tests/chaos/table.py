"""pytest's side of the chaos scenarios: how many requests each gets, and the table at the end (from all xdist workers).

`--chaos-requests N`: about so many requests per phase of each scenario; the default is the short form of `make test`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

PROPERTY = "chaos"
_SHORT = 60
_COLUMNS = ("scenario", "complete", "entries", "charges", "lost", "doubled", "drift_nanousd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-requests", type=int, default=_SHORT, help="requests per phase of a chaos scenario")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows = [
        tuple(str(json.loads(value)[column]) for column in _COLUMNS)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not rows:
        return
    cells = [_COLUMNS, *sorted(rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    terminalreporter.section("chaos")
    for row in cells:
        first, *figures = row
        line = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True))]
        terminalreporter.write_line("  ".join(line))
