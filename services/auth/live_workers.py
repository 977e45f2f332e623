"""How many workers share the credit: heard of by grant, renewal, watch stream or a moved beat, at least one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

_LEASES_MAX = 65_536


class LiveWorkers:
    """`seen_for_s`: how long a worker counts after it was heard of."""

    def __init__(
        self,
        *,
        seen_for_s: float,
        watching: Callable[[], Iterable[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seen_for_s = seen_for_s
        self._watching = watching
        self._clock = clock
        self._seen_at: dict[str, float] = {}  # by lease, oldest first

    def saw(self, lease: str) -> None:
        self._seen_at.pop(lease, None)
        self._seen_at[lease] = self._clock()
        if len(self._seen_at) > _LEASES_MAX:
            del self._seen_at[next(iter(self._seen_at))]

    def has_heard(self, lease: str) -> bool:
        """By grant, renewal or moved beat, and not long ago."""
        return self._clock() - self._seen_at.get(lease, -math.inf) < self._seen_for_s

    def count(self) -> int:
        oldest = self._clock() - self._seen_for_s
        while self._seen_at:
            lease = next(iter(self._seen_at))
            if self._seen_at[lease] >= oldest:
                break
            del self._seen_at[lease]
        return max(1, len({*self._seen_at, *self._watching()}))
