"""How many workers share the credit."""

from __future__ import annotations

from services.auth.live_workers import LiveWorkers


def test_nobody_heard_of_counts_as_one() -> None:
    assert LiveWorkers(seen_for_s=30).count() == 1


def test_worker_counts_once_however_it_was_heard_of() -> None:
    workers = LiveWorkers(seen_for_s=30, watching=lambda: ["a.1", "b.1"])
    workers.saw("a.1")
    workers.saw("c.1")
    workers.saw("c.1")
    assert workers.count() == 3


def test_silent_worker_stops_counting() -> None:
    now = [0.0]
    workers = LiveWorkers(seen_for_s=30, clock=lambda: now[0])
    workers.saw("a.1")
    now[0] = 20.0
    workers.saw("b.1")
    now[0] = 31.0
    assert workers.count() == 1
    workers.saw("a.1")
    assert workers.count() == 2
