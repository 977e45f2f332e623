"""One breaker: a state machine over the outcomes of attempts. Pure; every time is handed in, monotonic seconds.

    CLOSED --failures--> OPEN --`until` passes--> HALF_OPEN --the probe fails--> OPEN, twice as long
       ^                   |                          |
       +---- success ------+--------- success --------+

* Failures open it when `failures_max` come in a row, or when their share of the latest outcomes (an exponentially
  weighted mean over roughly `1 / share_step` of them) passes `share_max`. Failures further apart than `memory_s` are
  strangers to one another.
* A provider that names a time (429 with retry-after) is left alone for that long; one that refuses our account for
  `account_open_s`, an hour at most.
* HALF_OPEN lends one probe at a time. A probe that is not heard of for `probe_s_max` (a long stream) is not waited for.
* Only attempts begun after the opening are evidence in OPEN and HALF_OPEN: what was under way before tells of before.
  So a success while OPEN (a last resort, see `selection`) closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Times in seconds."""

    failures_max: int = 5
    share_max: float = 0.5
    share_step: float = 0.05
    memory_s: float = 60.0
    open_s: float = 5.0
    open_s_max: float = 60.0
    account_open_s: float = 300.0
    # 403 may be about one request's feature rather than about the account: looked at again sooner.
    forbidden_open_s: float = 60.0
    account_open_s_max: float = 3600.0
    aside_s_max: float = 300.0
    probe_s_max: float = 30.0


# Below this share of failures, and with none in a row, a circuit says no more than no circuit.
_SHARE_FORGOTTEN = 0.02


class Circuit:
    __slots__ = (
        "failure_share",
        "failures",
        "generation",
        "is_account",
        "is_remote",
        "last_failure_at",
        "models",
        "open_s",
        "opened_at",
        "policy",
        "probe_until",
        "reason",
        "until",
    )

    def __init__(self, policy: BreakerPolicy, generation: int = 0) -> None:
        self.policy = policy
        self.generation = generation  # of the channel: another secret or catalog entry starts afresh
        self.failures = 0  # in a row
        self.failure_share = 0.0
        self.last_failure_at = float("-inf")
        self.models: set[str] = set()  # that failed since the last success
        self.opened_at: float | None = None  # None: CLOSED
        self.until = 0.0
        self.open_s = 0.0
        self.probe_until = float("-inf")
        self.reason = ""
        self.is_account = False
        self.is_remote = False  # another edge found it

    def state(self, now: float) -> State:
        if self.opened_at is None:
            return State.CLOSED
        return State.OPEN if now < self.until else State.HALF_OPEN

    def is_blocking(self, now: float) -> bool:
        """Open, or half-open with its probe out."""
        return self.opened_at is not None and (now < self.until or now < self.probe_until)

    def is_forgettable(self, now: float) -> bool:
        if self.opened_at is not None:
            return False
        return now - self.last_failure_at > self.policy.memory_s or (
            self.failures == 0 and self.failure_share < _SHARE_FORGOTTEN
        )

    def lend_probe(self, now: float) -> bool:
        """Whether this attempt may go ahead; in HALF_OPEN it is then the probe."""
        if self.is_blocking(now):
            return False
        if self.opened_at is not None:
            self.probe_until = now + self.policy.probe_s_max
        return True

    def return_probe(self) -> None:
        """The probe told nothing: its client left, or was at fault."""
        self.probe_until = float("-inf")

    def succeeded(self, started: float) -> bool:
        """True: this closed it."""
        if self.opened_at is not None:
            if started < self.opened_at:
                return False
            self._close()
            return True
        self.failures = 0
        self.models.clear()
        self.failure_share *= 1 - self.policy.share_step
        return False

    def failed(self, now: float, started: float, reason: str, model: str, *, may_open: bool = True) -> bool:
        """True: this opened it, or opened it again. `may_open` False: only count."""
        policy = self.policy
        if self.opened_at is not None:
            if started < self.opened_at or self.state(now) is State.OPEN:
                return False
            self._open(now, min(max(self.open_s, policy.open_s) * 2, self._open_s_max()), reason)
            return True
        if now - self.last_failure_at > policy.memory_s:
            self.failures, self.failure_share = 0, 0.0
            self.models.clear()
        self.last_failure_at = now
        self.failures += 1
        self.failure_share += policy.share_step * (1 - self.failure_share)
        self.models.add(model)
        if may_open and (self.failures >= policy.failures_max or self.failure_share >= policy.share_max):
            self._open(now, policy.open_s, reason)
            return True
        return False

    def condemned(self, now: float, started: float, reason: str) -> bool:
        """One finding that is enough. True: this opened it, or opened it again."""
        if self.opened_at is not None:
            return self.failed(now, started, reason, "")
        self._open(now, self.policy.open_s, reason)
        return True

    def set_aside(self, now: float, seconds: float, reason: str) -> bool:
        """The provider said when to come back. True: that is news."""
        until = now + min(seconds, self.policy.aside_s_max)
        if self.opened_at is not None and until <= self.until:
            return False
        self._open(now, until - now, reason)
        self.open_s = 0.0  # no trouble to be doubled
        return True

    def disable(self, now: float, started: float, seconds: float, reason: str) -> bool:
        """The provider refuses our account. True: that is news."""
        if self.is_account and self.opened_at is not None:
            if started < self.opened_at or self.state(now) is State.OPEN:
                return False
            seconds = min(max(self.open_s * 2, seconds), self.policy.account_open_s_max)
        self.is_account = True
        self._open(now, seconds, reason)
        return True

    def opened_elsewhere(self, now: float, seconds: float, reason: str) -> None:
        """Another edge's finding, which counts here for `seconds`; after that this edge's own probe decides."""
        if self.opened_at is None:
            self._open(now, seconds, reason)
            self.is_remote = True
        elif self.is_remote:
            self.until = max(self.until, now + seconds)
            self.reason = reason

    def closed_elsewhere(self) -> bool:
        """True: this closed it. What this edge found itself is for its own probe to end."""
        if self.opened_at is None or not self.is_remote:
            return False
        self._close()
        return True

    def _open_s_max(self) -> float:
        return self.policy.account_open_s_max if self.is_account else self.policy.open_s_max

    def _open(self, now: float, seconds: float, reason: str) -> None:
        self.opened_at = now
        self.until = now + seconds
        self.open_s = seconds
        self.reason = reason
        self.is_remote = False
        self.probe_until = float("-inf")
        self.last_failure_at = now

    def _close(self) -> None:
        self.opened_at = None
        self.open_s = 0.0
        self.failures = 0
        self.failure_share = 0.0
        self.models.clear()
        self.is_account = self.is_remote = False
        self.probe_until = float("-inf")
