"""`LUMEN_EDGE_WORKERS` above 1: a small parent of several edge processes that share one port (SO_REUSEPORT).

Every worker is a whole edge with a state directory, worker id and spool of its own (`worker_directories`). The parent
starts them again when they die, passes SIGTERM on, waits for their drain, and is the one that operators ask: its ops
port answers for all. What it hands down are the workers' own ops sockets, on free ports of the loopback: they outlive a
worker that dies and cannot collide with another service. A spool that no worker continues any more is drained into the
ledger, and its directory removed. The kernel kills the workers when the parent dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from lumen.platform.children import die_with_parent
from lumen.platform.lifecycle import Lifecycle
from lumen.platform.ops_server import OpsServer
from services.edge.listening import listen
from services.edge.settings import EdgeSettings
from services.edge.worker_directories import left_behind, worker_directory
from services.edge.worker_ops import WorkerOps, worker_routes

logger = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.2
_WAIT_S_MAX = 10.0
_STABLE_S = 30.0  # a life as long as this forgives the failures before it
_FLUSH_S_MAX = 40.0  # after the drain: usage to the ledger, leases given back
_DRAIN_STOP_S_MAX = 5.0


async def serve_workers(settings: EdgeSettings, lifecycle: Lifecycle) -> None:
    """Run until the lifecycle stops and every worker has ended. Raises RuntimeError when the port is taken."""
    reservation = _reserve(settings.host, settings.port)
    registry = CollectorRegistry()
    running = Gauge("lumen_edge_worker_processes", "Edge processes that run", registry=registry)
    restarts = Counter(
        "lumen_edge_worker_restarts", "Edge processes started again after they died", ["worker"], registry=registry
    )
    workers = [_Worker(settings, index, running, restarts) for index in range(settings.workers)]
    ops = OpsServer(
        registry,
        {},
        settings.ops_host,
        settings.ops_port,
        routes=worker_routes([worker.ops for worker in workers], registry, lifecycle.stopping),
    )
    await ops.start()
    lives = [lifecycle.spawn(worker.run(lifecycle.stopping), name=f"worker-{worker.ops.index}") for worker in workers]
    drains = [
        lifecycle.spawn(_drain(directory, lifecycle.stopping), name=f"drain-{directory.name}")
        for directory in left_behind(settings.state_dir, settings.workers)
    ]
    try:
        await lifecycle.stopping.wait()
        await asyncio.gather(*lives, *drains)
    finally:
        await ops.stop()
        for worker in workers:
            worker.close()
        reservation.close()


class _Worker:
    def __init__(self, settings: EdgeSettings, index: int, running: Gauge, restarts: Counter) -> None:
        self._stop_s_max = settings.shutdown_drain_s_max + _FLUSH_S_MAX
        self._running = running
        self._restarts = restarts.labels(str(index))
        self._ops_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._ops_socket.bind(("127.0.0.1", 0))
        self._ops_socket.listen()
        self.ops = WorkerOps(index, self._ops_socket.getsockname()[1])
        self._environment = {
            **os.environ,
            "LUMEN_EDGE_WORKERS": "1",
            "LUMEN_EDGE_IS_PORT_SHARED": "true",
            "LUMEN_EDGE_OPS_FD": str(self._ops_socket.fileno()),
            "LUMEN_EDGE_STATE_DIR": str(worker_directory(settings.state_dir, index)),
        }

    def close(self) -> None:
        self._ops_socket.close()

    async def run(self, stopping: asyncio.Event) -> None:
        failures = 0
        while not stopping.is_set():
            started = time.monotonic()
            code = await self._live_once(stopping)
            if stopping.is_set():
                return
            failures = 1 if time.monotonic() - started >= _STABLE_S else failures + 1
            wait_s = min(_WAIT_S_MAX, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
            logger.error(
                "a worker died; starting it again",
                extra={"worker": self.ops.index, "exit_code": code, "wait_s": wait_s},
            )
            self._restarts.inc()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), wait_s)

    async def _live_once(self, stopping: asyncio.Event) -> int:
        # Not services.edge: worker 0 would find the directories of the others below its own.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.edge.worker_process",
            env=self._environment,
            pass_fds=(self._ops_socket.fileno(),),
            preexec_fn=die_with_parent(),
        )
        self._running.inc()
        self.ops.is_running = True
        try:
            return await _until_ended(process, stopping, self._stop_s_max)
        finally:
            self.ops.is_running = False
            self._running.dec()


async def _drain(directory: Path, stopping: asyncio.Event) -> None:
    wait_s = _FIRST_WAIT_S
    while not stopping.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.edge.spool_drain",
            env={**os.environ, "LUMEN_EDGE_STATE_DIR": str(directory)},
            preexec_fn=die_with_parent(),
        )
        if await _until_ended(process, stopping, _DRAIN_STOP_S_MAX) == 0:
            shutil.rmtree(directory)
            logger.info("a worker's spool is drained, its directory removed", extra={"state_dir": str(directory)})
            return
        wait_s = min(_WAIT_S_MAX, wait_s * 2)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), wait_s)


async def _until_ended(process: asyncio.subprocess.Process, stopping: asyncio.Event, stop_s_max: float) -> int:
    """Its exit code. Once stopping it is asked to end, and killed when that takes longer than `stop_s_max`."""
    ended = asyncio.ensure_future(process.wait())
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            await asyncio.wait({ended}, timeout=stop_s_max)
        return await ended if ended.done() else await _kill(process)
    finally:
        stop.cancel()
        ended.cancel()


async def _kill(process: asyncio.subprocess.Process) -> int:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    return await process.wait()


def _reserve(host: str, port: int) -> socket.socket:
    """Hold the port, without listening, while workers come and go. Raises RuntimeError when somebody listens there."""
    listen(host, port).close()  # alone first: a shared port would be joined in silence
    return listen(host, port, is_port_shared=True)
