"""Rounds of load that alternate between the servers under comparison, and what each cost per answer.

CPU, not time, is compared: on one machine the load generator and the upstream compete with the server for cores, and
CPU per answer is what a fleet costs. Each ratio is taken within one round, side by side; the median of them counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.load.calls import Call
from tests.load.clients import Client, Target, run
from tests.load.processes import ProcessGroup, others_cpu_s, spent
from tests.load.wrk import LoadFailed, WrkRun, run_wrk

_WARM_UP_S = 1.0
_FIRST_USES_PER_S = 300
_BYTES_SHARE_MIN = 0.8


@dataclass(frozen=True, slots=True)
class Case:
    """`frames` of a stream, counted at both servers before anything is measured.

    `plain`: what nginx relays where the edge translates: the same answer in the upstream's dialect. `has_many_keys`:
    an edge's `keys` are used in turn. `goal`: the edge's CPU in nginx's, at most.
    """

    name: str
    call: Call
    connections: int
    frames: int = 0
    plain: Call | None = None
    has_many_keys: bool = False
    goal: float | None = None

    def call_for(self, server: Server) -> Call:
        return self.call if server.is_edge or self.plain is None else self.plain

    def keys_of(self, server: Server) -> Sequence[str]:
        return server.keys if self.has_many_keys else ()


@dataclass(frozen=True, slots=True)
class Server:
    """`own` names the process whose CPU is the server's; all of `group` together are the system."""

    name: str
    own: str
    group: ProcessGroup
    base_url: str
    api_key: str
    is_edge: bool
    stream_prefix: str = ""
    idle_cores: float = 0.0
    keys: Sequence[str] = ()

    def rss_mb(self) -> float:
        return self.group.rss_bytes(self.own) / 1e6

    def target(self, call: Call) -> Target:
        return Target(self.base_url, self.api_key, self.is_edge, self.stream_prefix if call.is_stream else "")


@dataclass(frozen=True, slots=True)
class Sample:
    """One server in one round. CPU in milliseconds per answer; `system_ms` includes what was worked off after the load,
    less what the system uses when idle for as long as that took. `others_cores`: what processes that are no part of the
    bench used meanwhile; they steal caches and cores, so a good run has none."""

    server: str
    requests: int
    requests_per_s: float
    own_ms: float
    system_ms: float
    by_process_ms: Mapping[str, float]
    own_cores: float
    others_cores: float
    bytes_per_answer: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class CaseResult:
    case: Case
    rounds: Sequence[Mapping[str, Sample]]

    def median(self, server: str, figure: str) -> float:
        return float(statistics.median(getattr(samples[server], figure) for samples in self.rounds))

    def ratios(self, of: tuple[str, str], to: tuple[str, str]) -> list[float]:
        """(server, figure) to (server, figure), one per round."""
        return [getattr(samples[of[0]], of[1]) / getattr(samples[to[0]], to[1]) for samples in self.rounds]

    @property
    def has_edge(self) -> bool:
        return all("edge" in samples for samples in self.rounds)

    def edge_to_nginx(self) -> list[float]:
        return self.ratios(("edge", "own_ms"), ("nginx", "own_ms"))

    def system_to_edge(self) -> list[float]:
        return self.ratios(("edge", "system_ms"), ("edge", "own_ms"))


class Bench:
    def __init__(self, servers: Sequence[Server], wrk: str, directory: Path, *, rounds: int, round_s: float) -> None:
        self._servers = servers
        self._wrk = wrk
        self._directory = directory
        self._rounds = rounds
        self._round_s = round_s

    def measure(self, case: Case) -> CaseResult:
        """Raises LoadFailed when any answer was not whole and good, ProcessGone when a process died."""
        for server in self._servers:
            check_answer(server, case)
            # With many keys every account has its lease, and every key is cached, before anything is measured.
            self._load(server, case, _WARM_UP_S + len(case.keys_of(server)) / _FIRST_USES_PER_S)
        rounds = []
        for number in range(self._rounds):
            order = self._servers if number % 2 == 0 else tuple(reversed(self._servers))
            samples = {server.name: self._sample(server, case) for server in order}
            if case.plain is None:
                _check_same_size(case, samples)
            rounds.append({server.name: samples[server.name] for server in self._servers})
        return CaseResult(case, rounds)

    def _load(self, server: Server, case: Case, duration_s: float) -> WrkRun:
        call = case.call_for(server)
        return run_wrk(
            self._wrk,
            self._directory,
            server.target(call),
            call,
            connections=case.connections,
            duration_s=duration_s,
            api_keys=case.keys_of(server),
        )

    def _sample(self, server: Server, case: Case) -> Sample:
        server.group.wait_quiet(server.idle_cores)
        others_s = others_cpu_s()
        before = server.group.cpu_s()
        load = self._load(server, case, self._round_s)
        after = server.group.cpu_s()
        others_s = others_cpu_s() - others_s
        waited_s = server.group.wait_quiet(server.idle_cores)
        quiet = server.group.cpu_s()
        own_s = spent(before, after, [server.own])
        system_s = spent(before, quiet, server.group.pids) - server.idle_cores * waited_s
        return Sample(
            server=server.name,
            requests=load.requests,
            requests_per_s=load.requests_per_s,
            own_ms=own_s * 1e3 / load.requests,
            system_ms=system_s * 1e3 / load.requests,
            by_process_ms={name: spent(before, quiet, [name]) * 1e3 / load.requests for name in server.group.pids},
            own_cores=own_s / load.duration_s,
            others_cores=max(0.0, others_s / load.duration_s),
            bytes_per_answer=load.bytes_per_answer,
            p50_ms=load.p50_ms,
            p99_ms=load.p99_ms,
        )


def check_answer(server: Server, case: Case) -> None:
    """One answer, read in full: whole, with usage, and of the expected number of frames. Raises LoadFailed."""

    async def ask() -> None:
        call = case.call_for(server)
        client = Client(server.target(call), timeout_s=20)
        try:
            outcome = await client.send(call)
        finally:
            client.close()
        if not outcome.is_complete or not outcome.usage:
            raise LoadFailed(f"{case.name} at {server.name}: {outcome.status} {outcome.error or 'no usage reported'}")
        if case.frames and case.plain is None and outcome.frames != case.frames:
            raise LoadFailed(f"{case.name} at {server.name}: {outcome.frames} frames, not {case.frames}")

    run(ask())


def _check_same_size(case: Case, samples: Mapping[str, Sample]) -> None:
    """wrk takes a stream cut short by an error frame for a whole answer; its size gives it away."""
    sizes = {name: sample.bytes_per_answer for name, sample in samples.items()}
    if min(sizes.values()) < _BYTES_SHARE_MIN * max(sizes.values()):
        raise LoadFailed(f"{case.name}: answers of different sizes: {sizes}")
