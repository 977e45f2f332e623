"""The cyclic garbage collector of a service: what it is made of need not be walked again and again."""

from __future__ import annotations

import gc


def spare_collector(young_max: int) -> None:
    """Call it when the process stands. All objects so far count as staying; a collection begins after `young_max`
    (objects) more were made than have gone, every 20th looks at the middle generation too.

    At Python's own 700 every few requests in flight start one, and every now and then one walks whatever was imported,
    tens of milliseconds during which no stream moves.
    """
    gc.freeze()
    gc.set_threshold(young_max, 20, 50)
