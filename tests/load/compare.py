"""`make bench-compare BASE=<rev>`: what a change costs, both revisions side by side in one alternating run.

The base runs from a worktree of its own; when its lock file is another one, in an environment of its own too. Both
edges have a whole stack and a simulator each, and the same load in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.load.bench import CASES, edge_server, make_case, parse_cases
from tests.load.local_stack import LocalStack
from tests.load.rounds import Bench, CaseResult, Server
from tests.load.system_packages import find_tools

_ROOT = Path(__file__).resolve().parents[2]
_CREDIT_USD = "100000"
_CASES_DEFAULT = "chat-single,chat-stream,translated-stream"


@contextmanager
def worktree(revision: str, directory: Path) -> Iterator[Path]:
    """A checkout of `revision`, gone afterwards. Raises CalledProcessError."""
    path = directory / "base"
    _git("worktree", "add", "--quiet", "--detach", str(path), revision)
    try:
        yield path
    finally:
        _git("worktree", "remove", "--force", str(path))


def interpreter_for(root: Path, directory: Path) -> str:
    """This one, unless that checkout needs other packages."""
    if (root / "uv.lock").read_bytes() == (_ROOT / "uv.lock").read_bytes():
        return sys.executable
    environment = directory / "venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    subprocess.run(
        [uv, "sync", "--frozen", "--quiet", "--no-install-project", "--project", root],
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment), "VIRTUAL_ENV": str(environment)},
        check=True,
    )
    return str(environment / "bin" / "python")


def compare(revision: str, options: argparse.Namespace, directory: Path) -> list[CaseResult]:
    tools = find_tools()
    with ExitStack() as resources:
        root = resources.enter_context(worktree(revision, directory))
        python = interpreter_for(root, directory)
        servers: list[Server] = []
        for name, stack in (
            ("base", LocalStack(_new(directory, "base-stack"), root, python)),
            ("head", LocalStack(_new(directory, "head-stack"))),
        ):
            resources.enter_context(stack)
            stack.add_credit(_CREDIT_USD)
            servers.append(edge_server(name, stack, options.keys if "many-keys" in options.cases else 0))
        bench = Bench(servers, tools.wrk, _new(directory, "wrk"), rounds=options.rounds, round_s=options.seconds)
        return [bench.measure(make_case(name, connections=options.connections)) for name in parse_cases(options.cases)]


def _rows(result: CaseResult) -> Iterator[str]:
    for figure, text in (("own_ms", "edge"), ("system_ms", "system")):
        ratios = result.ratios(("head", figure), ("base", figure))
        base, head = result.median("base", figure), result.median("head", figure)
        yield (
            f"{result.case.name:<20} {text:<7} {base:8.3f} {head:8.3f}"
            f"  {statistics.median(ratios) - 1:+7.1%}  ({min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%})"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.compare", description=__doc__)
    parser.add_argument("base", help="a revision")
    parser.add_argument("--cases", default=_CASES_DEFAULT, help=f"some of {','.join(CASES)} [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--keys", type=int, default=300, help="of the case many-keys [300]")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lumen-compare-") as directory:
        results = compare(options.base, options, Path(directory))
    print(f"CPU ms per answer, medians of {options.rounds} alternating rounds; the change is taken within each round.")
    print(f"{'CASE':<20} {'':<7} {'BASE':>8} {'HEAD':>8}   CHANGE")
    for result in results:
        for row in _rows(result):
            print(row)
    return 0


def _new(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir()
    return path


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(_ROOT), *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
