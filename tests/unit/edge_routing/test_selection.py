"""Who is chosen: simulated over seeds, and explained by the same code."""

from __future__ import annotations

from collections import Counter

import pytest

from lumen.catalog.document import Limits
from lumen.protocols.errors import ApiError
from services.edge.routing.selection import Needs
from tests.unit.edge_routing.parts import Bed, channel, failure


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("has_key", [True, False])
def test_load_follows_the_weights_and_nobody_starves(seed: int, has_key: bool) -> None:
    weights = {"a": 1, "b": 3, "c": 6}
    it = Bed(*(channel(name, "m", weight=weight) for name, weight in weights.items()), seed=seed)
    first = Counter(it.names((seed * 10_000 + turn + 1) * 2654435761 % 2**32 * has_key)[0] for turn in range(4000))
    for name, weight in weights.items():
        assert first[name] / 4000 == pytest.approx(weight / 10, abs=0.03)


def test_lower_priorities_wait_for_the_better_ones() -> None:
    it = Bed(channel("spare", "m", priority=1, weight=99), channel("main", "m"))
    for key in range(50):
        assert it.names(key) == ["main", "spare"]
    it.fail("main", 5)
    assert it.names(3) == ["spare"]


def test_a_conversation_stays_while_its_channel_is_well() -> None:
    it = Bed(*(channel(name, "m") for name in "abcd"))
    for key in range(1, 200):
        assert len({tuple(it.names(key)) for _ in range(5)}) == 1
    assert it.metrics.affinity_misses == 0


def home_of(it: Bed, key: int) -> str:
    return it.names(key)[0]


def test_a_conversation_leaves_a_channel_that_fails_now_and_then_and_comes_back() -> None:
    it = Bed(channel("a", "m"), channel("b", "m"))
    home = home_of(it, 7)
    it.fail(home, 2)
    assert {it.names(7)[0] for _ in range(50)} == {"a", "b"}
    assert "failing now and then" in it.explain(7)[home]
    it.clock.now += 61
    assert it.names(7)[0] == home


def test_a_conversation_leaves_a_full_a_crowded_and_a_slow_channel() -> None:
    it = Bed(channel("a", "m", limits={"concurrency": 10}), channel("b", "m", limits={"concurrency": 10}))
    home = home_of(it, 7)
    other = "b" if home == "a" else "a"
    for _ in range(8):
        it.worker(home).try_acquire()
    assert "crowded" in it.explain(7)[home]
    for _ in range(8):
        it.worker(other).try_acquire()
    assert home_of(it, 7) == home
    for _ in range(2):
        it.worker(home).try_acquire()
        it.worker(other).release()
        it.worker(other).try_acquire()
    assert "full" in it.explain(7)[home]
    for worker in (it.worker(home), it.worker(other)):
        while worker.in_flight:
            worker.release()
    it.worker(home).latency.observe(9.0, it.clock.now)
    it.worker(other).latency.observe(0.5, it.clock.now)
    assert "slow" in it.explain(7)[home]
    assert home_of(it, 7) == other
    it.clock.now += 11  # measured too long ago to count
    assert home_of(it, 7) == home


def test_of_two_the_one_with_less_in_flight_for_its_weight_goes_first() -> None:
    it = Bed(channel("a", "m", weight=1), channel("b", "m", weight=3))
    for _ in range(2):
        it.worker("a").try_acquire()
    for _ in range(3):
        it.worker("b").try_acquire()
    assert {it.names()[0] for _ in range(50)} == {"b"}


def test_requests_in_flight_even_out() -> None:
    it = Bed(*(channel(name, "m", weight=weight) for name, weight in (("a", 1), ("b", 1), ("c", 2))))
    for _ in range(400):
        it.worker(it.names()[0]).try_acquire()
    assert it.worker("a").in_flight == pytest.approx(100, abs=6)
    assert it.worker("c").in_flight == pytest.approx(200, abs=10)


