"""Billing alone at full speed: entries per second that one process posts, and how far it lags behind.

`python -m tests.load.billing [--seconds 10] [--rate 15000] [--json FILE]`. The ledger is filled at a steady rate by a
process of its own, with batches as edges form them; a billing process of its own on real engines posts them. One row
per number of accounts: the rate offered, the rate posted while the load ran, the longest lag (publish to posted in both
sinks), and the CPU that each process spent per entry, in microseconds (the feeder's without what it prepares).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from lumen.catalog.parse import catalog_to_json, parse_catalog
from lumen.catalog.revisions import encode_revision
from lumen.ledger import keyspace
from lumen.ledger.entries import Attempt, Batch, Entry, UsageEntry, encode_batch
from lumen.money.usage import TokenUsage
from lumen.platform import nats as platform_nats
from lumen.platform.children import die_with_parent
from lumen.platform.kv_view import kv_put
from tests.fixtures.engines import ClickHouseServer, NatsServer, RedisServer, free_port

_CATALOG = """
models:
  - {code: m, name: M, vendor: v, max_output_tokens: 1000, price: {input: "5", output: "25", cache_read: "0.5"}}
groups: [{name: default}]
channels:
  - {name: c, dialects: {openai_chat: "http://127.0.0.1:1/v1"}, secret: "env:K", models: {m: m-1}}
"""
_ENTRIES_PER_BATCH = 25
_TICK_S = 0.1
_LOOK_S = 0.2  # answering costs the process that is measured
_POSTED, _LAG = "lumen_billing_entries_total", "lumen_billing_lag_seconds"
_START_S_MAX = 60.0
_DRAIN_S_MAX = 120.0


class BenchFailed(Exception):
    """A process did not start, or not everything was posted."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.billing", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="of load per row [10]")
    parser.add_argument("--rate", type=int, default=15_000, help="entries per second offered [15000]")
    parser.add_argument("--accounts", default="1,10000", help="rows, by number of accounts [1,10000]")
    parser.add_argument("--batch", type=int, default=_ENTRIES_PER_BATCH, help="entries per batch [25]")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--feed", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.feed:
        asyncio.run(_feed(options.feed, int(options.accounts), options.rate, options.seconds, options.batch))
        return 0
    rows = [
        measure(int(accounts), options.rate, options.seconds, options.batch) for accounts in options.accounts.split(",")
    ]
    print_rows(rows)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def measure(accounts: int, rate: int, seconds: int, batch: int = _ENTRIES_PER_BATCH) -> dict[str, Any]:
    """One row, on engines of its own. Raises BenchFailed."""
    with ExitStack() as resources:
        directory = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="lumen-billing-bench-")))
        nats = resources.enter_context(NatsServer(directory / "nats"))
        redis = resources.enter_context(RedisServer(directory / "valkey"))
        clickhouse = resources.enter_context(ClickHouseServer(directory / "clickhouse"))
        asyncio.run(_put_catalog(nats.url))
        ops_port = free_port()
        environment = {
            **os.environ,
            "LUMEN_NATS_URL": nats.url,
            "LUMEN_REDIS_URL": redis.url,
            "LUMEN_CLICKHOUSE_URL": f"{clickhouse.url.rsplit('/', 1)[0]}/bench",
            "LUMEN_BILLING_PORT": str(free_port()),
            "LUMEN_BILLING_OPS_PORT": str(ops_port),
        }
        billing = _start([sys.executable, "-m", "services.billing"], environment, resources)
        _wait(lambda: _is_ready(ops_port), _START_S_MAX, "billing is ready")
        _wait(lambda: _metrics(ops_port)["lumen_billing_live"] == 1, _START_S_MAX, "billing is live")
        processes = {
            "billing": psutil.Process(billing.pid),
            "clickhouse": psutil.Process(clickhouse.pid),
            "redis": psutil.Process(redis.pid),
            "nats": psutil.Process(nats.pid),
        }
        before = {name: _cpu_s(process) for name, process in processes.items()}
        feeder = _start(
            [
                *(sys.executable, "-m", "tests.load.billing", "--feed", nats.url, "--accounts", str(accounts)),
                *("--rate", str(rate), "--seconds", str(seconds), "--batch", str(batch)),
            ],
            environment,
            resources,
        )
        return _watch(accounts, rate, seconds, feeder, ops_port, processes, before)


