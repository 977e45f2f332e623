"""`make bench-compare BASE=<rev>`: what this tree costs against another revision, in one alternating run.

Both stacks are up at once, each on its own sources; the base's is a worktree in a temporary directory, with an
environment of its own when its lock file differs and ours otherwise. The change is taken within each round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lumen.protocols.dialects import Dialect
from tests.load.bench_catalog import TRANSLATED_MODEL, apply_bench_catalog
from tests.load.calls import make_call, stream_of_frames
from tests.load.local_stack import SIMULATOR, LocalStack, StackFailed
from tests.load.machine import machine_facts
from tests.load.processes import ProcessGroup
from tests.load.report import table
from tests.load.rounds import Bench, Case, CaseResult, Server
from tests.load.system_packages import find_tools

_ROOT = Path(__file__).parents[2]
_UV = Path(sys.executable).with_name("uv")
_FRAMES, _DELAY_MS = 50, 2.0
_CREDIT = {"amount_usd": "100000", "kind": "topup"}
_FIGURES = ("own_ms", "system_ms")


def cases() -> list[Case]:
    translated = stream_of_frames(Dialect.OPENAI_CHAT, _FRAMES, _DELAY_MS, model=TRANSLATED_MODEL)
    return [
        Case("chat-single", make_call(is_stream=False), 16),
        Case("chat-stream", stream_of_frames(Dialect.OPENAI_CHAT, _FRAMES, _DELAY_MS), 16, _FRAMES),
        Case("chat-to-messages-stream", translated, 16),
    ]


@contextmanager
def revision_of(rev: str, directory: Path) -> Iterator[tuple[str, Path]]:
    """(interpreter, sources) of a revision. Raises StackFailed for one that git does not know."""
    sources = directory / "base"
    _run(["git", "worktree", "add", "--detach", str(sources), rev])
    try:
        python = sys.executable
        if (sources / "uv.lock").read_bytes() != (_ROOT / "uv.lock").read_bytes():
            environment = directory / "venv"
            _run([str(_UV), "venv", "-q", "--python", sys.executable, str(environment)])
            _run([str(_UV), "sync", "--frozen", "--quiet"], cwd=sources, environment=environment)
            python = str(environment / "bin" / "python")
        yield python, sources
    finally:
        _run(["git", "worktree", "remove", "--force", str(sources)])


def _run(argv: list[str], cwd: Path = _ROOT, environment: Path | None = None) -> None:
    env = dict(os.environ)
    if environment is not None:
        env |= {"VIRTUAL_ENV": str(environment), "UV_PROJECT_ENVIRONMENT": str(environment)}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackFailed(f"{' '.join(argv)}: {done.stderr}")


def change_rows(results: Sequence[CaseResult]) -> list[list[str]]:
    rows = [["CASE", "CPU ms of", "BASE", "HEAD", "CHANGE", "(rounds)"]]
    for result in results:
        for figure in _FIGURES:
            changes = [100 * (ratio - 1) for ratio in result.ratios(("head", figure), ("base", figure))]
            rows.append(
                [
                    result.case.name,
                    "edge" if figure == "own_ms" else "system",
                    f"{result.median('base', figure):.3f}",
                    f"{result.median('head', figure):.3f}",
                    f"{statistics.median(changes):+.1f} %",
                    f"({min(changes):+.1f} to {max(changes):+.1f})",
                ]
            )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.compare", description=__doc__)
    parser.add_argument("base", help="a revision that git knows")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=4, help="per round [4]")
    parser.add_argument("--json", type=Path, default=Path("artifacts/bench-compare.json"))
    options = parser.parse_args(arguments)
    tools = find_tools()
    directory = Path(tempfile.mkdtemp(prefix="lumen-compare-"))
    try:
        with ExitStack() as resources:
            python, sources = resources.enter_context(revision_of(options.base, directory))
            servers = [
                _server("base", resources.enter_context(LocalStack(_new(directory, "b"), python, sources))),
                _server("head", resources.enter_context(LocalStack(_new(directory, "h")))),
            ]
            bench = Bench(servers, tools.wrk, _new(directory, "wrk"), rounds=options.rounds, round_s=options.seconds)
            results = [bench.measure(case) for case in cases()]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    facts = machine_facts(tools)
    rows = change_rows(results)
    print(", ".join(f"{name} {value}" for name, value in facts.items()) + "\n\n" + table(rows))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": facts, "base": options.base, "changes": rows}, indent=1) + "\n")
    return 0


def _server(name: str, stack: LocalStack) -> Server:
    stack.admin("POST", f"/accounts/{stack.env['LUMEN_ACCOUNT']}/credits", _CREDIT)
    apply_bench_catalog(stack)
    group = ProcessGroup({process: pid for process, pid in stack.pids().items() if process != SIMULATOR})
    env = stack.env
    idle_cores = group.idle_cores(3.0)
    return Server(name, "edge", group, env["LUMEN_BASE_URL"], env["LUMEN_API_KEY"], is_edge=True, idle_cores=idle_cores)


def _new(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir()
    return path


if __name__ == "__main__":
    sys.exit(main())
