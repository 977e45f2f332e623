"""Which of a model's targets a request goes to, and in which order the others follow.

1. Left out: channels that are not ready (no secret), that cannot do what the request asks (`capabilities`), that a
   breaker leaves alone.
2. The best priority first. Within one priority:
   * a conversation goes to the channel it ranks highest (`affinity`), unless that one is degraded: failing now and
     then, full, far slower than the best, or with far more than its share in flight;
   * a probe that is due goes first: one request, as the breaker lends one probe at a time;
   * everything else is spread by weight at random, and of the first two the one with less to do goes first (power of
     two choices: fewer in flight for its weight, then markedly faster).
3. Where health alone rules out every target, the request is a *last resort*: it is tried once, where the breaker looks
   least grave. A suspicion is no reason to refuse what might work, and the client gets the provider's own words.

`explain` and `select` share `_exclusion` and `_ordered`: what is explained is what happens. One healthy channel costs
a dictionary lookup or two; no key is computed, nothing drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from lumen.catalog.document import Capabilities
from lumen.catalog.resolve import Resolution, Target
from lumen.protocols.errors import ApiError, ErrorKind
from services.edge.provider_workers.registry import ProviderWorkers
from services.edge.provider_workers.worker import ProviderWorker
from services.edge.routing.affinity import rank, salt
from services.edge.routing.health import Health
from services.edge.routing.metrics import RoutingMetrics

_PLANS_MAX = 4096
# A latency measured longer ago is no evidence: what was slow is tried again.
_LATENCY_FRESH_S = 10.0
_MUCH_FASTER = 2.0
_FAR_SLOWER = 4.0
_FAR_SLOWER_S = 2.0
# A conversation's channel may have this much more than its share in flight, once it has so many.
_SHARE_MAX = 1.5
_CROWDED_FROM = 8


class Needs(NamedTuple):
    """What a request asks of a target. `prompt_tokens`: Lumen's typical estimate; 0 where nobody limits it."""

    prompt_tokens: int = 0
    has_images: bool = False
    has_tools: bool = False


NO_NEEDS = Needs()


class Selection(NamedTuple):
    """Targets in the order to try them, at least one."""

    targets: list[Target]
    is_last_resort: bool = False


class Candidate:
    """One target as the selection sees it."""

    __slots__ = ("limits", "name", "priority", "salt", "target", "weight", "worker")

    def __init__(self, target: Target, limits: tuple[Capabilities, ...], worker: ProviderWorker | None) -> None:
        channel = target.channel
        self.target = target
        self.name = channel.name
        self.priority = channel.priority
        self.weight = channel.weight
        self.salt = salt(channel.name)
        self.limits = limits
        self.worker = worker

    def load(self) -> float:
        """Requests in flight for its weight."""
        return 0.0 if self.worker is None else self.worker.in_flight / self.weight

    def ttft_s(self, now: float) -> float:
        """0: not known lately."""
        if self.worker is None or now - self.worker.latency.measured_at > _LATENCY_FRESH_S:
            return 0.0
        return self.worker.latency.ttft_s


class Plan:
    """What is the same for every request with this resolution."""

    __slots__ = ("candidates", "is_limited", "model", "resolution", "single")

    def __init__(self, resolution: Resolution, workers: ProviderWorkers) -> None:
        self.resolution = resolution
        self.model = resolution.model.code
        own = resolution.model.capabilities
        self.candidates = [
            Candidate(
                target,
                tuple(limits for limits in (own, target.channel.capabilities) if limits is not None),
                workers.get(target.channel.name),
            )
            for target in resolution.targets
        ]
        self.is_limited = any(candidate.limits for candidate in self.candidates)
        self.single = self.candidates[0] if len(self.candidates) == 1 and not self.is_limited else None


