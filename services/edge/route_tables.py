"""The route table in use: the newest catalog router pushed, or the last one kept on disk while router is away."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import msgspec

from lumen.catalog.document import Group, Model
from lumen.catalog.parse import catalog_from_json
from lumen.catalog.resolve import Resolution, RouteTable, resolution_from_json
from lumen.platform.grpc import request_metadata
from protos import router_pb2
from services.edge.metrics import EdgeMetrics
from services.edge.provider_workers.registry import ProviderWorkers

if TYPE_CHECKING:
    from protos.router_pb2_grpc import RouterAsyncStub

logger = logging.getLogger(__name__)


class RouterUnreachable(Exception):
    """No route table has ever been seen, or (without cache) router did not answer."""


class _Kept(msgspec.Struct):
    revision: int
    catalog: msgspec.Raw


class RouteTables:
    def __init__(
        self,
        stub: RouterAsyncStub,
        workers: ProviderWorkers,
        metrics: EdgeMetrics,
        *,
        is_cached: bool,
        disk_copy: Path,
        rpc_timeout_s: float,
    ) -> None:
        self._stub = stub
        self._workers = workers
        self._metrics = metrics
        self._is_cached = is_cached
        self._disk_copy = disk_copy
        self._rpc_timeout_s = rpc_timeout_s
        self._table: RouteTable | None = None

    @property
    def revision(self) -> int:
        return self._table.revision if self._table else 0

    def problem(self) -> str | None:
        return None if self._table else "no catalog has been applied yet"

    def load(self, revision: int, catalog_json: bytes) -> None:
        """Adopt a pushed catalog. An older one than the one in use is ignored (a lagging router replica)."""
        if self._adopt(revision, catalog_json):
            kept = msgspec.json.encode(_Kept(revision, msgspec.Raw(catalog_json)))
            partial = self._disk_copy.with_suffix(".partial")
            partial.write_bytes(kept)
            os.replace(partial, self._disk_copy)

    def load_disk_copy(self) -> None:
        try:
            kept = msgspec.json.decode(self._disk_copy.read_bytes(), type=_Kept)
            self._adopt(kept.revision, bytes(kept.catalog))
        except FileNotFoundError:
            return
        except (ValueError, OSError) as error:
            logger.warning("last route table is unreadable", extra={"reason": str(error)})

    def _adopt(self, revision: int, catalog_json: bytes) -> bool:
        if self._table is not None and revision <= self._table.revision:
            return False
        catalog = catalog_from_json(catalog_json)
        self._workers.apply(catalog)
        self._table = RouteTable(catalog, revision)
        self._metrics.catalog_revision.set(revision)
        logger.info("route table loaded", extra={"revision": revision})
        return True

    def channel_states(self) -> Iterable[tuple[str, str, str]]:
        """(channel, ready | disabled, reason)"""
        return self._workers.states()

    def lookup(self, group: str, model: str) -> Resolution | None:
        """The hot path. Raises RouterUnreachable while there is no table."""
        if self._table is None:
            raise RouterUnreachable("no catalog has been applied yet")
        return self._table.resolve(group, model)

    async def resolve(self, group: str, model: str) -> Resolution | None:
        """As `lookup`, but asks router when the cache is off."""
        if self._is_cached:
            return self.lookup(group, model)
        try:
            response = await self._stub.Route(
                router_pb2.RouteRequest(group=group, model=model),
                timeout=self._rpc_timeout_s,
                metadata=request_metadata(),
            )
        except grpc.aio.AioRpcError as error:
            raise RouterUnreachable(error.details() or "router did not answer") from error
        return resolution_from_json(response.resolution_json) if response.resolution_json else None

    def group(self, name: str) -> Group | None:
        return self._table.group(name) if self._table else None

    def models_of(self, group: str) -> list[Model]:
        return self._table.models_of(group) if self._table else []
