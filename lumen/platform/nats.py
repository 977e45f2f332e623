"""NATS as every service uses it: a connection that never gives up, and typed views of what JetStream answers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

logger = logging.getLogger(__name__)

_CLOSE_S_MAX = 2.0


async def connect(url: str, *, name: str, connect_timeout_s: float = 30.0, client: Client | None = None) -> Client:
    """Connect and keep reconnecting for ever, with the outage logged once per state change. `client`: one of a class
    of its own, not connected yet.

    Raises TimeoutError when the first connection does not come about within `connect_timeout_s`.
    """

    async def on_disconnected() -> None:
        logger.warning("nats disconnected")

    async def on_reconnected() -> None:
        logger.info("nats reconnected")

    async def on_error(error: Exception) -> None:
        logger.debug("nats error", extra={"error": repr(error)})

    nc = client or Client()
    async with asyncio.timeout(connect_timeout_s):
        await nc.connect(
            url,
            name=name,
            connect_timeout=2,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds, also less than one
            max_reconnect_attempts=-1,
            allow_reconnect=True,
            ping_interval=5,
            max_outstanding_pings=2,
            pending_size=8 * 1024 * 1024,
            disconnected_cb=on_disconnected,
            reconnected_cb=on_reconnected,
            error_cb=on_error,
        )
    return nc


async def close(nc: Client) -> None:
    """Close, in a bounded time; a broker that is away at our own end is no error."""
    try:
        async with asyncio.timeout(_CLOSE_S_MAX):
            await nc.close()
    except (nats.errors.Error, OSError, TimeoutError) as error:
        logger.info("nats connection not closed in order", extra={"reason": repr(error)})


async def ensure_stream(nc: Client, config: StreamConfig) -> None:
    """Create the stream, or leave an existing one as its operator set it up."""
    js = nc.jetstream(timeout=10)
    assert config.name is not None
    try:
        await js.stream_info(config.name)
    except NotFoundError:
        try:
            await js.add_stream(config)
        except BadRequestError as error:
            if error.err_code != 10058:  # created meanwhile by another replica with other settings
                raise


def kv_stream(bucket: str) -> str:
    return f"KV_{bucket}"


def kv_subject(bucket: str, key: str) -> str:
    return f"$KV.{bucket}.{key}"


async def ensure_bucket(nc: Client, bucket: str, *, history: int = 1, replicas: int = 1) -> None:
    """A KV bucket is a stream by convention (NATS ADR-8); created with the settings `nats kv add` would use."""
    await ensure_stream(
        nc,
        StreamConfig(
            name=kv_stream(bucket),
            subjects=[kv_subject(bucket, ">")],
            max_msgs_per_subject=history,
            allow_rollup_hdrs=True,
            deny_delete=True,
            allow_direct=False,  # reads that decide use the leader
            discard=DiscardPolicy.NEW,
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            num_replicas=replicas,
        ),
    )


def js_error_code(error: Exception) -> int | None:
    """JetStream's own error number (`err_code`), e.g. 10071 wrong last sequence."""
    value: Any = getattr(error, "err_code", None)
    return int(value) if value is not None else None


WRONG_LAST_SEQUENCE = 10071
