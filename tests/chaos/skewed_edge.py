"""An edge whose wall clock is wrong: `python -m tests.chaos.skewed_edge SECONDS` (early if negative).

Its monotonic clock is right, as on a real machine that has lost its time server.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import grpc.aio._utils

_RIGHT_NS = time.time_ns


def skew(offset_s: int) -> None:
    """Of everything in this process that asks for the time of day."""
    time.time_ns = lambda: _RIGHT_NS() + offset_s * 1_000_000_000
    time.time = lambda: time.time_ns() / 1e9
    # gRPC's core, which is no Python, has the machine's own clock: deadlines have to be made by the same one
    vars(grpc.aio._utils)["time"] = SimpleNamespace(time=lambda: _RIGHT_NS() / 1e9)


if __name__ == "__main__":
    skew(int(sys.argv[1]))
    from services.edge.__main__ import main

    sys.exit(main())
