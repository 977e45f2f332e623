"""How many second attempts an edge may make: a share of its requests and a floor, so that an outage is not multiplied.

A token bucket: each request earns `share` of a token, each second `floor_per_s`; a further attempt takes one. It starts
full, so that the first moments of an outage, before the breakers have seen enough, are hidden from clients.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class RetryBudget:
    def __init__(
        self,
        *,
        share: float = 0.2,
        floor_per_s: float = 10.0,
        tokens_max: float = 200.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share = share
        self._floor_per_s = floor_per_s
        self._tokens_max = tokens_max
        self._clock = clock
        self._tokens = tokens_max
        self._earned_at = clock()
        self.requests = 0  # since the last retry: counted by addition, on every request's path
        self.taken = 0
        self.refused = 0

    def try_retry(self) -> bool:
        now = self._clock()
        earned = self.requests * self._share + (now - self._earned_at) * self._floor_per_s
        self._tokens = min(self._tokens_max, self._tokens + earned)
        self._earned_at = now
        self.requests = 0
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        self.taken += 1
        return True
