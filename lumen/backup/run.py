"""Backup and restore of the three stores, in the order that makes a running system's copy consistent (ADR 0021).

ClickHouse first, its marks before its rows; then the ledger, which holds every entry those rows came from; then the
control plane, which holds every revision, account and key the ledger names. Redis is not copied: billing rebuilds it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import redis.exceptions
from nats.aio.client import Client

from lumen.backup import streams
from lumen.backup.errors import BrokenBackup, NotEmpty, StoreAway
from lumen.backup.manifest import FORMAT, Manifest, load_manifest, prepare, store_manifest
from lumen.backup.tables import ClickHouseTables
from lumen.platform import nats as platform_nats
from lumen.platform import redis as platform_redis

_CONNECT_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Stores:
    nats_url: str
    clickhouse_url: str
    redis_url: str


async def create(stores: Stores, directory: Path) -> Manifest:
    """Back up into an empty or new directory, while Lumen runs. Raises BackupError."""
    prepare(directory)
    started_at = _now()
    async with ClickHouseTables(stores.clickhouse_url) as clickhouse, _connected(stores.nats_url) as nc:
        tables = await clickhouse.backup(directory)
        copied = [await streams.backup_stream(nc, name, directory) for name in await streams.stream_names(nc)]
        database = clickhouse.database
    manifest = Manifest(FORMAT, metadata.version("lumen"), started_at, _now(), database, tables, copied)
    store_manifest(directory, manifest)
    return manifest


async def restore(stores: Stores, directory: Path) -> Manifest:
    """Restore into empty stores, before any service is started. Raises BackupError, and changes nothing if a store
    holds something; if one breaks off on the way, empty the stores and begin again."""
    manifest = load_manifest(directory)
    async with ClickHouseTables(stores.clickhouse_url) as clickhouse, _connected(stores.nats_url) as nc:
        if clickhouse.database != manifest.database:
            raise BrokenBackup(f"the backup is of ClickHouse's database {manifest.database}, not {clickhouse.database}")
        there = [f"stream {name}" for name in await streams.stream_names(nc)]
        there += [f"table {name}" for name in await clickhouse.rows_by_table()]
        there += ["Redis"] if await _redis_keys(stores.redis_url) else []
        if there:
            raise NotEmpty(f"restoring needs empty stores; there is something in: {', '.join(there)}")
        await clickhouse.restore(manifest.tables, directory)
        for stream in manifest.streams:
            await streams.restore_stream(nc, stream, directory)
    return manifest


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Client]:
    try:
        nc = await platform_nats.connect(url, name="backup", connect_timeout_s=_CONNECT_S_MAX)
    except (TimeoutError, OSError) as error:
        raise StoreAway(f"NATS is not reached within {_CONNECT_S_MAX:g} s") from error
    try:
        yield nc
    finally:
        await platform_nats.close(nc)


async def _redis_keys(url: str) -> int:
    client = platform_redis.connect(url)
    try:
        return int(await client.dbsize())
    except redis.exceptions.RedisError as error:
        raise StoreAway(f"Redis is not reached: {error}") from error
    finally:
        await client.aclose()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