class Selector:
    def __init__(self, workers: ProviderWorkers, health: Health, metrics: RoutingMetrics, random: Random) -> None:
        self._workers = workers
        self._health = health
        self._metrics = metrics
        self._random = random
        self._plans: dict[tuple[str, str], Plan] = {}

    def plan(self, resolution: Resolution) -> Plan:
        key = (resolution.group.name, resolution.model.code)
        plan = self._plans.get(key)
        if plan is None or plan.resolution is not resolution:
            if len(self._plans) >= _PLANS_MAX:
                self._plans.clear()  # of models and groups that a catalog long gone had
            plan = self._plans[key] = Plan(resolution, self._workers)
        return plan

    def select(self, plan: Plan, key: Callable[[], int], needs: Callable[[], Needs]) -> Selection:
        """`key` gives the conversation's (0: none) and `needs` what it asks for; neither is called without need.

        Raises ApiError: 400 when no target can do what is asked, 503 when none is ready.
        """
        single = plan.single
        if single is not None and single.name not in self._health.troubled:
            if single.worker is None or not single.worker.is_ready:
                raise _none_ready()
            return Selection([single.target])
        asked = needs() if plan.is_limited else NO_NEEDS
        now = self._health.clock()
        if plan.is_limited or self._health.troubled:
            fit = [each for each in plan.candidates if not self._exclusion(plan, each, asked, now)]
        else:
            fit = [each for each in plan.candidates if each.worker is not None and each.worker.is_ready]
        if not fit:
            return self._last_resort(plan, asked, now)
        if len(fit) == 1:
            return Selection([fit[0].target])
        return Selection([candidate.target for candidate in self._ordered(plan, fit, key(), now)])

    def _exclusion(self, plan: Plan, candidate: Candidate, needs: Needs, now: float) -> str:
        """Why this one is left out; empty: it is not."""
        return (
            _unready(candidate)
            or (_incapable(candidate, needs) if candidate.limits else "")
            or (self._health.problem(candidate.target, plan.model, now) if self._health.troubled else "")
        )

    def _last_resort(self, plan: Plan, needs: Needs, now: float) -> Selection:
        ready = [candidate for candidate in plan.candidates if not _unready(candidate)]
        if not ready:
            raise _none_ready()
        able = [candidate for candidate in ready if not _incapable(candidate, needs)]
        if not able:
            # A prompt's length is an estimate: whether it is too long is for the provider to say.
            able = [each for each in ready if not _incapable(each, needs._replace(prompt_tokens=0))]
        if not able:
            raise ApiError(ErrorKind.INVALID_REQUEST, f"This model is not available with: {_asked(needs)}.")
        healthy = [each for each in able if not self._health.problem(each.target, plan.model, now)]
        if healthy:
            return Selection([each.target for each in sorted(healthy, key=lambda each: each.priority)])
        self._metrics.last_resorts.inc()
        able.sort(key=lambda each: (self._health.gravity(each.name, plan.model, now), each.priority))
        return Selection([able[0].target], is_last_resort=True)

    def _ordered(self, plan: Plan, fit: list[Candidate], key: int, now: float) -> list[Candidate]:
        """Candidates come ordered by priority, as a resolution's targets do."""
        best = fit[0].priority
        if fit[-1].priority == best:
            return self._tier(plan, fit, key, now)
        ordered: list[Candidate] = []
        for priority in sorted({candidate.priority for candidate in fit}):
            tier = [candidate for candidate in fit if candidate.priority == priority]
            ordered += self._tier(plan, tier, key, now)
        return ordered

    def _tier(self, plan: Plan, tier: list[Candidate], key: int, now: float) -> list[Candidate]:
        if len(tier) == 1:
            return tier
        if self._health.troubled:
            for place, each in enumerate(tier):
                # Once somebody tries it the breaker leaves it out for all others.
                if self._health.is_probe_due(each.name, plan.model):
                    return [each, *self._tier(plan, tier[:place] + tier[place + 1 :], key, now)]
        if key:
            ranked = [(rank(key, each.salt, each.weight), -place) for place, each in enumerate(tier)]
            ranked.sort(reverse=True)
            home = tier[-ranked[0][1]]
            if not self._unpinned(plan, home, tier, now):
                self._metrics.affinity_hits += 1
                return [tier[-place] for _, place in ranked]
            # Spread, its home included: were that one left out, nothing would show that it is well again, or open its
            # breaker.
            self._metrics.affinity_misses += 1
        return self._spread(tier, now)

    def _unpinned(self, plan: Plan, home: Candidate, tier: list[Candidate], now: float) -> str:
        """Why a conversation does not go where it belongs; empty: it does."""
        if self._health.troubled and self._health.is_degraded(home.name, plan.model, now):
            return "failing now and then"
        worker = home.worker
        assert worker is not None, "only ready ones get here"
        if not worker.has_slot:
            return "full"
        if worker.in_flight >= _CROWDED_FROM:
            total = sum(each.worker.in_flight for each in tier if each.worker is not None)
            weights = sum(each.weight for each in tier)
            if worker.in_flight * weights > _SHARE_MAX * total * home.weight:
                return "crowded"
        own_s = home.ttft_s(now)
        if own_s > _FAR_SLOWER_S:
            best_s = min((each.ttft_s(now) or own_s) for each in tier)
            if own_s > _FAR_SLOWER * best_s:
                return "slow"
        return ""

    def _spread(self, tier: list[Candidate], now: float) -> list[Candidate]:
        if len(tier) < 2:
            return tier
        # Efraimidis and Spirakis (2006): sorting by u^(1/weight), largest first, is weighted sampling without
        # replacement.
        random = self._random.random
        drawn = [(random() ** (1 / each.weight), place) for place, each in enumerate(tier)]
        drawn.sort(reverse=True)
        ordered = [tier[place] for _, place in drawn]
        first, second = ordered[0], ordered[1]
        if _has_less_to_do(second, first, now):
            ordered[0], ordered[1] = second, first
        return ordered

    # --- explanations

    def explain(self, resolution: Resolution, key: int, needs: Needs) -> list[tuple[Target, str]]:
        """(target, why it is or is not chosen), the chosen ones first in their order. Draws like a request would."""
        plan = self.plan(resolution)
        now = self._health.clock()
        out = {each.name: self._exclusion(plan, each, needs, now) for each in plan.candidates}
        fit = [each for each in plan.candidates if not out[each.name]]
        shown: list[tuple[Target, str]] = []
        if fit:
            hits, misses = self._metrics.affinity_hits, self._metrics.affinity_misses
            ordered = self._ordered(plan, fit, key, now)
            self._metrics.affinity_hits, self._metrics.affinity_misses = hits, misses
            ordered.sort(key=lambda each: bool(_fullness(each)))  # those are passed over while others have room
            for place, each in enumerate(ordered):
                standing = self._standing(plan, each, fit, key, place, now)
                full = _fullness(each)
                shown.append((each.target, f"{standing}; full now: {full}" if full else standing))
        else:
            try:
                last = self._last_resort(plan, needs, now)
            except ApiError:
                last = None
            for target in last.targets if last else ():
                why = out.pop(target.channel.name)
                shown.append((target, f"chosen as a last resort, no other is left: {why}"))
        shown += [(each.target, f"not chosen: {out[each.name]}") for each in plan.candidates if out.get(each.name)]
        return shown

    def _standing(self, plan: Plan, each: Candidate, fit: list[Candidate], key: int, place: int, now: float) -> str:
        tier = [other for other in fit if other.priority == each.priority]
        if self._health.is_probe_due(each.name, plan.model):
            return "chosen: its breaker is half-open, the next request probes it"
        if place == 0:
            text = "chosen"
        else:
            text = f"next, number {place + 1}, should those before it fail"
        if each.priority != fit[0].priority:
            return f"{text}: priority {each.priority} comes after {fit[0].priority}"
        if len(tier) == 1:
            return f"{text}: the only one left of priority {each.priority}" if place == 0 else text
        if key:
            home = max(tier, key=lambda other: rank(key, other.salt, other.weight))
            why = self._unpinned(plan, home, tier, now)
            if each is home:
                return f"{text}: the conversation belongs here" + (f", but it is {why}" if why else "")
            return f"{text}: the conversation belongs to {home.name}" + (f", which is {why}" if why else "")
        busy = 0 if each.worker is None else each.worker.in_flight
        return f"{text}: by weight {each.weight} at random, {busy} in flight"


