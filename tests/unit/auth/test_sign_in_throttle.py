"""Tries are limited per e-mail and per address, forgiven on success, refilled with time, bounded in memory."""

from __future__ import annotations

from services.auth.sign_in_throttle import SignInThrottle


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_email_is_refused_after_its_tries_from_whatever_address() -> None:
    throttle = SignInThrottle(email_tries_max=3, address_tries_max=100, clock=_Clock())
    for number in range(3):
        assert throttle.wait_s("Ada@example.com", f"10.0.0.{number}") == 0
        throttle.tried("Ada@example.com", f"10.0.0.{number}")
    assert throttle.wait_s("ada@EXAMPLE.com", "10.0.0.9") > 0
    assert throttle.wait_s("bob@example.com", "10.0.0.9") == 0


def test_an_address_is_refused_after_its_tries_at_whatever_email() -> None:
    throttle = SignInThrottle(email_tries_max=3, address_tries_max=5, clock=_Clock())
    for number in range(5):
        throttle.tried(f"user{number}@example.com", "10.0.0.1")
    assert throttle.wait_s("fresh@example.com", "10.0.0.1") > 0
    assert throttle.wait_s("fresh@example.com", "10.0.0.2") == 0


def test_tries_come_back_one_by_one() -> None:
    clock = _Clock()
    throttle = SignInThrottle(email_tries_max=3, window_s=300, clock=clock)
    for _ in range(3):
        throttle.tried("ada@example.com", "")
    assert throttle.wait_s("ada@example.com", "") == 100
    clock.now += 100
    assert throttle.wait_s("ada@example.com", "") == 0
    throttle.tried("ada@example.com", "")
    assert throttle.wait_s("ada@example.com", "") == 100


def test_a_success_is_not_counted() -> None:
    throttle = SignInThrottle(email_tries_max=2, clock=_Clock())
    for _ in range(10):
        assert throttle.wait_s("ada@example.com", "10.0.0.1") == 0
        throttle.tried("ada@example.com", "10.0.0.1")
        throttle.forgive("ada@example.com", "10.0.0.1")


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    throttle = SignInThrottle(email_tries_max=1, entries_max=10, clock=_Clock())
    for number in range(50):
        throttle.tried(f"user{number}@example.com", "")
    assert len(throttle) == 10
    assert throttle.wait_s("user0@example.com", "") == 0
    assert throttle.wait_s("user49@example.com", "") > 0
