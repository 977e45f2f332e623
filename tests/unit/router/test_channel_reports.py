"""What edges said about channels, and how long it counts."""

from __future__ import annotations

from services.router.channel_reports import WORKERS_MAX, ChannelReports, ChannelState


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ready(channel: str = "c") -> ChannelState:
    return ChannelState(channel, "ready", "")


def disabled(channel: str = "c", reason: str = "no secret") -> ChannelState:
    return ChannelState(channel, "disabled", reason)


def test_one_worker_that_cannot_use_a_channel_is_what_is_shown() -> None:
    reports = ChannelReports(expiry_s=60, clock=Clock())
    reports.record("w1", [disabled()])
    reports.record("w2", [ready()])
    assert reports.worst(["c", "d"]) == [
        disabled(),
        ChannelState("d", "unknown", "no edge has reported on this channel"),
    ]


def test_newest_report_of_a_worker_replaces_its_older_one() -> None:
    reports = ChannelReports(expiry_s=60, clock=Clock())
    reports.record("w1", [disabled(), ready("gone")])
    reports.record("w1", [ready()])
    assert [state.state for state in reports.worst(["c", "gone"])] == ["ready", "unknown"]


def test_reports_are_forgotten_after_their_expiry() -> None:
    clock = Clock()
    reports = ChannelReports(expiry_s=60, clock=clock)
    reports.record("w1", [disabled()])
    clock.now = 30
    reports.record("w2", [ready()])
    clock.now = 61
    assert reports.worst(["c"]) == [ready()]
    clock.now = 91
    assert reports.worst(["c"])[0].state == "unknown"


def test_workers_and_reasons_are_bounded() -> None:
    reports = ChannelReports(expiry_s=60, clock=Clock())
    for number in range(WORKERS_MAX + 1):
        reports.record(f"w{number}", [disabled(f"c{number}", "x" * 10_000)])
    first, last = reports.worst(["c0", f"c{WORKERS_MAX}"])
    assert first.state == "unknown"
    assert len(last.reason) == 500