def _watch(
    accounts: int,
    rate: int,
    seconds: int,
    feeder: subprocess.Popen[bytes],
    ops_port: int,
    processes: dict[str, psutil.Process],
    before: dict[str, float],
) -> dict[str, Any]:
    _wait(lambda: _metrics(ops_port)[_POSTED] > 0, _START_S_MAX, "the first entries posted")
    offered = rate * seconds
    lag_s_max = 0.0
    feeder_process = psutil.Process(feeder.pid)
    posted_before = _metrics(ops_port)[_POSTED]
    started, fed_before_s = time.monotonic(), _cpu_s(feeder_process)
    fed_s = fed_before_s
    while feeder.poll() is None:
        with suppress(psutil.Error):
            fed_s = max(fed_s, _cpu_s(feeder_process))
        lag_s_max = max(lag_s_max, _metrics(ops_port)[_LAG])
        time.sleep(_LOOK_S)
    loaded_s = time.monotonic() - started
    posted_in_time = _metrics(ops_port)[_POSTED]
    _wait(lambda: _metrics(ops_port)[_POSTED] >= offered, _DRAIN_S_MAX, f"{offered} entries posted")
    drained_s = time.monotonic() - started - loaded_s
    cpu_s = {name: _cpu_s(process) - before[name] for name, process in processes.items()}
    cpu_s["feeder"] = fed_s - fed_before_s
    return {
        "accounts": accounts,
        "offered_per_s": rate,
        "posted_per_s": round((posted_in_time - posted_before) / loaded_s),
        "lag_s_max": round(lag_s_max, 2),
        "drained_after_s": round(drained_s, 2),
        **{f"{name}_us": round(used_s / offered * 1e6, 1) for name, used_s in cpu_s.items()},
    }


async def _put_catalog(nats_url: str) -> None:
    nc = await platform_nats.connect(nats_url, name="bench")
    await platform_nats.ensure_bucket(nc, keyspace.KV_CATALOG)
    content = encode_revision(catalog_to_json(parse_catalog(_CATALOG, "bench")), created_at_s=1, note="")
    await kv_put(nc, keyspace.KV_CATALOG, "rev.1", content)
    await platform_nats.close(nc)


async def _feed(nats_url: str, accounts: int, rate: int, seconds: int, per_batch: int) -> None:
    """A tick's worth of batches at a time, at the rate; what they cost to make is spent before the clock starts."""
    ticks = _prepare(accounts, rate, seconds, per_batch)
    nc = await platform_nats.connect(nats_url, name="bench-feed")
    js = nc.jetstream(timeout=30)
    started = time.monotonic()
    for number, messages in enumerate(ticks):
        await asyncio.sleep(max(0.0, number * _TICK_S - (time.monotonic() - started)))
        await asyncio.gather(*(js.publish(subject, payload) for subject, payload in messages))
    await platform_nats.close(nc)


def _prepare(accounts: int, rate: int, seconds: int, per_batch: int) -> list[list[tuple[str, bytes]]]:
    """(subject, payload) by tick: batches as edges form them, of one partition's accounts and numbered."""
    names = [(name, keyspace.partition_of(name)) for name in (f"acc-{number}" for number in range(accounts))]
    numbers = dict.fromkeys(range(keyspace.PARTITIONS), 0)
    count = round(seconds / _TICK_S)
    ticks: list[list[tuple[str, bytes]]] = []
    for tick in range(count):
        waiting: dict[int, list[Entry]] = {}
        for number in range(rate * seconds * tick // count, rate * seconds * (tick + 1) // count):
            account, partition = names[number % accounts]
            waiting.setdefault(partition, []).append(_entry(account, str(number)))
        messages = []
        for partition, entries in waiting.items():
            for start in range(0, len(entries), per_batch):
                numbers[partition] += 1
                batch = Batch("edge-bench", partition, numbers[partition], entries[start : start + per_batch])
                messages.append((keyspace.subject(partition, "edge-bench"), encode_batch(batch)))
        ticks.append(messages)
    return ticks


def _entry(account: str, request_id: str) -> UsageEntry:
    return UsageEntry(
        request_id=f"req-{account}-{request_id}",
        account=account,
        key_id="key-1",
        group="default",
        model="m",
        channel="c",
        upstream_model="m-1",
        client_dialect="openai_chat",
        upstream_dialect="openai_chat",
        catalog_revision=1,
        started_at_us=time.time_ns() // 1000,
        duration_us=1_200_000,
        ttft_us=300_000,
        status=200,
        is_stream=True,
        finish_reason="stop",
        usage=TokenUsage(input=1200, cache_read=800, output=350),
        is_estimated=False,
        is_billable=True,
        hold_nanousd=100_000_000,
        lease_boot=1,
        attempts=[Attempt("c", 200, "ok", 1_200_000, 300_000)],
    )


def _start(argv: Sequence[str], environment: dict[str, str], resources: ExitStack) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent())
    resources.callback(process.wait, 10)
    resources.callback(process.kill)
    return process


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _is_ready(ops_port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{ops_port}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def _metrics(ops_port: int) -> dict[str, float]:
    """Those without labels; zero for each while the process does not answer."""
    found: dict[str, float] = defaultdict(float)
    try:
        text = httpx.get(f"http://127.0.0.1:{ops_port}/metrics", timeout=5).text
    except httpx.TransportError:
        return found
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if not line.startswith("#") and "{" not in name:
            found[name] = float(value)
    return found


def _wait(condition: Any, timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise BenchFailed(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
