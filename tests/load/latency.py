"""What a gateway adds to an answer's time when it has nothing else to do: one connection each, in turn."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.load.calls import Call, make_call
from tests.load.clients import Client, Target, run
from tests.load.wrk import LoadFailed

_WARM_UP = 30
_SCRIPT = "tokens=8 delay_ms=1"


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds. `ttft`: to the first byte of a stream's body. `single`: to the last byte of a single response."""

    ttft_p50_ms: float
    ttft_p99_ms: float
    single_p50_ms: float
    single_p99_ms: float
    requests: int


def measure_latency(targets: Mapping[str, tuple[Target, Target]], requests: int) -> dict[str, Latency]:
    """`targets`: name -> (for streams, for singles). Raises LoadFailed."""
    streams = {name: pair[0] for name, pair in targets.items()}
    singles = {name: pair[1] for name, pair in targets.items()}
    ttfts = run(_times(streams, make_call(is_stream=True, script=_SCRIPT), requests))
    totals = run(_times(singles, make_call(is_stream=False, script="tokens=8"), requests))
    return {
        name: Latency(
            ttft_p50_ms=statistics.median(ttfts[name]),
            ttft_p99_ms=_p99(ttfts[name]),
            single_p50_ms=statistics.median(totals[name]),
            single_p99_ms=_p99(totals[name]),
            requests=requests,
        )
        for name in targets
    }


async def _times(targets: Mapping[str, Target], call: Call, requests: int) -> dict[str, list[float]]:
    """One request at a time, the targets in turn, so that all meet the same moods of the machine."""
    clients = {name: Client(target, timeout_s=20) for name, target in targets.items()}
    times: dict[str, list[float]] = {name: [] for name in clients}
    try:
        for number in range(_WARM_UP + requests):
            names = list(clients) if number % 2 == 0 else list(reversed(clients))
            for name in names:
                outcome = await clients[name].send(call)
                if not outcome.is_complete or outcome.ttft_s is None:
                    raise LoadFailed(f"latency of {name}: {outcome.status} {outcome.error}")
                if number >= _WARM_UP:
                    times[name].append(1e3 * (outcome.ttft_s if call.is_stream else outcome.total_s))
    finally:
        for client in clients.values():
            client.close()
    return times


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]
