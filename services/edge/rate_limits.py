"""The key's own rate limits, kept by each edge worker: GCRA (the generic cell rate algorithm, ITU-T I.371).

A key may use a whole minute's allowance at once and regains it evenly. State per key is one number, the theoretical
arrival time (TAT). Requests are counted at admission; tokens when they are known, so a tokens-per-minute limit lets
the request that crosses it finish and delays the next one.
"""

from __future__ import annotations

from collections import OrderedDict

_PERIOD_S = 60.0


class RateLimiter:
    def __init__(self, entries_max: int) -> None:
        self._tat: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._entries_max = entries_max

    def try_request(self, key_id: str, requests_per_minute: int, now: float) -> float:
        """Count one request. Returns 0.0 when admitted, else the seconds after which it would be."""
        wait_s = self._wait_s((key_id, "rpm"), 1, requests_per_minute, now)
        if wait_s == 0.0:
            self._charge((key_id, "rpm"), 1, requests_per_minute, now)
        return wait_s

    def token_wait_s(self, key_id: str, now: float) -> float:
        """Seconds until the key's token allowance is positive again; 0.0 when it is."""
        return max(0.0, self._tat.get((key_id, "tpm"), 0.0) - now - _PERIOD_S)

    def charge_tokens(self, key_id: str, tokens: int, tokens_per_minute: int, now: float) -> None:
        self._charge((key_id, "tpm"), tokens, tokens_per_minute, now)

    def _wait_s(self, key: tuple[str, str], amount: int, per_minute: int, now: float) -> float:
        tat = max(self._tat.get(key, 0.0), now) + amount * _PERIOD_S / per_minute
        return max(0.0, tat - now - _PERIOD_S)

    def _charge(self, key: tuple[str, str], amount: int, per_minute: int, now: float) -> None:
        self._tat[key] = max(self._tat.pop(key, 0.0), now) + amount * _PERIOD_S / per_minute
        if len(self._tat) > self._entries_max:
            self._tat.popitem(last=False)
