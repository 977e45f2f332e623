"""`make bench-streams`: what a frame is delayed at 200 streams, and 3,000 streams open at once on one edge process.

The provider stamps each frame with the time it was sent (`stamped_upstream`); a frame's delay is the time until a
client has it. What a gateway adds is the difference of the percentiles to going direct, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from deploy.local.probes import http_url, probe
from lumen.platform.children import die_with_parent
from tests.fixtures.engines import free_port
from tests.load.bench_catalog import apply_bench_catalog
from tests.load.calls import make_call
from tests.load.clients import Target, run
from tests.load.goals import Verdict
from tests.load.local_stack import SIMULATOR, LocalStack, StackFailed
from tests.load.machine import machine_facts
from tests.load.nginx import STREAM_PREFIX, Nginx
from tests.load.processes import ProcessGroup
from tests.load.report import table, verdict_rows
from tests.load.stamped_upstream import MODEL, prompt
from tests.load.system_packages import find_tools

ADDED_P99_MS_MAX = 1.0
STALL_S_MAX = 1.0
STREAM_KB_MAX = 30.0
PLATEAU_MAX = 1.1
_STAMP = re.compile(rb'"content":"(\d{9,})"')
_START_S_MAX = 20.0
_RAMP_PER_S = 500
_SETTLE_S = 5.0
_FILES = 65_536


@dataclass(slots=True)
class Stream(asyncio.Protocol):
    """One stream on a connection of its own. `delays_ms` of its frames; `gap_s_max`: its longest silence."""

    ended: asyncio.Future[None]
    delays_ms: list[float] = field(default_factory=list)
    gap_s_max: float = 0.0
    is_whole: bool = False
    _last_at: float = 0.0
    _tail: bytes = b""
    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        now_ns, now = time.monotonic_ns(), time.monotonic()
        if self._last_at:
            self.gap_s_max = max(self.gap_s_max, now - self._last_at)
        self._last_at = now
        self.delays_ms += [(now_ns - int(stamp)) / 1e6 for stamp in _STAMP.findall(data)]
        self._tail = (self._tail + data)[-64:]
        if b"[DONE]" in self._tail:
            self.is_whole = True
            assert self._transport is not None
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def open_streams(target: Target, count: int, frames: int, delay_ms: int) -> list[Stream]:
    """Opened at a steady pace; returns when all have ended, or broken off."""
    request = target.request(make_call(is_stream=True, model=MODEL, text=prompt(frames, delay_ms)))
    loop = asyncio.get_running_loop()
    url = urlsplit(target.base_url)
    host, port = url.hostname or "", url.port or 80
    streams = []
    for number in range(count):
        _, stream = await loop.create_connection(lambda: Stream(loop.create_future()), host, port)
        stream.send(request)
        streams.append(stream)
        if number % 10 == 9:
            await asyncio.sleep(10 / _RAMP_PER_S)
    limit_s = 60 + 3 * frames * delay_ms / 1e3
    await asyncio.wait([stream.ended for stream in streams], timeout=limit_s)
    return streams


def measure_delays(targets: dict[str, Target], streams: int, rounds: int) -> dict[str, tuple[float, float]]:
    """name -> (p50, p99) in ms: medians over the rounds. Frames come 50 ms apart."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in targets}
    for number in range(rounds):
        for name in list(targets) if number % 2 == 0 else list(reversed(targets)):
            done: list[Stream] = run(open_streams(targets[name], streams, 60, 50))
            _require_whole(name, done)
            cuts = statistics.quantiles([delay for each in done for delay in each.delays_ms], n=100)
            found[name].append((cuts[49], cuts[98]))
    return {
        name: (statistics.median(p50 for p50, _ in each), statistics.median(p99 for _, p99 in each))
        for name, each in found.items()
    }


def measure_many(target: Target, group: ProcessGroup, count: int, seconds: int) -> dict[str, float]:
    """Twice: what the first run leaves behind is the plateau that the second must come back to."""
    run(open_streams(target, 20, 10, 20))
    before = group.rss_bytes("edge")
    plateaus, peaks = [], []
    done: list[Stream] = []
    for _ in range(2):
        peak, done = run(_with_peak(target, group, count, seconds))
        peaks.append(peak)
        time.sleep(_SETTLE_S)
        plateaus.append(group.rss_bytes("edge"))
    return {
        "dropped": sum(not stream.is_whole for stream in done),
        "longest_gap_s": max(stream.gap_s_max for stream in done),
        "kb_per_stream": (peaks[0] - before) / count / 1e3,
        "plateau_growth": plateaus[1] / plateaus[0],
        "rss_before_mb": before / 1e6,
        "rss_peak_mb": max(peaks) / 1e6,
        "rss_after_mb": plateaus[1] / 1e6,
    }


