"""How large an auth may grow: memory and start-up of one process over a directory of so many keys.

`python -m tests.load.keys [--keys 1000000] [--keys-per-account 4] [--json FILE]` (`make bench-keys`). The KV buckets
are filled on a nats-server of its own; then an auth process starts on them and is measured until it is ready. CPU is
that of the auth process; wall-clock figures share the machine with whatever else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
from nats.aio.client import Client

from lumen.ledger.keyspace import KV_ACCOUNTS, KV_KEYS
from lumen.platform import nats as platform_nats
from lumen.platform.children import die_with_parent
from lumen.platform.grpc import create_channel
from lumen.platform.nats import ensure_bucket, kv_stream, kv_subject
from protos import auth_pb2
from protos.auth_pb2_grpc import AuthStub
from services.auth.records import AccountRecord, KeyRecord, encode_record, name_key
from tests.fixtures.engines import NatsServer, RedisServer, free_port, signal_group_kill

_START_S_MAX = 1800.0
_FLUSH_EVERY = 2000
_QUESTIONS = 2000


class BenchFailed(Exception):
    """Auth did not start, or does not know what was stored."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.keys", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--keys-per-account", type=int, default=4)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lumen-keys-") as folder:
        base = Path(folder)
        with NatsServer(base / "nats") as nats, RedisServer(base / "redis") as redis:
            found = asyncio.run(_measure(nats, redis, options.keys, options.keys_per_account, base))
    for name, value in found.items():
        print(f"{name:28} {value}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


async def _measure(nats: NatsServer, redis: RedisServer, keys: int, per_account: int, base: Path) -> dict[str, Any]:
    nc = await platform_nats.connect(nats.url, name="bench-keys")
    try:
        filled_s = await _fill(nc, keys, per_account)
    finally:
        await nc.close()
    port, ops_port = free_port(), free_port()
    started = time.monotonic()
    process = _launch(nats, redis, port, ops_port, base / "auth.log")
    try:
        await _until_ready(process, ops_port, base / "auth.log")
        ready_s = time.monotonic() - started
        auth = psutil.Process(process.pid)
        cpu_s = _cpu_s(auth)
        rss = auth.memory_info().rss
        per_question_us = await _ask(port, auth, keys)
        return {
            "keys": keys,
            "accounts": -(-keys // per_account),
            "store_filled_s": round(filled_s, 1),
            "ready_after_s": round(ready_s, 1),
            "start_cpu_s": round(cpu_s, 1),
            "rss_mib": round(rss / 2**20, 1),
            "rss_bytes_per_key": round(rss / keys),
            "authenticate_cpu_us": round(per_question_us),
            "nats_rss_mib": round(psutil.Process(nats.pid).memory_info().rss / 2**20, 1),
        }
    finally:
        signal_group_kill(process)


def _launch(nats: NatsServer, redis: RedisServer, port: int, ops_port: int, path: Path) -> subprocess.Popen[bytes]:
    with path.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.auth"],
            env={
                **os.environ,
                "LUMEN_NATS_URL": nats.url,
                "LUMEN_REDIS_URL": redis.url,
                "LUMEN_AUTH_PORT": str(port),
                "LUMEN_AUTH_OPS_PORT": str(ops_port),
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )


async def _fill(nc: Client, keys: int, per_account: int) -> float:
    """Without an ack per message: the streams' counts at the end tell whether all arrived."""
    started = time.monotonic()
    accounts = -(-keys // per_account)
    for bucket in (KV_ACCOUNTS, KV_KEYS):
        await ensure_bucket(nc, bucket)
    for number in range(accounts):
        record = AccountRecord(f"acct_{number:020x}", f"Customer number {number}", "active", 1_764_000_000)
        value = encode_record(record)
        await nc.publish(kv_subject(KV_ACCOUNTS, record.id), value)
        await nc.publish(kv_subject(KV_ACCOUNTS, name_key(record.name)), value)
        if number % _FLUSH_EVERY == 0:
            await nc.flush(60)
    for number in range(keys):
        key = KeyRecord(
            f"key_{number:020x}",
            f"acct_{number // per_account:020x}",
            "default",
            "production",
            "sk-lumen-abcd",
            1_764_000_000,
        )
        await nc.publish(kv_subject(KV_KEYS, digest_of(number).hex()), encode_record(key))
        if number % _FLUSH_EVERY == 0:
            await nc.flush(60)
    await nc.flush(60)
    js = nc.jetstream(timeout=60)
    for bucket, expected in ((KV_ACCOUNTS, 2 * accounts), (KV_KEYS, keys)):
        for _ in range(600):
            stored = (await js.stream_info(kv_stream(bucket))).state.messages
            if stored == expected:
                break
            await asyncio.sleep(0.1)
        else:
            raise BenchFailed(f"{bucket} holds {stored} of {expected}")
    return time.monotonic() - started


def _problem(process: subprocess.Popen[bytes], deadline: float, log: Path) -> str:
    if process.poll() is None and time.monotonic() < deadline:
        return ""
    return f"auth is not ready: {log.read_text()[-2000:]}"


async def _until_ready(process: subprocess.Popen[bytes], ops_port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S_MAX
    async with httpx.AsyncClient(timeout=10) as client:
        while True:
            if problem := _problem(process, deadline, log):
                raise BenchFailed(problem)
            try:
                if (await client.get(f"http://127.0.0.1:{ops_port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


async def _ask(port: int, auth: psutil.Process, keys: int) -> float:
    """CPU of auth per answered cache miss, in microseconds. Raises BenchFailed for a key it does not know."""
    channel: grpc.aio.Channel = create_channel(f"127.0.0.1:{port}")
    async with channel:
        stub: Any = AuthStub(channel)
        before = _cpu_s(auth)
        for question in range(_QUESTIONS):
            number = question * 7919 % keys
            answer = await stub.Authenticate(
                auth_pb2.AuthenticateRequest(key_sha256=digest_of(number)), timeout=10, wait_for_ready=True
            )
            if answer.key.key_id != f"key_{number:020x}":
                raise BenchFailed(f"key {number} is not known")
        return (_cpu_s(auth) - before) / _QUESTIONS * 1e6


def digest_of(number: int) -> bytes:
    """Of the bench's secret of that number."""
    return hashlib.sha256(f"sk-lumen-{number}".encode()).digest()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    sys.exit(main())
