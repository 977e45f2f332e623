"""The ops port of an edge with several workers: one /metrics, every sample labelled `worker`, and one /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_ASK_S_MAX = 2.0


@dataclass(slots=True)
class WorkerOps:
    """Where one worker's ops server listens, on the loopback."""

    index: int
    port: int
    is_running: bool = False


class _Merged(Collector):
    """The workers' metrics as one exposition: a family once, its samples told apart by `worker`."""

    def __init__(self, texts: Iterable[tuple[int, str]]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for index, text in self._texts:
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(sample.name, {"worker": str(index), **sample.labels}, sample.value)
        return families.values()


def merge_metrics(texts: Iterable[tuple[int, str]]) -> bytes:
    """(worker index, Prometheus text) of each -> one Prometheus text."""
    registry = CollectorRegistry()
    registry.register(_Merged(list(texts)))
    return generate_latest(registry)


def worker_routes(workers: Sequence[WorkerOps], own: CollectorRegistry, stopping: asyncio.Event) -> list[Route]:
    """Ready at first when all workers are; from then on while one is, as the others are being started again."""
    has_been_ready = False

    async def metrics(_: Request) -> Response:
        answers = await _ask_all(workers, "/metrics")
        texts = [(index, answer.text) for index, answer in answers if answer is not None]
        return Response(generate_latest(own) + merge_metrics(texts), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        nonlocal has_been_ready
        problems = {
            f"worker {index}": "does not answer" if answer is None else answer.json().get("problems", {})
            for index, answer in await _ask_all(workers, "/readyz")
            if answer is None or answer.status_code != 200
        }
        has_been_ready = has_been_ready or not problems
        is_ready = not stopping.is_set() and has_been_ready and len(problems) < len(workers)
        return JSONResponse(
            {"status": "ready" if is_ready else "unready", "problems": problems}, status_code=200 if is_ready else 503
        )

    return [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]


async def _ask_all(workers: Sequence[WorkerOps], path: str) -> list[tuple[int, httpx.Response | None]]:
    """None where a worker does not run or does not answer in time."""
    async with httpx.AsyncClient(timeout=_ASK_S_MAX, trust_env=False) as client:

        async def ask(worker: WorkerOps) -> tuple[int, httpx.Response | None]:
            try:
                return worker.index, await client.get(f"http://127.0.0.1:{worker.port}{path}")
            except httpx.TransportError:
                return worker.index, None

        return list(await asyncio.gather(*(ask(worker) for worker in workers if worker.is_running))) + [
            (worker.index, None) for worker in workers if not worker.is_running
        ]
