"""Which outcome trips which breaker, and who hears of it."""

from __future__ import annotations

import pytest

from tests.unit.edge_routing.parts import Bed, channel, failure


def bed(**fields: object) -> Bed:
    return Bed(channel("a", "m", "n", **fields), channel("b", "m", "n"))


def test_one_failing_model_leaves_the_others_alone() -> None:
    it = bed()
    it.fail("a", 5)
    assert "breaker open" in it.problem("a")
    assert it.problem("a", "n") == ""
    assert it.changes == [("a", "m", "opened")]


def test_two_failing_models_are_the_channels_trouble() -> None:
    it = bed()
    it.fail("a", 4)
    it.fail("a", 1, code="n")
    assert it.problem("a")
    assert it.problem("a", "n")
    assert ("a", "", "opened") in it.changes


def test_a_success_of_one_model_speaks_for_the_channel() -> None:
    it = bed()
    for _ in range(3):
        it.fail("a", 4, code="n")
        it.succeed("a", "n")
        it.fail("a", 4)
        it.succeed("a")
    assert not it.problem("a")
    assert not it.problem("a", "n")


def test_connections_that_fail_are_the_channels_trouble() -> None:
    it = bed()
    it.fail("a", 5, failed=failure(reason="connect"))
    assert it.problem("a")
    assert it.problem("a", "n")


@pytest.mark.parametrize("status", [429, 503, 529])
def test_retry_after_sets_the_model_aside_for_that_long(status: int) -> None:
    it = bed()
    it.fail("a", failed=failure(status, retry_after_s=7))
    assert "retry-after 7 s" in it.problem("a")
    assert it.problem("a", "n") == ""
    it.clock.now += 6.9
    assert it.problem("a")
    it.clock.now += 0.2
    assert not it.problem("a")


def test_429_without_a_time_counts_like_any_failure() -> None:
    it = bed()
    it.fail("a", 4, failed=failure(429))
    assert not it.problem("a")
    it.fail("a", failed=failure(429))
    assert it.problem("a")


@pytest.mark.parametrize(("status", "seconds"), [(401, 300), (402, 300), (403, 60)])
def test_a_refused_account_disables_the_channel_with_an_alert(status: int, seconds: int) -> None:
    it = bed()
    it.fail("a", failed=failure(status, "account", is_account=True))
    assert it.problem("a", "n")
    assert it.registry.get_sample_value("lumen_edge_channel_account_faults_total", {"channel": "a"}) == 1
    it.clock.now += seconds - 1
    assert not it.admit("a")
    it.clock.now += 2
    assert [it.admit("a"), it.admit("a")] == [True, False]
    it.succeed("a")
    assert not it.problem("a")
    assert it.changes == [("a", "", "opened"), ("a", "", "closed")]


def test_another_catalog_entry_or_secret_ends_it() -> None:
    it = bed()
    refused = failure(401, "account", is_account=True)
    it.fail("a", failed=refused)
    it.apply(channel("a", "m", "n"), channel("b", "m"))  # another revision, the same channel
    assert it.problem("a")
    it.environ["K"] = "another"
    it.apply(channel("a", "m", "n"), channel("b", "m", "n"))
    assert not it.problem("a")
    assert it.changes[-1] == ("a", "", "closed")
    it.fail("a", failed=refused)
    it.apply(channel("a", "m", "n", weight=2), channel("b", "m", "n"))
    assert not it.problem("a")


def test_a_refusal_of_the_request_shows_the_channel_alive() -> None:
    it = bed()
    it.fail("a", 4)
    it.fail("a", 1, failed=failure(400, may_retry=False))
    it.fail("a", 4)
    assert not it.problem("a")


def test_what_the_dialect_cannot_say_tells_nothing() -> None:
    it = bed()
    it.fail("a", 50, failed=failure(0, "unsupported", is_account=True))
    assert not it.health.troubled


def test_breaker_false_switches_it_off() -> None:
    it = bed(resilience={"breaker": False})
    it.fail("a", 50)
    it.fail("a", failed=failure(401, "account", is_account=True))
    it.fail("a", failed=failure(429, retry_after_s=60))
    it.health.opened_elsewhere("a", "m", 30, "x")
    assert not it.health.troubled


def test_a_healthy_channel_keeps_no_books() -> None:
    it = bed()
    it.fail("a", 1)
    assert "a" in it.health.troubled
    for _ in range(60):
        it.succeed("a")
    it.clock.now += 61
    it.health.prune()
    assert not it.health.troubled


def test_channels_that_are_gone_leave_nothing_behind() -> None:
    it = bed()
    it.fail("a", 5)
    it.apply(channel("b", "m", "n"))
    it.health.prune()
    assert not it.health.troubled
    assert it.changes[-1] == ("a", "m", "closed")


def test_states_are_metrics() -> None:
    it = bed()
    it.fail("a", 5)
    labels = {"channel": "a", "model": "m"}
    assert it.registry.get_sample_value("lumen_edge_breaker_state", labels) == 2
    it.clock.now += 5
    assert it.registry.get_sample_value("lumen_edge_breaker_state", labels) == 1
    it.admit("a")
    it.succeed("a")
    assert it.registry.get_sample_value("lumen_edge_breaker_state", labels) is None
    opened = {"channel": "a", "change": "opened"}
    assert it.registry.get_sample_value("lumen_edge_breaker_transitions_total", opened) == 1
    assert it.registry.get_sample_value("lumen_edge_breaker_probes_total", {"channel": "a"}) == 1
