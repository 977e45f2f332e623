"""`make soak`: mixed traffic for a long time, and whether anything grows.

Streams, single and translated answers, refused keys, requests that are wrong, clients that leave in the middle of a
stream. The memory of every process is looked at every few seconds; the verdict is the slope of the second half
(Theil-Sen: the median of all pairs' slopes, which a few odd samples do not move).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lumen.protocols.dialects import Dialect
from tests.load.calls import Call, make_call
from tests.load.clients import Client, Target, run
from tests.load.local_stack import LocalStack
from tests.load.processes import ProcessGroup

_SAMPLE_S = 5.0
_PAUSE_S = 0.005  # between the requests of one connection: a steady load, not the most there can be
_LEAVE_AFTER_S = 0.05
_CREDIT_USD = "1000000"
# Growth of the second half, at most: MB, and in parts of what the process has.
_GROWTH_MB_MAX = 3.0
_GROWTH_PART_MAX = 0.03
# Their memory is their business: caches, and data that is there to stay.
_NOT_JUDGED = frozenset({"nats", "valkey", "clickhouse"})

Samples = list[tuple[float, float]]  # (seconds, MB)


def slope(samples: Samples) -> float:
    """MB per second."""
    pairs = itertools.combinations(samples, 2)
    return statistics.median((late[1] - early[1]) / (late[0] - early[0]) for early, late in pairs)


def growth_mb(samples: Samples) -> float:
    """What the second half of the time added."""
    half = samples[len(samples) // 2 :]
    return slope(half) * (half[-1][0] - half[0][0])


def is_growing(samples: Samples) -> bool:
    return growth_mb(samples) > max(_GROWTH_MB_MAX, _GROWTH_PART_MAX * samples[-1][1])


class Traffic:
    """`run` until the time is over; counts answers by kind."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._good = Target(base_url, api_key)
        self._bad = Target(base_url, "sk-lumen-" + "0" * 40)
        self.answers: dict[str, int] = {}
        self.unexpected: list[str] = []

    async def run(self, seconds: float) -> None:
        stop_at = time.monotonic() + seconds
        claude = "claude-opus-4-8"
        calls = {
            "single": make_call(is_stream=False),
            "messages": make_call(Dialect.ANTHROPIC_MESSAGES, is_stream=False, model=claude),
            "responses": make_call(Dialect.OPENAI_RESPONSES, is_stream=False),
            "stream": make_call(is_stream=True, script="tokens=40 delay_ms=5"),
            "translated stream": make_call(is_stream=True, script="tokens=40 delay_ms=5", model=claude),
            "provider's error": make_call(is_stream=False, script="status=500"),
        }
        async with asyncio.TaskGroup() as group:
            for name, call in calls.items():
                for _ in range(2):
                    group.create_task(self._ask(name, self._good, call, stop_at))
            group.create_task(self._ask("unknown key", self._bad, calls["single"], stop_at, pause_s=1.5))
            group.create_task(self._ask("unknown model", self._good, make_call(is_stream=False, model="none"), stop_at))
            for _ in range(4):
                group.create_task(self._leave(calls["stream"], stop_at))

    async def _ask(self, name: str, target: Target, call: Call, stop_at: float, pause_s: float = _PAUSE_S) -> None:
        client = Client(target, timeout_s=60)
        while time.monotonic() < stop_at:
            outcome = await client.send(call)
            self._count(f"{name}: {outcome.status or outcome.error}")
            is_meant = outcome.is_complete or outcome.status in (401, 404, 429, 500, 502)
            if not is_meant:
                self.unexpected.append(f"{name}: {outcome.status} {outcome.error}")
            await asyncio.sleep(pause_s)
        client.close()

    async def _leave(self, call: Call, stop_at: float) -> None:
        while time.monotonic() < stop_at:
            client = Client(self._good, timeout_s=60)
            sending = asyncio.create_task(client.send(call))
            await asyncio.wait({sending}, timeout=_LEAVE_AFTER_S)
            client.close()
            await sending
            self._count("left")
            await asyncio.sleep(10 * _PAUSE_S)

    def _count(self, name: str) -> None:
        self.answers[name] = self.answers.get(name, 0) + 1


async def _sample(group: ProcessGroup, samples: dict[str, Samples]) -> None:
    started = time.monotonic()
    while True:
        await asyncio.sleep(_SAMPLE_S)
        for name in group.pids:
            samples[name].append((time.monotonic() - started, group.rss_bytes(name) / 1e6))


async def _soak(traffic: Traffic, group: ProcessGroup, samples: dict[str, Samples], seconds: float) -> None:
    await traffic.run(min(10.0, seconds / 10))  # caches, pools, first leases
    sampling = asyncio.create_task(_sample(group, samples))
    try:
        await traffic.run(seconds)
    finally:
        sampling.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lumen-soak-") as directory, LocalStack(Path(directory)) as stack:
        stack.add_credit(_CREDIT_USD)
        group = ProcessGroup(stack.pids())
        samples: dict[str, Samples] = {name: [] for name in group.pids}
        traffic = Traffic(stack.env["LUMEN_BASE_URL"], stack.env["LUMEN_API_KEY"])
        run(_soak(traffic, group, samples, options.minutes * 60))
        verdict = stack.reconcile()
    print(", ".join(f"{name} {count}" for name, count in sorted(traffic.answers.items())))
    print(f"{'PROCESS':<12} {'MB at first':>12} {'at last':>8} {'2nd half':>9}")
    growing = []
    for name, seen in samples.items():
        is_bad = is_growing(seen) and name not in _NOT_JUDGED
        growing += [name] * is_bad
        print(f"{name:<12} {seen[0][1]:12.1f} {seen[-1][1]:8.1f} {growth_mb(seen):+9.2f}{'  GROWS' if is_bad else ''}")
    print(f"reconcile: {verdict}")
    for line in traffic.unexpected[:20]:
        print(f"unexpected: {line}")
    return 1 if growing or traffic.unexpected or verdict != "clean" else 0


if __name__ == "__main__":
    sys.exit(main())
