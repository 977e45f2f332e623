"""How often somebody may try a password: per e-mail and per address, counted over a sliding window in this process.

A token bucket each (`tries_max` at once, refilled over `window_s`): a try is counted when it begins and forgiven when
it succeeds. Bounded in memory: beyond `entries_max` the bucket that was touched longest ago is forgotten. Each replica
counts for itself, so n replicas allow up to n times as many tries.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

EMAIL_TRIES_MAX = 10
ADDRESS_TRIES_MAX = 50
WINDOW_S = 900.0
_ENTRIES_MAX = 20_000


class SignInThrottle:
    """`clock`: monotonic seconds."""

    def __init__(
        self,
        *,
        email_tries_max: int = EMAIL_TRIES_MAX,
        address_tries_max: int = ADDRESS_TRIES_MAX,
        window_s: float = WINDOW_S,
        entries_max: int = _ENTRIES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tries_max = {"email": email_tries_max, "address": address_tries_max}
        self._window_s = window_s
        self._entries_max = entries_max
        self._clock = clock
        self._used: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # -> (tries used, as of)

    def __len__(self) -> int:
        return len(self._used)

    def wait_s(self, email: str, address: str) -> float:
        """Seconds until a try is allowed; 0: now."""
        return max(self._wait_s("email", email.strip().casefold()), self._wait_s("address", address))

    def tried(self, email: str, address: str) -> None:
        self._count("email", email.strip().casefold(), 1)
        self._count("address", address, 1)

    def forgive(self, email: str, address: str) -> None:
        """The try just counted succeeded."""
        self._count("email", email.strip().casefold(), -1)
        self._count("address", address, -1)

    def _left_over(self, kind: str, value: str) -> float:
        used, as_of = self._used.get((kind, value), (0.0, 0.0))
        refilled = (self._clock() - as_of) * self._tries_max[kind] / self._window_s
        return max(0.0, used - refilled)

    def _wait_s(self, kind: str, value: str) -> float:
        if not value:
            return 0.0
        excess = self._left_over(kind, value) + 1 - self._tries_max[kind]
        return max(0.0, excess * self._window_s / self._tries_max[kind])

    def _count(self, kind: str, value: str, tries: int) -> None:
        if not value:
            return
        used = max(0.0, self._left_over(kind, value) + tries)
        self._used[kind, value] = (used, self._clock())
        self._used.move_to_end((kind, value))
        while len(self._used) > self._entries_max:
            self._used.popitem(last=False)