def test_a_markedly_faster_channel_is_preferred_but_the_slow_one_is_tried_again() -> None:
    it = Bed(channel("a", "m"), channel("b", "m"))
    it.worker("a").latency.observe(4.0, it.clock.now)
    it.worker("b").latency.observe(1.0, it.clock.now)
    assert {it.names()[0] for _ in range(50)} == {"b"}
    it.clock.now += 11
    assert {it.names()[0] for _ in range(50)} == {"a", "b"}


def test_one_request_probes_and_all_others_stay_away() -> None:
    it = Bed(channel("a", "m"), channel("b", "m"))
    it.fail("a", 5)
    assert it.names(5) == ["b"]
    it.clock.now += 5
    assert it.names(5) == ["a", "b"]
    assert "probes it" in it.explain(5)["a"]
    assert it.admit("a")
    assert [it.names(key) for key in range(1, 20)] == [["b"]] * 19
    assert "its probe is under way" in it.explain(5)["a"]
    it.succeed("a")
    assert {it.names(key)[0] for key in range(1, 20)} == {"a", "b"}


def test_with_nobody_well_the_least_grave_is_the_last_resort() -> None:
    it = Bed(channel("refused", "m"), channel("aside", "m"), channel("down", "m"))
    it.fail("refused", failed=failure(401, "account", is_account=True))
    it.fail("aside", failed=failure(429, retry_after_s=60))
    it.fail("down", 5)
    selection = it.select(5)
    assert selection.is_last_resort
    assert [target.channel.name for target in selection.targets] == ["down"]
    assert "last resort" in it.explain(5)["down"]
    assert "retry-after 60 s" in it.explain(5)["aside"]
    it.succeed("down")  # it worked after all
    assert it.names(5) == ["down"]


def test_a_single_channel_is_tried_whatever_its_breaker_says() -> None:
    it = Bed(channel("only", "m"))
    it.fail("only", 9)
    assert it.select().is_last_resort
    assert it.names() == ["only"]


def test_nobody_ready_is_503() -> None:
    it = Bed(channel("a", "m"), channel("b", "m"), environ={})
    with pytest.raises(ApiError) as refused:
        it.select()
    assert refused.value.status == 503
    assert "secret env:K is not set" in it.explain()["a"]
    alone = Bed(channel("a", "m"), environ={})
    with pytest.raises(ApiError):
        alone.select()


def test_capabilities_of_channel_and_model() -> None:
    it = Bed(
        channel("small", "m", capabilities={"context_tokens": 1000}),
        channel("blind", "m", capabilities={"images": False}),
        channel("plain", "m", capabilities={"tools": False}),
        capabilities={"context_tokens": 5000},
    )
    assert set(it.names(needs=Needs())) == {"small", "blind", "plain"}
    assert set(it.names(needs=Needs(2000))) == {"blind", "plain"}
    assert it.names(needs=Needs(2000, has_images=True)) == ["plain"]
    assert it.names(needs=Needs(100, has_images=True, has_tools=True)) == ["small"]
    # Too long for all, by an estimate: the provider may say so itself.
    assert set(it.names(needs=Needs(9000))) == {"small", "blind", "plain"}
    assert it.explain(needs=Needs(100, has_images=True))["blind"] == "not chosen: it takes no images"


def test_what_no_channel_can_do_is_400() -> None:
    it = Bed(channel("a", "m", capabilities={"images": False}))
    with pytest.raises(ApiError) as refused:
        it.select(needs=Needs(has_images=True))
    assert refused.value.status == 400


def test_explanations_change_nothing() -> None:
    it = Bed(channel("a", "m"), channel("b", "m"))
    it.explain(5)
    assert (it.metrics.affinity_hits, it.metrics.affinity_misses) == (0, 0)
    assert it.explain(5)[home_of(it, 5)] == "chosen: the conversation belongs here"


def test_a_full_channel_is_explained_after_those_with_room() -> None:
    it = Bed(channel("first", "m", limits=Limits(concurrency=1)), channel("second", "m", priority=1))
    assert list(it.explain()) == ["first", "second"]
    it.worker("first").try_acquire()
    explained = it.explain()
    assert list(explained) == ["second", "first"]
    assert explained["second"].startswith("chosen")
    assert explained["first"].endswith("full now: all its 1 slots are in use")
