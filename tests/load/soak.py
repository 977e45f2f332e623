"""`make soak`: mixed traffic for SOAK_MINUTES, and whether anything grows.

Single answers, streams, translated streams, errors, and clients that leave. Resident memory and open files of every
process are sampled each ten seconds; the growth is the Theil-Sen slope (the median of the slopes of all pairs) after a
warm-up, which single outliers do not move. At the end all must have been charged, once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil

from lumen.protocols.dialects import Dialect
from tests.load.bench_catalog import TRANSLATED_MODEL, apply_bench_catalog
from tests.load.calls import make_call
from tests.load.clients import Calls, Client, Outcome, Target, run, run_load
from tests.load.local_stack import LocalStack
from tests.load.report import table

_SAMPLE_S = 10.0
_WARM_UP_SHARE = 0.3
_SAMPLES_MIN = 4  # after the warm-up; fewer say nothing
_GROWTH_SHARE_MAX = 0.05  # of the median, over the time that was looked at
_GROWTH_MB_MIN = 3.0  # less is noise of the allocator
_FILES_GROWTH_MAX = 10.0
_LEAVE_AFTER_S = 0.05
_LEAVERS = 4
# ClickHouse's memory is its caches', the simulator is no part of Lumen.
_NOT_JUDGED = {"clickhouse", "simulator"}


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """The median slope of all pairs of (x, y); 0 with fewer than two different x."""
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x1 != x2]
    return statistics.median(slopes) if slopes else 0.0


def growth(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(growth over the time after the warm-up, median of that time), in the unit of y."""
    first, last = points[0][0], points[-1][0]
    kept = [point for point in points if point[0] >= first + _WARM_UP_SHARE * (last - first)]
    return theil_sen(kept) * (kept[-1][0] - kept[0][0]), statistics.median(y for _, y in kept)


class Samples:
    """Per process: (seconds, MB) and (seconds, open files)."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._started = time.monotonic()
        self.memory_mb: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
        self.files: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}

    def take(self) -> None:
        """Raises psutil.NoSuchProcess when one has ended, which is a failure of the soak."""
        at = time.monotonic() - self._started
        for name, root in self._processes.items():
            family = [root, *root.children(recursive=True)]
            self.memory_mb[name].append((at, sum(each.memory_info().rss for each in family) / 1e6))
            self.files[name].append((at, float(sum(each.num_fds() for each in family))))


async def _traffic(target: Target, seconds: float, connections: int, samples: Samples) -> dict[str, int]:
    mixed = Calls(
        make_call(is_stream=False),
        make_call(is_stream=True, script="tokens=20 delay_ms=2"),
        make_call(is_stream=True, model=TRANSLATED_MODEL, script="tokens=20 delay_ms=2"),
        make_call(Dialect.ANTHROPIC_MESSAGES, is_stream=True, script="tokens=20 delay_ms=2"),
        make_call(is_stream=False, script="status=400"),
        make_call(is_stream=False, model="no-such-model"),
    )
    long_one = make_call(is_stream=True, script="tokens=200 delay_ms=5")
    counts = {"whole": 0, "refused": 0, "broken": 0, "left": 0}

    def count(outcome: Outcome) -> None:
        counts["whole" if outcome.is_complete else "refused" if 400 <= outcome.status < 500 else "broken"] += 1

    async def leave() -> None:
        while not is_over.is_set():
            client = Client(target)
            sending = asyncio.create_task(client.send(long_one))
            await asyncio.wait({sending}, timeout=_LEAVE_AFTER_S)
            client.close()
            await sending
            counts["left"] += 1
            await asyncio.sleep(_LEAVE_AFTER_S)

    is_over = asyncio.Event()
    load = asyncio.create_task(_without_keeping(target, mixed, connections, count))
    leavers = [asyncio.create_task(leave()) for _ in range(_LEAVERS)]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await asyncio.to_thread(samples.take)
        await asyncio.sleep(min(_SAMPLE_S, max(0.0, ends - time.monotonic())))
    is_over.set()
    mixed.stop()
    await asyncio.gather(load, *leavers)
    return counts


async def _without_keeping(target: Target, calls: Calls, connections: int, count: Any) -> None:
    """`run_load` keeps every outcome: the soak's own memory is bounded by rounds of a thousand."""
    while (first := calls()) is not None:
        del first
        left = 1000

        def some() -> Any:
            nonlocal left
            left -= 1
            return calls() if left >= 0 else None

        await run_load(target, some, connections=connections, on_outcome=count)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="[20]")
    parser.add_argument("--connections", type=int, default=16, help="besides those of clients that leave [16]")
    parser.add_argument("--json", type=Path, default=Path("artifacts/soak.json"))
    options = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="lumen-soak-"))
    try:
        with LocalStack(directory) as stack:
            stack.add_credit("100000")
            apply_bench_catalog(stack)
            samples = Samples(stack.pids())
            target = Target(stack.env["LUMEN_BASE_URL"], stack.env["LUMEN_API_KEY"])
            counts: dict[str, int] = run(_traffic(target, options.minutes * 60, options.connections, samples))
            reconcile = stack.reconcile()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    rows, has_grown = _verdicts(samples)
    print(", ".join(f"{number} {what}" for what, number in counts.items()) + f"; reconcile: {reconcile}\n")
    print(table(rows))
    document = {"counts": counts, "memory_mb": samples.memory_mb, "files": samples.files, "reconcile": reconcile}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document) + "\n")
    return 1 if has_grown or counts["broken"] or not counts["whole"] or reconcile != "clean" else 0


def _verdicts(samples: Samples) -> tuple[list[list[str]], bool]:
    rows, has_grown = [["PROCESS", "MB", "growth MB", "files", "growth", "VERDICT"]], False
    for name, memory in samples.memory_mb.items():
        grown_mb, median_mb = growth(memory)
        grown_files, files = growth(samples.files[name])
        grows = grown_mb > max(_GROWTH_MB_MIN, _GROWTH_SHARE_MAX * median_mb) or grown_files > _FILES_GROWTH_MAX
        if name in _NOT_JUDGED:
            verdict = "not judged"
        elif len(memory) * (1 - _WARM_UP_SHARE) < _SAMPLES_MIN:
            verdict = "too short"
        else:
            verdict = "GROWS" if grows else "steady"
            has_grown = has_grown or grows
        rows.append([name, f"{median_mb:.1f}", f"{grown_mb:+.2f}", f"{files:.0f}", f"{grown_files:+.1f}", verdict])
    return rows, has_grown


if __name__ == "__main__":
    sys.exit(main())
