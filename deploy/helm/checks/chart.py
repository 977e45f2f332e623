"""The chart as its values files render it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.helm.checks.tools import Tools

# libyaml reads the dashboards' long strings many times faster.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

CHART = Path(__file__).parents[1] / "lumen"
NAMESPACE = "lumen"
# Every way the chart is meant to be installed: the values files in the order they are given to helm.
INSTALLATIONS: dict[str, tuple[str, ...]] = {
    "default": (),
    "small": ("values-small.yaml",),
    "production": ("values-production.yaml",),
    "multi-zone": ("values-production.yaml", "values-multi-zone.yaml"),
    "no-spool": ("values-no-spool.yaml",),
}


class ChartError(Exception):
    """helm refused; the text is its own."""


def value_arguments(installation: str) -> list[str]:
    return [word for file in INSTALLATIONS[installation] for word in ("--values", str(CHART / file))]


def lint(installation: str) -> None:
    """Raises ChartError."""
    _helm("lint", str(CHART), "--strict", *value_arguments(installation))


def template(installation: str, sets: Sequence[str] = ()) -> str:
    """The manifests as text; `sets` are further `--set` values. Raises ChartError."""
    more = [word for text in sets for word in ("--set", text)]
    return _helm("template", "lumen", str(CHART), "--namespace", NAMESPACE, *value_arguments(installation), *more)


@cache
def documents(installation: str, sets: tuple[str, ...] = ()) -> tuple[dict[str, Any], ...]:
    return tuple(document for document in yaml.load_all(template(installation, sets), _Loader) if document)


def _helm(*arguments: str) -> str:
    done = subprocess.run(
        [str(Tools().helm()), *arguments], capture_output=True, text=True, timeout=60, env={"HOME": "/nonexistent"}
    )
    if done.returncode:
        raise ChartError(done.stderr.strip() or done.stdout.strip())
    return done.stdout
