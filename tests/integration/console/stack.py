"""The control plane as processes on real engines: auth, router, billing and console, without edge and simulator."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from lumen.ledger import keyspace
from lumen.ledger.entries import Batch, Entry, UsageEntry, encode_batch
from lumen.money.usage import TokenUsage
from lumen.platform import nats as platform_nats
from lumen.platform.children import die_with_parent
from tests.fixtures.engines import ClickHouseServer, NatsServer, RedisServer, free_port

TOKEN = "admin-token-of-the-tests"
PLAYGROUND = "https://playground.example"
START_TIMEOUT_S = 60.0
SERVICES = ("auth", "router", "billing", "console")
CATALOG = """
models:
  - {code: m1, name: M1, vendor: v, aliases: [m1-2026], max_output_tokens: 100, price: {input: "1", output: "2"}}
  - {code: m2, name: M2, vendor: v, max_output_tokens: 100, price: {input: "3", output: "4"}}
groups:
  - {name: default}
  - {name: only_m1, multiplier: "0.5", models: [m1]}
channels:
  - name: c1
    dialects: {openai_chat: "http://127.0.0.1:1/v1"}
    secret: env:K
    models: {m1: up-1, m2: up-2}
"""


@dataclass
class Stack:
    """`env` is what a shell that sourced `<state-dir>/env` has."""

    env: dict[str, str]
    state_dir: Path
    ops_ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.env["LUMEN_ADMIN_URL"]

    def client(self, token: str = TOKEN) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )

    def start(self, service: str) -> None:
        with (self.state_dir / f"{service}.log").open("ab") as log:
            self.processes[service] = subprocess.Popen(
                [sys.executable, "-m", f"services.{service}"],
                env=self.env,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )

    def stop(self, service: str, number: signal.Signals = signal.SIGTERM) -> int:
        process = self.processes.pop(service)
        process.send_signal(number)
        return process.wait(timeout=20)

    def readiness(self, service: str) -> tuple[int, str]:
        """(status, text) of /readyz; (0, why) when nothing answers."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ops_ports[service]}/readyz", timeout=2, trust_env=False)
        except httpx.TransportError as error:
            return 0, repr(error)
        return answer.status_code, answer.text

    def wait_ready(self, service: str, status: int = 200) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while (found := self.readiness(service))[0] != status:
            assert self.processes[service].poll() is None, (self.state_dir / f"{service}.log").read_text()[-3000:]
            assert time.monotonic() < deadline, f"{service}: {found}"
            time.sleep(0.05)

    def lumen(self, *arguments: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a directory without a stack of its own."""
        return subprocess.run(
            [sys.executable, "-m", "lumen.cli", *arguments],
            input=stdin,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "COLUMNS": "200", **env},
            cwd=self.state_dir,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def use(self, account: str, entries: list[UsageEntry], producer: str) -> None:
        """What an edge would have recorded, as the first batch of `producer`."""

        async def publish() -> None:
            nc = await platform_nats.connect(self.env["LUMEN_NATS_URL"], name="console-tests")
            partition = keyspace.partition_of(account)
            recorded: list[Entry] = list(entries)
            payload = encode_batch(Batch(producer, partition, 1, recorded))
            await nc.jetstream().publish(keyspace.subject(partition, producer), payload)
            await nc.close()

        asyncio.run(publish())


def usage_entry(account: str, request_id: str, *, key_id: str = "k1", model: str = "m1", **more: object) -> UsageEntry:
    fields: dict[str, object] = {
        "group": "default",
        "channel": "c1",
        "upstream_model": "up-1",
        "client_dialect": "openai_chat",
        "upstream_dialect": "openai_chat",
        "catalog_revision": 1,
        "started_at_us": int(time.time() * 1_000_000),
        "duration_us": 1_000,
        "ttft_us": 100,
        "status": 200,
        "is_stream": True,
        "finish_reason": "stop",
        "usage": TokenUsage(input=10, cache_read=None, output=5),
        "is_estimated": False,
        "is_billable": True,
        "hold_nanousd": 100,
        "lease_boot": 1,
        **more,
    }
    return UsageEntry(request_id=request_id, account=account, key_id=key_id, model=model, **fields)  # type: ignore[arg-type]


@contextmanager
def running_stack(path: Path, before_services: Callable[[Stack], None] = lambda stack: None) -> Iterator[Stack]:
    """`before_services` finds the engines running, and empty."""
    with ExitStack() as engines:
        nats = engines.enter_context(NatsServer(path / "nats"))
        redis = engines.enter_context(RedisServer(path / "valkey"))
        clickhouse = engines.enter_context(ClickHouseServer(path / "clickhouse"))
        ports = {service: free_port() for service in SERVICES}
        ops_ports = {service: free_port() for service in SERVICES}
        env = {
            **os.environ,
            "LUMEN_NATS_URL": nats.url,
            "LUMEN_REDIS_URL": redis.url,
            "LUMEN_CLICKHOUSE_URL": f"http://127.0.0.1:{clickhouse.port}/lumen",
            "LUMEN_ADMIN_TOKEN": TOKEN,
            "LUMEN_CONSOLE_CORS_ORIGINS": f"{PLAYGROUND}, https://other.example",
            "LUMEN_BILLING_EXPIRY_INTERVAL_S": "0.2",
            "LUMEN_CONSOLE_ALERT_INTERVAL_S": "86400",  # tests look themselves
            "LUMEN_ADMIN_URL": f"http://127.0.0.1:{ports['console']}",
            **{f"LUMEN_{name.upper()}_ADDRESS": f"127.0.0.1:{ports[name]}" for name in SERVICES},
            **{f"LUMEN_{name.upper()}_PORT": str(port) for name, port in ports.items()},
            **{f"LUMEN_{name.upper()}_OPS_PORT": str(port) for name, port in ops_ports.items()},
        }
        state_dir = path / "state"
        state_dir.mkdir()
        exported = ("LUMEN_ADMIN_URL", "LUMEN_ADMIN_TOKEN")
        (state_dir / "env").write_text("".join(f"export {name}={env[name]}\n" for name in exported))
        stack = Stack(env, state_dir, ops_ports)
        try:
            before_services(stack)
            for service in SERVICES:
                stack.start(service)
            for service in SERVICES:
                stack.wait_ready(service)
            yield stack
        finally:
            for process in stack.processes.values():
                process.kill()
                process.wait()
