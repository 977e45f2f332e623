"""Active probes: what they may say about a channel, and when they are sent."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from lumen.catalog.document import Probe, Resilience
from services.edge.provider_workers.transport import ConnectFailed
from services.edge.routing.circuit import State
from services.edge.routing.probing import Prober
from tests.unit.edge_routing.parts import Bed, channel, failure

PROBED = Resilience(probe=Probe(interval_s=10, timeout_s=5))


class Turns:
    """In place of the limits shared through auth."""

    def __init__(self) -> None:
        self.is_mine = True
        self.windows: list[str] = []

    def share(self, scope: str, kind: Any, window: str, limit: int) -> Any:
        self.windows.append(f"{scope} {window} {limit}")
        return self

    async def take(self, share: Any, need: int) -> object | None:
        return None if self.is_mine else object()

    def settle(self, taken: int, spent: int) -> None:
        assert (taken, spent) == (1, 1), "a turn does not come back"

    def touched(self, share: Any) -> None: ...


class Alive:
    status = 404  # it lists no models, but it answers

    def abort(self) -> None: ...


class ProbeBed:
    def __init__(self, **fields: Any) -> None:
        self.bed = Bed(channel("c1", "m", **({"resilience": PROBED} | fields)), channel("c2", "m"))
        self.turns = Turns()
        self.sent: list[tuple[str, bytes, str]] = []
        self.answer: Exception | None = ConnectFailed("refused")
        for name in ("c1", "c2"):
            self.bed.worker(name).send = self._send  # type: ignore[method-assign,assignment]
        self.prober = Prober(
            self.bed.workers, self.bed.health, self.turns, self.bed.metrics, Random(1),  # type: ignore[arg-type]
            now=self.bed.clock, unix_s=lambda: 1_000_000 + self.bed.clock.now,
        )  # fmt: skip

    async def _send(self, dialect: str, path: bytes, headers: Any, body: bytes, *, method: bytes) -> Any:
        self.sent.append((dialect, path, method.decode()))
        if self.answer is not None:
            raise self.answer
        return Alive()

    async def step(self, seconds: float) -> None:
        self.bed.clock.now += seconds
        self.prober.step()
        await asyncio.gather(*self.prober._under_way.values())


async def test_only_channels_that_ask_for_it_are_probed_once_per_interval() -> None:
    probes = ProbeBed()
    probes.answer = None
    for _ in range(60):
        await probes.step(1)
    assert 5 <= len(probes.sent) <= 7
    assert set(probes.sent) == {("openai_chat", b"/models", "GET")}
    assert probes.turns.windows[0] == f"probe:c1 {int((1_000_000 + 1000 + 1) / 10)} 1"


async def test_another_edges_turn_is_left_to_it() -> None:
    probes = ProbeBed()
    probes.turns.is_mine = False
    for _ in range(30):
        await probes.step(1)
    assert probes.sent == []


async def test_what_cannot_be_reached_is_found_without_a_request() -> None:
    probes = ProbeBed(resilience=Resilience(probe=Probe(interval_s=1)))
    await probes.step(0)
    await probes.step(1)
    assert len(probes.sent) == 3, "one failure may be chance"
    assert "probe: connect" in probes.bed.problem("c1")
    assert probes.bed.changes == [("c1", "", "opened")]


async def test_a_switched_off_breaker_is_not_probed() -> None:
    probes = ProbeBed(resilience=Resilience(breaker=False, probe=Probe()))
    for _ in range(40):
        await probes.step(1)
    assert probes.sent == []


def test_a_success_closes_what_was_unreachable_and_says_nothing_of_models_and_accounts() -> None:
    bed = Bed(channel("c1", "m"), channel("c2", "m"), channel("c3", "m"))
    bed.fail("c1", 5, failed=failure(reason="connect"))
    bed.fail("c2", 5)
    bed.fail("c3", 1, failed=failure(401, "account", is_account=True))
    bed.clock.now += 1
    for name in ("c1", "c2", "c3"):
        bed.health.probed(bed.target(name).channel, bed.clock.now, None)
    assert bed.problem("c1") == ""
    assert "status 500" in bed.problem("c2")
    assert "our account is refused" in bed.problem("c3")
    assert [trouble.state for trouble in bed.health.troubles()] == [State.OPEN, State.OPEN]


def test_a_probe_that_our_account_is_refused_disables_the_channel() -> None:
    bed = Bed(channel("c1", "m"))
    bed.health.probed(bed.target("c1").channel, bed.clock.now, failure(403, "account", is_account=True))
    assert "our account is refused" in bed.problem("c1")
    assert bed.registry.get_sample_value("lumen_edge_channel_account_faults_total", {"channel": "c1"}) == 1