async def _with_peak(target: Target, group: ProcessGroup, count: int, seconds: int) -> tuple[int, list[Stream]]:
    frames = 10 * (seconds + count // _RAMP_PER_S)
    running = asyncio.create_task(open_streams(target, count, frames, 100))
    peak = 0
    while not running.done():
        peak = max(peak, group.rss_bytes("edge"))
        await asyncio.wait({running}, timeout=1.0)
    return peak, running.result()


def _require_whole(name: str, streams: Sequence[Stream]) -> None:
    broken = sum(not stream.is_whole for stream in streams)
    if broken:
        raise StackFailed(f"{broken} of {len(streams)} streams of {name} had no end")


@contextmanager
def stamped_upstream() -> Iterator[int]:
    """Its port, while it runs."""
    port = free_port()
    argv = [sys.executable, "-m", "tests.load.stamped_upstream", str(port)]
    process = subprocess.Popen(argv, preexec_fn=die_with_parent())
    try:
        deadline = time.monotonic() + _START_S_MAX
        while (problem := probe(http_url(port))) is not None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackFailed(f"the stamped upstream did not start: {problem}")
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.streams", description=__doc__)
    parser.add_argument("--delay-streams", type=int, default=200, help="for the frames' delay [200]")
    parser.add_argument("--rounds", type=int, default=3, help="per target, of the delay [3]")
    parser.add_argument("--streams", type=int, default=3000, help="open at once [3000]")
    parser.add_argument("--seconds", type=int, default=15, help="with all of them open [15]")
    parser.add_argument("--json", type=Path, default=Path("artifacts/bench-streams.json"))
    options = parser.parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard) if hard > 0 else _FILES, hard))
    tools = find_tools()
    directory = Path(tempfile.mkdtemp(prefix="lumen-streams-"))
    try:
        with ExitStack() as resources:
            port = resources.enter_context(stamped_upstream())
            stack = resources.enter_context(LocalStack(directory))
            stack.add_credit("100000")
            apply_bench_catalog(stack, port)
            (directory / "nginx").mkdir()
            nginx = resources.enter_context(Nginx(tools.nginx, directory / "nginx", port))
            edge = Target(stack.env["LUMEN_BASE_URL"], stack.env["LUMEN_API_KEY"])
            targets = {
                "direct": Target(f"http://127.0.0.1:{port}", "bench", is_edge=False),
                "nginx": Target(nginx.url, "bench", is_edge=False, prefix=STREAM_PREFIX),
                "edge": edge,
            }
            delays = measure_delays(targets, options.delay_streams, options.rounds)
            group = ProcessGroup({name: pid for name, pid in stack.pids().items() if name != SIMULATOR})
            many = measure_many(edge, group, options.streams, options.seconds)
            reconcile = stack.reconcile()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    verdicts = [
        Verdict(
            f"added delay of a frame at {options.delay_streams} streams, p99",
            delays["edge"][1] - delays["direct"][1],
            ADDED_P99_MS_MAX,
            " ms",
        ),
        Verdict(f"{options.streams} streams: dropped", many["dropped"], 0),
        Verdict(f"{options.streams} streams: longest silence", many["longest_gap_s"], STALL_S_MAX, " s"),
        Verdict(f"{options.streams} streams: edge memory of each", many["kb_per_stream"], STREAM_KB_MAX, " kB"),
        Verdict("RSS after them, second run to first", many["plateau_growth"], PLATEAU_MAX, " x"),
    ]
    facts = machine_facts(tools)
    print("\n" + ", ".join(f"{name} {value}" for name, value in facts.items()) + "\n")
    rows = [["DELAY OF A FRAME, ms", "p50", "p99"]]
    print(table(rows + [[name, f"{p50:.2f}", f"{p99:.2f}"] for name, (p50, p99) in delays.items()]) + "\n")
    print(table(verdict_rows(verdicts)))
    rss = ", ".join(f"{many[f'rss_{moment}_mb']:.0f} MB {moment}" for moment in ("before", "peak", "after"))
    print(f"\nedge RSS: {rss}; reconcile: {reconcile}")
    document: dict[str, Any] = {"machine": facts, "delays_ms": delays, "many": many, "reconcile": reconcile}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if reconcile != "clean" else 0


if __name__ == "__main__":
    sys.exit(main())
