"""How often a key may ask for its balance and usage: GCRA (the generic cell rate algorithm, ITU-T I.371), per edge.

A key may use a whole minute's allowance at once and regains it evenly. State per key is one number, the theoretical
arrival time (TAT); the keys that asked longest ago are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict

_PERIOD_S = 60.0


class AccountRate:
    def __init__(self, per_minute: int, keys_max: int) -> None:
        self._cost_s = _PERIOD_S / per_minute
        self._keys_max = keys_max
        self._tat: OrderedDict[str, float] = OrderedDict()

    def try_ask(self, key_id: str, now: float) -> float:
        """Count one question. Returns 0.0 when admitted, else the seconds after which it would be."""
        tat = max(self._tat.get(key_id, 0.0), now) + self._cost_s
        if tat - now > _PERIOD_S:
            return tat - now - _PERIOD_S
        self._tat[key_id] = tat
        self._tat.move_to_end(key_id)
        if len(self._tat) > self._keys_max:
            self._tat.popitem(last=False)
        return 0.0
