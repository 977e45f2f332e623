"""Thousands of streams at once on one edge process: is any cut or stalled, and what does an open one weigh?

`python -m tests.load.many_streams [--streams 3000] [--seconds 15] [--json FILE]`; see README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.load.calls import make_call
from tests.load.clients import Calls, Outcome, Target, run, run_load
from tests.load.local_stack import LocalStack
from tests.load.processes import ProcessGroup

_DELAY_MS = 100
_STALL_S_MAX = 1.0
_STREAM_KB_MAX = 30.0
_CREDIT_USD = "100000"
_WARM_UP_STREAMS = 100


@dataclass(frozen=True, slots=True)
class Result:
    """RSS in MB. `stream_kb`: of the peak above the plateau that an earlier, equal load left, per open stream."""

    streams: int
    incomplete: int
    gap_s_max: float
    gap_s_p99: float
    rss_before_mb: float
    rss_open_mb: float
    rss_after_mb: float
    stream_kb: float
    edge_cores: float
    reconcile: str

    @property
    def problems(self) -> list[str]:
        problems = []
        if self.incomplete:
            problems.append(f"{self.incomplete} streams did not come to their end")
        if self.gap_s_max > _STALL_S_MAX:
            problems.append(f"a stream stalled for {self.gap_s_max:.2f} s (goal: {_STALL_S_MAX:g} s at most)")
        if self.stream_kb > _STREAM_KB_MAX:
            problems.append(f"an open stream takes {self.stream_kb:.1f} kB (goal: {_STREAM_KB_MAX:g} kB at most)")
        if self.reconcile != "clean":
            problems.append(f"reconcile: {self.reconcile}")
        return problems


class _RssPeak:
    """The highest RSS of a process while it is used as a context manager, looked at every 0.2 s."""

    def __init__(self, group: ProcessGroup, name: str) -> None:
        self._group, self._name = group, name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mb = 0.0

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self.mb = max(self.mb, self._group.rss_bytes(self._name) / 1e6)

    def __enter__(self) -> _RssPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def measure(stack: LocalStack, streams: int, seconds: float) -> Result:
    """Opens `streams` streams of `seconds` each, all at once."""
    group = ProcessGroup({"edge": stack.pids()["edge"]})
    target = Target(stack.env["LUMEN_BASE_URL"], stack.env["LUMEN_API_KEY"])
    _load(target, _WARM_UP_STREAMS, 1)
    before_mb = group.rss_bytes("edge") / 1e6
    cpu_s, started = group.cpu_s()["edge"], time.monotonic()
    with _RssPeak(group, "edge") as peak:
        outcomes = _load(target, streams, seconds)
    cores = (group.cpu_s()["edge"] - cpu_s) / (time.monotonic() - started)
    gaps = sorted(outcome.gap_s_max for outcome in outcomes)
    return Result(
        streams=streams,
        incomplete=sum(not outcome.is_complete for outcome in outcomes),
        gap_s_max=gaps[-1],
        gap_s_p99=gaps[int(len(gaps) * 0.99)],
        rss_before_mb=before_mb,
        rss_open_mb=peak.mb,
        rss_after_mb=group.rss_bytes("edge") / 1e6,
        stream_kb=(peak.mb - before_mb) * 1e3 / streams,
        edge_cores=cores,
        reconcile=stack.reconcile(),
    )


def _load(target: Target, streams: int, seconds: float) -> list[Outcome]:
    script = f"tokens={int(seconds * 1000 / _DELAY_MS)} delay_ms={_DELAY_MS}"
    call = make_call(is_stream=True, script=script)

    async def go() -> list[Outcome]:
        return await run_load(target, Calls(call, count=streams), connections=streams, timeout_s=seconds + 60)

    outcomes: list[Outcome] = run(go())
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.many_streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=15.0, help="each stream's length; a frame every 100 ms")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lumen-streams-") as directory, LocalStack(Path(directory)) as stack:
        stack.add_credit(_CREDIT_USD)
        results = [measure(stack, options.streams, options.seconds) for _ in range(2)]
    for number, result in enumerate(results, 1):
        print(
            f"round {number}: {result.streams} streams, {result.incomplete} incomplete, longest silence "
            f"{result.gap_s_max:.2f} s (p99 {result.gap_s_p99:.2f} s), edge {result.edge_cores:.2f} cores, RSS "
            f"{result.rss_before_mb:.0f} -> {result.rss_open_mb:.0f} -> {result.rss_after_mb:.0f} MB, "
            f"{result.stream_kb:.1f} kB per open stream, reconcile {result.reconcile}"
        )
        for problem in result.problems:
            print(f"  missed: {problem}")
    growth_mb = results[1].rss_after_mb - results[0].rss_after_mb
    print(f"RSS after the second round against after the first: {growth_mb:+.1f} MB")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return 1 if any(result.problems for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
