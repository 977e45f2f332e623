"""`python -m simulator`: listens on LUMEN_SIMULATOR_HOST (127.0.0.1) and LUMEN_SIMULATOR_PORT (7082) until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from simulator.app import Simulator
from simulator.server import Server


async def _serve(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    simulator = Simulator()
    server = Server(simulator.handle, simulator.stats)
    await server.start(host, port)
    print(f"simulator on http://{host}:{server.port}", flush=True)  # noqa: T201
    await stopping.wait()
    await server.stop()


def main() -> int:
    host = os.environ.get("LUMEN_SIMULATOR_HOST", "127.0.0.1")
    port = os.environ.get("LUMEN_SIMULATOR_PORT", "7082")
    try:
        uvloop.run(_serve(host, int(port)))
    except (OSError, ValueError) as error:
        print(f"simulator: cannot listen on {host}:{port}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
