"""The operator's port of a service: /metrics (Prometheus text), /healthz (alive), /readyz (may take traffic)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# name -> None when fine, else why not
ReadinessChecks = Mapping[str, Callable[[], str | None]]


def ops_routes(registry: CollectorRegistry, checks: ReadinessChecks) -> list[Route]:
    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        problems = {name: problem for name, check in checks.items() if (problem := check()) is not None}
        return JSONResponse(
            {"status": "unready", "problems": problems} if problems else {"status": "ready"},
            status_code=503 if problems else 200,
        )

    return [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]


class OpsServer:
    """Serve `ops_routes`, or `routes`, until `stop()`. `port` is the bound one. `listener`, a bound socket that a
    parent process handed down, takes the place of `host` and `port`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        checks: ReadinessChecks,
        host: str,
        port: int,
        *,
        listener: socket.socket | None = None,
        routes: list[Route] | None = None,
    ) -> None:
        app = Starlette(routes=ops_routes(registry, checks) if routes is None else routes)
        if listener is None:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        self._socket = listener
        self.port: int = self._socket.getsockname()[1]
        self._server = EmbeddedServer(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="ops-server")

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class EmbeddedServer(uvicorn.Server):
    """uvicorn inside a process whose signals `lumen.platform.lifecycle` owns."""

    def capture_signals(self):  # type: ignore[no-untyped-def]  # contextlib's decorator type is not public
        from contextlib import nullcontext

        return nullcontext()