def _fullness(candidate: Candidate) -> str:
    return "" if candidate.worker is None else candidate.worker.fullness


def _unready(candidate: Candidate) -> str:
    worker = candidate.worker
    if worker is None:
        return "the channel is not in this edge's catalog"
    return "" if worker.is_ready else f"disabled: {worker.disabled_reason}"


def _has_less_to_do(one: Candidate, other: Candidate, now: float) -> bool:
    load, other_load = one.load(), other.load()
    if load != other_load:
        return load < other_load
    other_s = other.ttft_s(now)
    if not other_s:
        return False
    own_s = one.ttft_s(now)
    return own_s > 0 and own_s * _MUCH_FASTER < other_s


def _incapable(candidate: Candidate, needs: Needs) -> str:
    for limits in candidate.limits:
        if needs.has_images and not limits.images:
            return "it takes no images"
        if needs.has_tools and not limits.tools:
            return "it takes no tools"
        if limits.context_tokens is not None and needs.prompt_tokens > limits.context_tokens:
            return f"the prompt, about {needs.prompt_tokens} tokens, is longer than its {limits.context_tokens}"
    return ""


def _asked(needs: Needs) -> str:
    return " and ".join(
        name for name, is_asked in (("images", needs.has_images), ("tools", needs.has_tools)) if is_asked
    )


def _none_ready() -> ApiError:
    return ApiError(ErrorKind.OVERLOADED, "No provider of this model is ready at the moment.", retry_after_s=5)
